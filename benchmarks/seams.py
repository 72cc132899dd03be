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
from tilestyle.benchmark.environment import Result, script_command
from tilestyle.config.enums import Sampler
from tilestyle.optim.loop import sampled
from tilestyle.planning.job import Job

OTHERS = 30  # seeds
TITLE = "difference across patch borders over that beside them"


def across(pixels: Tensor, row: int, left: int, width: int) -> Tensor:
    """Squared differences of the rows (-2, -1), (-1, 0), (0, 1) about `row`, of a torus; [3, width]."""
    height, full = pixels.shape[1:]
    rows = torch.arange(row - 2, row + 2) % height
    columns = torch.arange(left, left + width) % full
    strip = pixels[:, rows][:, :, columns]
    return (strip[:, 1:] - strip[:, :-1]).square().sum(0)


def ratios(job: Job, pixels: Tensor, sweeps: int, seed: int) -> tuple[float, float]:
    """Energy over the borders of the last `sweeps` sweeps of a seed, over that beside them; the same limited.

    A few edges hold most of a picture's energy, and whether they lie under a border is chance. Energies limited
    to what a tenth of all differences exceed tell the same of the rest, with less of it.
    """
    level = job.levels[-1]
    job = replace(job, config=replace(job.config, seed=seed))
    limit = torch.quantile((pixels[:, 1:] - pixels[:, :-1]).square().sum(0).flatten()[::37], 0.9)
    whole, limited = (torch.zeros(3, dtype=torch.float64) for _ in range(2))
    for sweep in range(level.sweeps - sweeps, level.sweeps):
        for patch in sampled(job, level, sweep):
            box, found = patch.owned, []
            if box.height < level.extent.height:
                found.append(across(pixels, box.top, box.left, box.width))
            if box.width < level.extent.width:
                found.append(across(pixels.mT, box.left, box.top, box.height))
            for energy in found:
                whole += energy.sum(1)
                limited += energy.clamp(max=float(limit)).sum(1)
    one, two = (float(energy[1] / (energy[0] + energy[2]) * 2) for energy in (whole, limited))
    return one, two


def main() -> None:
    """Run the table."""
    arguments = parser(__doc__, 512)
    arguments.add_argument("--last", type=int, default=10, help="how many last sweeps' borders are looked at")
    arguments.add_argument("--samplers", nargs="+", type=Sampler, default=list(Sampler))
    options = arguments.parse_args()
    rows: list[dict[str, Any]] = []
    done: dict[str, Any] = {}
    for name in options.networks:
        for sampler in options.samplers:
            for pair in PAIRS[: options.pairs]:
                task = job(pair, settings(options, name, sampler=sampler))
                pixels = finished(task).pixels.double()
                seeds = range(task.config.seed, task.config.seed + 1 + OTHERS)
                found = [ratios(task, pixels, options.last, seed) for seed in seeds]
                row: dict[str, Any] = {
                    "network": name,
                    "sampler": str(sampler),
                    "content": pair[0],
                    "style": pair[1],
                }
                for title, (here, *chance) in zip(("energy", "limited"), zip(*found, strict=True), strict=True):
                    row |= {
                        title: here,
                        f"{title} elsewhere": mean(chance),
                        f"{title} deviation": stdev(chance),
                    }
                rows.append(row)
                print(rows[-1], flush=True)
                done = {
                    f"{each}, {title}": pooled(rows, each, title)
                    for each in {row["sampler"]: 0 for row in rows}
                    for title in ("energy", "limited")
                }
                if options.keep:  # every picture takes a while
                    Result(TITLE, rows, done).keep(options.keep, script_command())
    report(rows, TITLE, options.keep, done)


def pooled(rows: list[dict[str, Any]], sampler: str, title: str) -> dict[str, float]:
    """Mean over a sampler's pictures of the ratio over that elsewhere, and its standard error."""
    ours = [row for row in rows if row["sampler"] == sampler]
    elsewhere, deviation = f"{title} elsewhere", f"{title} deviation"
    error = sqrt(sum((row[deviation] / row[elsewhere]) ** 2 for row in ours)) / len(ours)
    return {"ratio": mean(row[title] / row[elsewhere] for row in ours), "error": error}


if __name__ == "__main__":
    main()
