"""Is the tiled picture as good as the untiled one?

Renders the same jobs in patches and untiled (reference.py, with fresh moments unless --lag 1), and prints the
exact whole-image loss of the one over that of the other. No more than 1.03 is the promise.

    python -m benchmarks.parity [--size 384] [--patch 128] [--weights vgg19_slim.safetensors]
"""

from __future__ import annotations

import argparse
import dataclasses
from pathlib import Path
from statistics import median
from typing import Any

import torch

from benchmarks.record import assets, report
from tilestyle.api import prepare
from tilestyle.canvas import Canvas
from tilestyle.config import NetworkName, Precision, RenderConfig
from tilestyle.job import Job
from tilestyle.pictures import path_of
from tilestyle.plan import patches_of
from tilestyle.reference import content_loss, render_untiled, style_loss, whole_moments
from tilestyle.renderer import optimise

PAIRS = (("coffee", "swirls"), ("coffee", "facets"), ("astronaut", "woodcut"))


def exact_loss(job: Job, canvas: Canvas) -> tuple[float, float]:
    """Style and content of the whole canvas at once, weighted as in the objective."""
    level = job.levels[-1]
    with torch.no_grad():
        style = style_loss(job, whole_moments(job, canvas.pixels), job.style_moments(level))
        content = content_loss(job, canvas.pixels, job.content_plane(level))
    return job.weights.style * float(style), job.weights.content * float(content)


def main() -> None:
    """Run the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--size", type=int, default=384, help="long side, pixels")
    parser.add_argument("--patch", type=int, default=128, help="patch side, pixels")
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--pairs", type=int, default=len(PAIRS))
    parser.add_argument("--networks", nargs="+", default=["wavelet", "vgg19"], help="wavelet vgg19 vgg16")
    parser.add_argument("--weights", type=Path, help="VGG weights; else those in TILESTYLE_ASSETS")
    parser.add_argument("--precision", type=Precision, default=Precision.FP32, help="of the tiled render")
    parser.add_argument(
        "--lag", type=int, choices=(0, 1), default=0, help="sweeps by which the reference's moments lag"
    )
    parser.add_argument("--overlap", type=int, default=0, help="pixels")
    parser.add_argument("--keep", type=Path, help="JSON file for the result")
    options = parser.parse_args()
    folder = assets()
    slim = options.weights or (folder and folder / "weights" / "vgg19_slim.safetensors")
    rows: list[dict[str, Any]] = []
    for name in options.networks:
        for content, style in PAIRS[: options.pairs]:
            config = RenderConfig(
                size=options.size,
                patch=options.patch,
                overlap=options.overlap,
                network=NetworkName(name),
                weights=slim if name != "wavelet" else None,
                precision=Precision.FP32,
            )
            plain = prepare(path_of(style), config, path_of(content))
            untiled = exact_loss(plain, render_untiled(plain, lag=options.lag))
            for seed in range(options.seeds):
                settings = dataclasses.replace(config, seed=seed, precision=options.precision)
                job = prepare(path_of(style), settings, path_of(content))
                canvas, _ = optimise(job, lambda level: None, lambda *sweep: None, lambda: False)
                tiled = exact_loss(plain, canvas)
                rows.append(
                    {
                        "network": name,
                        "content": content,
                        "style": style,
                        "seed": seed,
                        "patches": patches_of(job.levels[-1].extent, job.side),
                        "style untiled": untiled[0],
                        "style tiled": tiled[0],
                        "content untiled": untiled[1],
                        "content tiled": tiled[1],
                        "ratio": sum(tiled) / sum(untiled),
                    }
                )
                print(rows[-1], flush=True)
    ratios = [row["ratio"] for row in rows]
    report(
        rows,
        f"exact loss, tiled over untiled: median {median(ratios):.4f}, worst {max(ratios):.4f}",
        options.keep,
    )


if __name__ == "__main__":
    main()
