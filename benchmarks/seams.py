"""Can the borders of patches be seen in the finished picture?

Prints the mean squared difference of the two pixels across every border of the last sweeps' patches, over that
of the pairs one pixel to either side. 1 means no seam; the target is 0.98 to 1.02. A picture has edges of its
own, so the same ratio is measured at the borders that other seeds would have drawn: its mean and standard
deviation over those seeds show the effect of chance. A single picture says little, so the ratio over that
elsewhere is also averaged over all pictures of each sampler, with its standard error.

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
from tilestyle.optim.loop import sweep_patches
from tilestyle.planning.job import Job

OTHERS = 30  # seeds
TITLE = "difference across patch borders over that beside them"


def across(pixels: Tensor, row: int, left: int, width: int) -> Tensor:
    """Compute squared differences across three neighboring row boundaries of a torus.

    Args:
        pixels: Canvas [C, H, W].
        row: First row below the middle boundary.
        left: First column.
        width: Number of columns.

    Returns:
        Sums over the channels, [3, width]: of rows (row - 2, row - 1), (row - 1, row) and (row, row + 1).
    """
    height, full = pixels.shape[1:]
    rows = torch.arange(row - 2, row + 2) % height
    columns = torch.arange(left, left + width) % full
    strip = pixels[:, rows][:, :, columns]
    return (strip[:, 1:] - strip[:, :-1]).square().sum(0)


def ratios(job: Job, pixels: Tensor, sweeps: int, seed: int) -> tuple[float, float]:
    """Measure the energy across the borders of a seed's last sweeps, over that beside them.

    A few edges hold most of a picture's energy, and whether they lie under a border is chance. So the ratio is
    also measured with all energies limited to their 90th percentile, which reduces the effect of chance.

    Args:
        job: The job.
        pixels: Its finished canvas [3, H, W].
        sweeps: Number of last sweeps.
        seed: Seed that draws the borders.

    Returns:
        The ratio, and the ratio of limited energies.
    """
    level = job.levels[-1]
    job = replace(job, config=replace(job.config, seed=seed))
    limit = torch.quantile((pixels[:, 1:] - pixels[:, :-1]).square().sum(0).flatten()[::37], 0.9)
    whole, limited = (torch.zeros(3, dtype=torch.float64) for _ in range(2))
    for sweep in range(level.sweeps - sweeps, level.sweeps):
        for patch in sweep_patches(job, level, sweep):
            box, energies = patch.owned, []
            if box.height < level.extent.height:
                energies.append(across(pixels, box.top, box.left, box.width))
            if box.width < level.extent.width:
                energies.append(across(pixels.mT, box.left, box.top, box.height))
            for energy in energies:
                whole += energy.sum(1)
                limited += energy.clamp(max=float(limit)).sum(1)
    ratio, limited_ratio = (float(energy[1] / (energy[0] + energy[2]) * 2) for energy in (whole, limited))
    return ratio, limited_ratio


def main() -> None:
    """Measure and print the table."""
    arguments = parser(__doc__, 512)
    arguments.add_argument(
        "--last", type=int, default=10, help="number of last sweeps whose borders are measured"
    )
    arguments.add_argument("--samplers", nargs="+", type=Sampler, default=list(Sampler))
    options = arguments.parse_args()
    rows: list[dict[str, Any]] = []
    figures: dict[str, Any] = {}
    for name in options.networks:
        for sampler in options.samplers:
            for pair in PAIRS[: options.pairs]:
                task = job(pair, settings(options, name, sampler=sampler))
                pixels = finished(task).pixels.double()
                seeds = range(task.config.seed, task.config.seed + 1 + OTHERS)
                seed_ratios = [ratios(task, pixels, options.last, seed) for seed in seeds]
                row: dict[str, Any] = {
                    "network": name,
                    "sampler": str(sampler),
                    "content": pair[0],
                    "style": pair[1],
                }
                for title, (ratio, *chance) in zip(
                    ("energy", "limited"), zip(*seed_ratios, strict=True), strict=True
                ):
                    row |= {
                        title: ratio,
                        f"{title} elsewhere": mean(chance),
                        f"{title} deviation": stdev(chance),
                    }
                rows.append(row)
                print(rows[-1], flush=True)
                figures = {
                    f"{kind}, {title}": pooled(rows, kind, title)
                    for kind in {row["sampler"]: 0 for row in rows}
                    for title in ("energy", "limited")
                }
                if options.keep:  # saved after every picture, since each takes a while
                    Result(TITLE, rows, figures).save(options.keep, script_command())
    report(rows, TITLE, options.keep, figures)


def pooled(rows: list[dict[str, Any]], sampler: str, title: str) -> dict[str, float]:
    """Average the ratio over that elsewhere over a sampler's pictures, with its standard error.

    Args:
        rows: The table.
        sampler: The sampler.
        title: Which ratio: "energy" or "limited".
    """
    selection = [row for row in rows if row["sampler"] == sampler]
    elsewhere, deviation = f"{title} elsewhere", f"{title} deviation"
    error = sqrt(sum((row[deviation] / row[elsewhere]) ** 2 for row in selection)) / len(selection)
    return {"ratio": mean(row[title] / row[elsewhere] for row in selection), "error": error}


if __name__ == "__main__":
    main()
