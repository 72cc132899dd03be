"""Planes of a level: pictures and regions of a job at the size of its canvas, margin included."""

from __future__ import annotations

from torch import Tensor

from tilestyle.canvas.canvas import fill_with_margin
from tilestyle.canvas.regions import RegionWeights
from tilestyle.canvas.resample import Filter
from tilestyle.planning.job import Job
from tilestyle.planning.schedule import Level


def region_weights(job: Job, level: Level) -> RegionWeights | None:
    """Return the weights of the regions over a level's canvas; None without regions."""
    if job.region_weights is None:
        return None
    plane = job.store.zeros(len(job.region_weights), level.extent.height, level.extent.width)
    fill_with_margin(plane, level.extent, job.region_weights, Filter.LINEAR, comm=job.comm)
    return RegionWeights(plane)


def content_plane(job: Job, level: Level) -> Tensor | None:
    """Return the content at a level's size with its margin, [3, H, W]; None without content."""
    if job.content is None:
        return None
    return level_plane(job, job.content, level)


def level_plane(job: Job, picture: Tensor, level: Level, name: str = "") -> Tensor:
    """Return a picture [3, h, w] at a level's size with its margin, [3, H, W].

    Args:
        job: The render.
        picture: Values from 0 to 1, of any size.
        level: The level.
        name: Name of the plane in the store.
    """
    plane = job.store.zeros(3, level.extent.height, level.extent.width, name)
    fill_with_margin(plane, level.extent, picture, clamped=True, comm=job.comm)
    return plane
