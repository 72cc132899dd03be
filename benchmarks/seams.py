"""Can the borders of patches be seen in the finished picture?

Prints the mean squared difference of the two pixels across every border of the last sweeps' patches, over
that of the pairs one pixel to either side. 1 is no seam; 0.98 to 1.02 is the promise. A picture has lines of
its own: so the same figure is taken at the borders that other seeds would have drawn, where there are none, and
its mean and standard deviation over those seeds tell what chance makes of it.

    python -m benchmarks.seams [--size 512] [--patch 128] [--network vgg19 --weights vgg19_slim.safetensors]
"""

from __future__ import annotations

import argparse
from dataclasses import replace
from pathlib import Path
from statistics import mean, stdev
from typing import Any

import torch
from torch import Tensor

from benchmarks.parity import PAIRS
from benchmarks.record import assets, report
from tilestyle.api import prepare
from tilestyle.config import NetworkName, RenderConfig, Sampler
from tilestyle.job import Job
from tilestyle.pictures import path_of
from tilestyle.renderer import optimise, sampled

OTHERS = 30  # seeds


def across(pixels: Tensor, row: int, left: int, width: int) -> Tensor:
    """Squared differences of rows (row - 2, row - 1), (row - 1, row), (row, row + 1), of a torus; means [3]."""
    height, full = pixels.shape[1:]
    rows = torch.arange(row - 2, row + 2) % height
    columns = torch.arange(left, left + width) % full
    strip = pixels[:, rows][:, :, columns]
    return (strip[:, 1:] - strip[:, :-1]).square().sum((0, 2))


def ratio(job: Job, pixels: Tensor, sweeps: int, seed: int) -> float:
    """Energy over the borders of the last `sweeps` sweeps of a seed, over that beside them."""
    level = job.levels[-1]
    job = replace(job, config=replace(job.config, seed=seed))
    energy = torch.zeros(3, dtype=torch.float64)
    for sweep in range(level.sweeps - sweeps, level.sweeps):
        for patch in sampled(job, level, sweep):
            box = patch.owned
            if box.height < level.extent.height:
                energy += across(pixels, box.top, box.left, box.width)
            if box.width < level.extent.width:
                energy += across(pixels.mT, box.left, box.top, box.height)
    return float(energy[1] / (energy[0] + energy[2]) * 2)


def main() -> None:
    """Run the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--size", type=int, default=512, help="long side, pixels")
    parser.add_argument("--patch", type=int, default=128, help="patch side, pixels")
    parser.add_argument("--last", type=int, default=10, help="how many last sweeps' borders are looked at")
    parser.add_argument("--networks", nargs="+", default=["wavelet", "vgg19"])
    parser.add_argument("--weights", type=Path, help="VGG weights; else those in TILESTYLE_ASSETS")
    parser.add_argument("--pairs", type=int, default=len(PAIRS))
    parser.add_argument("--keep", type=Path, help="JSON file for the result")
    options = parser.parse_args()
    folder = assets()
    slim = options.weights or (folder and folder / "weights" / "vgg19_slim.safetensors")
    rows: list[dict[str, Any]] = []
    for name in options.networks:
        for sampler in Sampler:
            for content, style in PAIRS[: options.pairs]:
                config = RenderConfig(
                    size=options.size,
                    patch=options.patch,
                    network=NetworkName(name),
                    weights=slim if name != "wavelet" else None,
                    sampler=sampler,
                )
                job = prepare(path_of(style), config, path_of(content))
                canvas, _ = optimise(job, lambda level: None, lambda *sweep: None, lambda: False)
                pixels = canvas.pixels.double()
                chance = [ratio(job, pixels, options.last, seed) for seed in range(1, 1 + OTHERS)]
                rows.append(
                    {
                        "network": name,
                        "sampler": str(sampler),
                        "content": content,
                        "style": style,
                        "ratio": ratio(job, pixels, options.last, config.seed),
                        "elsewhere": mean(chance),
                        "deviation": stdev(chance),
                    }
                )
                print(rows[-1], flush=True)
    report(rows, "difference across patch borders over that beside them", options.keep)


if __name__ == "__main__":
    main()
