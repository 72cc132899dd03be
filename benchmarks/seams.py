"""Can the borders of patches be seen in the finished picture?

Prints the mean squared difference of the two pixels across every border of the last sweeps' patches, over
that of the pairs one pixel to either side. 1 is no seam; 0.98 to 1.02 is the promise. A picture has lines of
its own: so the same figure is taken at the borders that other seeds would have drawn, where there are none, and
its mean and standard deviation over those seeds tell what chance makes of it. One picture tells little: for
each sampler, the mean over all pictures of the ratio over that elsewhere is given, with its standard error.

    python -m benchmarks.seams [--size 512] [--patch 128] [--networks vgg19 --weights vgg19_slim.safetensors]
"""

from __future__ import annotations

from dataclasses import replace
from math import sqrt
from statistics import mean, stdev
from typing import Any

import torch
from torch import Tensor

from benchmarks.jobs import PAIRS, finished, job, parser, settings
from benchmarks.record import report
from tilestyle.config import Sampler
from tilestyle.job import Job
from tilestyle.renderer import sampled

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
    arguments = parser(__doc__, 512)
    arguments.add_argument("--last", type=int, default=10, help="how many last sweeps' borders are looked at")
    arguments.add_argument("--samplers", nargs="+", type=Sampler, default=list(Sampler))
    options = arguments.parse_args()
    rows: list[dict[str, Any]] = []
    for name in options.networks:
        for sampler in options.samplers:
            for pair in PAIRS[: options.pairs]:
                task = job(pair, settings(options, name, sampler=sampler))
                pixels = finished(task).pixels.double()
                seeds = range(1 + OTHERS)
                here, *chance = (ratio(task, pixels, options.last, task.config.seed + seed) for seed in seeds)
                row = {
                    "network": name,
                    "sampler": str(sampler),
                    "content": pair[0],
                    "style": pair[1],
                    "ratio": here,
                }
                rows.append({**row, "elsewhere": mean(chance), "deviation": stdev(chance)})
                print(rows[-1], flush=True)
    title = "difference across patch borders over that beside them"
    report(rows, title, options.keep, {f"{sampler}": pooled(rows, sampler) for sampler in options.samplers})


def pooled(rows: list[dict[str, Any]], sampler: Sampler) -> dict[str, float]:
    """Mean over a sampler's pictures of the ratio over that elsewhere, and its standard error."""
    ours = [row for row in rows if row["sampler"] == sampler]
    error = sqrt(sum((row["deviation"] / row["elsewhere"]) ** 2 for row in ours)) / len(ours)
    return {"ratio": mean(row["ratio"] / row["elsewhere"] for row in ours), "error": error}


if __name__ == "__main__":
    main()
