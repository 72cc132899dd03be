"""The exact loss of a whole canvas, all of it seen at once, as the specification has it."""

from __future__ import annotations

import torch
from torch import Tensor

from tilestyle.canvas import read
from tilestyle.draw import Draw
from tilestyle.geometry import Box
from tilestyle.job import Job
from tilestyle.untiled import content_loss, style_loss, whole_moments

PLACEMENTS = 12


def exact_loss(job: Job, pixels: Tensor, top: int = 0, left: int = 0) -> tuple[float, float]:
    """Weighted style and content of a last level's canvas [3, H, W] moved by `top`, `left` on its torus."""
    level = job.levels[-1]
    box = Box(top, left, level.extent.height, level.extent.width)
    pixels, content = read(pixels, box), job.content_plane(level)
    with torch.no_grad():
        style = style_loss(job, whole_moments(job, pixels), job.style_moments(level)[0])
        kept = content_loss(job, pixels, None if content is None else read(content, box))
    return job.weights.style * float(style), job.weights.content * float(kept)


def placed_loss(job: Job, pixels: Tensor) -> tuple[float, float]:
    """Mean of `exact_loss` over random placements on the deepest stride.

    Networks halve what they see, so a picture's loss depends on where it lies on their grid, which no eye
    can tell.
    """
    places = (Draw(0, 0, 0).integers(2 * PLACEMENTS) % (2 * job.unit)).astype(int) - job.unit
    losses = [exact_loss(job, pixels, *place) for place in places.reshape(-1, 2).tolist()]
    return sum(style for style, _ in losses) / PLACEMENTS, sum(kept for _, kept in losses) / PLACEMENTS
