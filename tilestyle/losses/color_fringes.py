"""The finish: in the last sweeps of the finest level, coloured fringes that the style has not are taken out."""

from __future__ import annotations

from math import sqrt

from torch import Tensor

from tilestyle.canvas.canvas import ROWS, resized
from tilestyle.canvas.storage import touched
from tilestyle.geometry.boxes import shrunk
from tilestyle.losses.style_statistics import style_side
from tilestyle.planning.job import Job
from tilestyle.planning.schedule import Level, is_finishing
from tilestyle.stats.color_fringes import fringes_gradient, roughness

# Weight of the term, of a style's 1. Measured: docs/algorithm.md.
WEIGHT = 10.0


class Finish:
    """What the last sweeps add to the gradient of a level."""

    def __init__(self, job: Job, level: Level) -> None:
        self._level = level
        self._usual = usual_roughness(job, level) if is_finishing(job.config, level, level.sweeps - 1) else None
        self._config = job.config

    def at(self, sweep: int) -> bool:
        """Whether they add anything in this sweep."""
        return self._usual is not None and is_finishing(self._config, self._level, sweep)

    def gradient(self, window: Tensor) -> Tensor:
        """Gradient of the term, times the canvas's pixels, in a window [3, height, width] of the canvas.

        It is exact but for two pixels at the edges of the window.
        """
        assert self._usual is not None, "there is something to add"
        return fringes_gradient(window, self._usual).mul_(WEIGHT)


def usual_roughness(job: Job, level: Level) -> float | None:
    """Size of second differences of chroma that a style has at the level: root of their mean square.

    Of the roughest style; None without one.
    """
    found = []
    for style in job.styles:
        height, width = style.picture.shape[1:]
        size = shrunk(height, width, style_side(job, style, level, 1))
        plane = resized(style.picture, size, store=job.beside)
        total, count = 0.0, 0
        for top in range(0, size.height, ROWS):
            strip = plane[:, max(0, top - 2) : top + ROWS]
            squares, many = roughness(strip)
            total, count = total + squares, count + many
            touched(strip)
        found.append(sqrt(total / max(count, 1)))
    return max(found, default=None)
