"""Is the tiled picture as good as the untiled one?

Renders the same jobs in patches and untiled (reference.py), and prints the exact whole-image loss, style and
content, of the one over that of the other. No more than 1.03 is the promise.

The loss is the mean over placements: the canvas is moved by a few pixels, and measured again. Networks halve
what they see, so a picture's loss depends on where it lies on their grid, which no eye can tell. The untiled
method always sees the canvas in one place and fits that place; patches have their corners at any pixel, and
fit all alike. The column `in place` has the ratio at that one place.

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
from tilestyle.canvas import Canvas, read
from tilestyle.config import NetworkName, Precision, RenderConfig
from tilestyle.geometry import Box, Draw
from tilestyle.job import Job
from tilestyle.pictures import path_of
from tilestyle.plan import patches_of
from tilestyle.reference import content_loss, render_untiled, style_loss, whole_moments
from tilestyle.renderer import optimise

PAIRS = (("coffee", "swirls"), ("coffee", "facets"), ("astronaut", "woodcut"))
PLACEMENTS = 12


def exact_loss(job: Job, canvas: Canvas, top: int = 0, left: int = 0) -> tuple[float, float]:
    """Style and content of the whole canvas at once, weighted as in the objective; moved by `top`, `left`."""
    level = job.levels[-1]
    box = Box(top, left, level.extent.height, level.extent.width)
    pixels, content = read(canvas.pixels, box), job.content_plane(level)
    with torch.no_grad():
        style = style_loss(job, whole_moments(job, pixels), job.style_moments(level))
        kept = content_loss(job, pixels, None if content is None else read(content, box))
    return job.weights.style * float(style), job.weights.content * float(kept)


def placed_loss(job: Job, canvas: Canvas) -> tuple[float, float]:
    """Mean of `exact_loss` over random placements on the deepest stride."""
    places = (Draw(0, 0, 0).integers(2 * PLACEMENTS) % (2 * job.unit)).astype(int) - job.unit
    losses = [exact_loss(job, canvas, *place) for place in places.reshape(-1, 2).tolist()]
    return sum(style for style, _ in losses) / PLACEMENTS, sum(kept for _, kept in losses) / PLACEMENTS


def finished(job: Job) -> Canvas:
    """The renderer's last canvas."""
    return optimise(job, lambda level: None, lambda *sweep: None, lambda: False)[0]


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
            reference = render_untiled(plain, lag=options.lag)
            untiled, still = placed_loss(plain, reference), exact_loss(plain, reference)
            whole = dataclasses.replace(config, patch=2 * options.size)
            alone = placed_loss(plain, finished(prepare(path_of(style), whole, path_of(content))))
            for seed in range(options.seeds):
                settings = dataclasses.replace(config, seed=seed, precision=options.precision)
                job = prepare(path_of(style), settings, path_of(content))
                canvas = finished(job)
                tiled = placed_loss(plain, canvas)
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
                        "in place": sum(exact_loss(plain, canvas)) / sum(still),
                        "to one patch": sum(tiled) / sum(alone),
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
