"""The exact loss of a whole canvas, all of it seen at once, as the specification has it."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from tilestyle.canvas.canvas import read
from tilestyle.geometry.boxes import Box
from tilestyle.geometry.rng import Draw
from tilestyle.losses.planes import content_plane
from tilestyle.losses.style_statistics import style_moments
from tilestyle.planning.job import Job
from tilestyle.reference.untiled_losses import content_loss, style_loss, whole_moments

PLACEMENTS = 12


def exact_loss(job: Job, pixels: Tensor) -> tuple[float, float]:
    """Weighted style and content of a last level's canvas [3, H, W]."""
    return _losses(job, pixels, [(0, 0)])


def placed_loss(job: Job, pixels: Tensor) -> tuple[float, float]:
    """Mean of `exact_loss` over random placements on the deepest stride.

    Networks halve what they see, so a picture's loss depends on where it lies on their grid, which no eye
    can tell.
    """
    places = (Draw(0, 0, 0).integers(2 * PLACEMENTS) % (2 * job.unit)).astype(int) - job.unit
    return _losses(job, pixels, [(top, left) for top, left in places.reshape(-1, 2).tolist()])


def _losses(job: Job, pixels: Tensor, places: Sequence[tuple[int, int]]) -> tuple[float, float]:
    """Means of style and content, the canvas moved by each of these (down, right) on its torus."""
    level = job.levels[-1]
    goal, content = style_moments(job, level)[0], content_plane(job, level)
    style, kept = 0.0, 0.0
    for top, left in places:
        box = Box(top, left, level.extent.height, level.extent.width)
        moved = read(pixels, box)
        with torch.no_grad():
            style += float(style_loss(job, whole_moments(job, moved), goal))
            kept += float(content_loss(job, moved, None if content is None else read(content, box)))
    return job.weights.style * style / len(places), job.weights.content * kept / len(places)
