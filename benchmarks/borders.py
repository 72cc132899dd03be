"""How far from exact is a patch's gradient near its border, and how much does a little context help?

Takes the patches of one sweep of a finished draft. The exact gradient of a patch is that of the same patch with
a context as wide as the widest receptive field. The two are compared at several distances from the border of
the pixels that the patch owns: norm of the difference, and norm of the gradient, over the exact norm. Layers
that are evaluated at coarser scales are left out.

    python -m benchmarks.borders [--size 512] [--patch 128] [--laps 0 1 2 4 8] [--networks wavelet]
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import torch
from torch import Tensor

from benchmarks.jobs import PAIRS, finished, job, parser, settings
from benchmarks.record import report
from tilestyle.canvas.canvas import Canvas
from tilestyle.config.enums import Quality
from tilestyle.geometry.boxes import Patch
from tilestyle.geometry.rng import SweepRng
from tilestyle.geometry.sampling import PatchContext, grid_patches
from tilestyle.losses.level import LevelObjective
from tilestyle.losses.planes import level_planes
from tilestyle.losses.scale_objective import ScaleObjective
from tilestyle.networks.base import exact_halo
from tilestyle.planning.job import Job

DEPTHS = (0, 1, 2, 4, 8, 16, 32)  # pixels from the border


def distances(patch: Patch) -> Tensor:
    """Return the distance of every pixel of a patch to its nearest border, [height, width]."""
    height, width = patch.owned.height, patch.owned.width
    rows, columns = torch.arange(height), torch.arange(width)
    down, across = torch.minimum(rows, height - 1 - rows), torch.minimum(columns, width - 1 - columns)
    return torch.minimum(down[:, None], across[None])


def owned(scale_objective: ScaleObjective, canvas: Canvas, patch: Patch) -> Tensor:
    """Compute the gradient [3, height, width] of the pixels that a patch owns."""
    gradient = scale_objective.objective.gradient(scale_objective.window(canvas, patch), patch)
    box = patch.owned_in_patch
    return gradient[:, box.top : box.top + box.height, box.left : box.left + box.width]


def errors(task: Job, scale_objective: ScaleObjective, canvas: Canvas, apron: int) -> dict[str, float]:
    """Measure the relative error of gradients at each depth, and their relative size at the border.

    Args:
        task: The job.
        scale_objective: Its last level at scale 1, with measured moments.
        canvas: The canvas.
        apron: Width of the patches' context, in pixels.
    """
    level = task.levels[-1]
    near = [task.network.layers[name] for name in task.scale_groups(level)[1].values()]
    extent, halo = level.extent, 2 * exact_halo(near)
    sums = torch.zeros(len(DEPTHS), 3, dtype=torch.float64)
    for patch in grid_patches(
        extent, task.patch_side, scale_objective.unit, SweepRng(3, 0, 0), context=PatchContext(apron=apron)
    ):
        tiled = owned(scale_objective, canvas, patch)
        exact = owned(scale_objective, canvas, replace(patch, read=patch.read.padded(halo)))
        depth_map = distances(patch)
        for index, depth in enumerate(DEPTHS):
            approximate, true = tiled[:, depth_map == depth].double(), exact[:, depth_map == depth].double()
            values = (approximate - true).square().sum(), approximate.square().sum(), true.square().sum()
            sums[index] += torch.stack(values)
    error, size = (sums[:, :2] / sums[:, 2:]).sqrt().T.tolist()
    return {f"error at {k}": e for k, e in zip(DEPTHS, error, strict=True)} | {"size at 0": size[0]}


def main() -> None:
    """Measure and print the table."""
    arguments = parser(__doc__, 512)
    arguments.add_argument(
        "--laps", nargs="+", type=int, default=[0, 1, 2, 4, 8], help="widths of the context, pixels"
    )
    options = arguments.parse_args()
    rows: list[dict[str, Any]] = []
    for name in options.networks:
        for pair in PAIRS[: options.pairs]:
            task = job(pair, settings(options, name, quality=Quality.DRAFT))
            canvas, level = finished(task), task.levels[-1]
            scale_objective = LevelObjective(task, level, level_planes(task, level)).scale_objective(1)
            scale_objective.measure_exact_moments(canvas, SweepRng(0, 0, 0), calibrate=False)
            for apron in options.laps:
                row = {"network": name, "content": pair[0], "style": pair[1], "lap": apron}
                rows.append(row | errors(task, scale_objective, canvas, apron))
                print(rows[-1], flush=True)
    report(rows, "gradients near patch borders against exact ones", options.keep)


if __name__ == "__main__":
    main()
