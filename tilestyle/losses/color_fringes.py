"""The loss against color fringes, in the last sweeps of the finest level (`--no-finish` turns it off)."""

from __future__ import annotations

from math import sqrt

from torch import Tensor

from tilestyle.canvas.mapped_pages import note_mapped_access
from tilestyle.canvas.resize import resize
from tilestyle.canvas.storage import STRIP_ROWS
from tilestyle.losses.style_statistics import style_size
from tilestyle.planning.job import Job
from tilestyle.planning.schedule import Level, is_finishing
from tilestyle.stats.color_fringes import fringe_loss_gradient, roughness_sum

# Weight, where the style loss has 1; measurements are in docs/algorithm.md.
FRINGE_WEIGHT = 10.0


class FringeLoss:
    """Removes fringes of chroma that the style does not have.

    The loss is the mean of max(0, |second differences of chroma| - s)^2, where s is the style's own roughness.
    """

    def __init__(self, job: Job, level: Level) -> None:
        self._level = level
        self._style_roughness = (
            style_roughness(job, level) if is_finishing(job.config, level, level.sweeps - 1) else None
        )
        self._config = job.config

    def is_active(self, sweep: int) -> bool:
        """Return whether the loss is used in this sweep."""
        return self._style_roughness is not None and is_finishing(self._config, self._level, sweep)

    def gradient(self, window: Tensor) -> Tensor:
        """Compute the gradient of the loss, times the number of canvas pixels.

        Args:
            window: Pixels of the canvas, [3, height, width].

        Returns:
            The gradient in them, [3, height, width]; exact except in the outermost two pixels.
        """
        assert self._style_roughness is not None, "the loss is not used on this level"
        return fringe_loss_gradient(window, self._style_roughness).mul_(FRINGE_WEIGHT)


def style_roughness(job: Job, level: Level) -> float | None:
    """Measure the roughness of chroma in the styles at the size of a level.

    Returns:
        The root mean square of second differences of chroma, of the roughest style; None without styles.
    """
    values = []
    for style in job.styles:
        size = style_size(job, style, level)
        plane = resize(style.picture, size, store=job.local_store)
        total, count = 0.0, 0
        for top in range(0, size.height, STRIP_ROWS):
            strip = plane[:, max(0, top - 2) : top + STRIP_ROWS]
            strip_sum, strip_count = roughness_sum(strip)
            total, count = total + strip_sum, count + strip_count
            note_mapped_access(strip)
        values.append(sqrt(total / max(count, 1)))
    return max(values, default=None)
