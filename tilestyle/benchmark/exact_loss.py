"""Compute the exact loss of a whole canvas at once, by the untiled reference."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from tilestyle.canvas.canvas import read_box
from tilestyle.geometry.boxes import Box
from tilestyle.geometry.rng import SweepRng
from tilestyle.losses.planes import level_planes
from tilestyle.losses.style_statistics import style_moments
from tilestyle.planning.job import Job
from tilestyle.reference.untiled_losses import canvas_moments, content_loss, style_loss

PLACEMENTS = 12


def exact_loss(job: Job, pixels: Tensor) -> tuple[float, float]:
    """Compute the weighted style and content losses of a canvas [3, H, W] of the last level."""
    return _losses(job, pixels, [(0, 0)])


def placed_loss(job: Job, pixels: Tensor) -> tuple[float, float]:
    """Average `exact_loss` over random placements of the canvas [3, H, W] on the network's grid.

    A network's pooling makes the loss depend on where a picture lies on its grid, which is not visible.
    """
    offsets = (SweepRng(0, 0, 0).integers(2 * PLACEMENTS) % (2 * job.unit)).astype(int) - job.unit
    return _losses(job, pixels, [(top, left) for top, left in offsets.reshape(-1, 2).tolist()])


def _losses(job: Job, pixels: Tensor, places: Sequence[tuple[int, int]]) -> tuple[float, float]:
    """The mean losses of style and content, with the canvas shifted by each of `places` (down, right)."""
    level = job.levels[-1]
    layer_moments, planes = style_moments(job, level)[0], level_planes(job, level)
    style_sum, content_sum = 0.0, 0.0
    for top, left in places:
        box = Box(top, left, level.extent.height, level.extent.width)
        shifted = read_box(pixels, box)
        with torch.no_grad():
            style_sum += float(style_loss(job, canvas_moments(job, shifted), layer_moments))
            target, weights = (
                None if plane is None else read_box(plane, box)
                for plane in (planes.content, planes.content_factors)
            )
            content_sum += float(content_loss(job, shifted, target, factors=weights))
    return job.weights.style * style_sum / len(places), job.weights.content * content_sum / len(places)
