"""How far from exact is a patch's gradient near its border, and what does it help to see a little beyond?

Takes one sweep's patches of a finished draft. Each patch's gradient is compared with that of the same patch
seen with surroundings as wide as the widest receptive field, which is exact, at pixels so many from the border
of what the patch owns: norm of the difference and norm of the gradient, over the exact norm. Layers that are
seen from afar are left out.

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
from tilestyle.geometry.rng import Draw
from tilestyle.geometry.sampling import Around, covering
from tilestyle.losses.level import Sight
from tilestyle.losses.scale_objective import View
from tilestyle.networks.base import exact_halo
from tilestyle.planning.job import Job

DEPTHS = (0, 1, 2, 4, 8, 16, 32)  # pixels from the border


def distances(patch: Patch) -> Tensor:
    """Of every pixel owned, to the nearest border: [height, width]."""
    height, width = patch.owned.height, patch.owned.width
    rows, columns = torch.arange(height), torch.arange(width)
    down, across = torch.minimum(rows, height - 1 - rows), torch.minimum(columns, width - 1 - columns)
    return torch.minimum(down[:, None], across[None])


def owned(view: View, canvas: Canvas, patch: Patch) -> Tensor:
    """The gradient [3, height, width] of what a patch owns."""
    gradient = view.objective.gradient(view.window(canvas, patch), patch)
    box = patch.inside
    return gradient[:, box.top : box.top + box.height, box.left : box.left + box.width]


def errors(task: Job, view: View, canvas: Canvas, lap: int) -> dict[str, float]:
    """Relative error and size of gradients by depth."""
    level = task.levels[-1]
    near = [task.network.layers[name] for name in task.octaves(level)[1].values()]
    extent, halo = level.extent, 2 * exact_halo(near)
    sums = torch.zeros(len(DEPTHS), 3, dtype=torch.float64)
    for patch in covering(extent, task.side, view.unit, Draw(3, 0, 0), around=Around(lap=lap)):
        found = owned(view, canvas, patch)
        exact = owned(view, canvas, replace(patch, read=patch.read.widened(halo)))
        depth = distances(patch)
        for index, each in enumerate(DEPTHS):
            one, other = found[:, depth == each].double(), exact[:, depth == each].double()
            values = (one - other).square().sum(), one.square().sum(), other.square().sum()
            sums[index] += torch.stack(values)
    error, size = (sums[:, :2] / sums[:, 2:]).sqrt().T.tolist()
    return {f"error at {k}": e for k, e in zip(DEPTHS, error, strict=True)} | {"size at 0": size[0]}


def main() -> None:
    """Run the table."""
    arguments = parser(__doc__, 512)
    arguments.add_argument("--laps", nargs="+", type=int, default=[0, 1, 2, 4, 8], help="patch pixels")
    options = arguments.parse_args()
    rows: list[dict[str, Any]] = []
    for name in options.networks:
        for pair in PAIRS[: options.pairs]:
            task = job(pair, settings(options, name, quality=Quality.DRAFT))
            canvas, level = finished(task), task.levels[-1]
            view = Sight(task, level).view(1)
            view.measure(canvas, Draw(0, 0, 0), lasting=False)
            for lap in options.laps:
                row = {"network": name, "content": pair[0], "style": pair[1], "lap": lap}
                rows.append(row | errors(task, view, canvas, lap))
                print(rows[-1], flush=True)
    report(rows, "gradients near patch borders against exact ones", options.keep)


if __name__ == "__main__":
    main()
