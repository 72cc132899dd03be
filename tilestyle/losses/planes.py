"""Pictures of a job at the size of a level, with its margin."""

from __future__ import annotations

from torch import Tensor

from tilestyle.canvas.canvas import fill
from tilestyle.canvas.regions import Regions
from tilestyle.canvas.resample import Filter
from tilestyle.planning.job import Job
from tilestyle.planning.schedule import Level


def region_weights(job: Job, level: Level) -> Regions | None:
    """The regions of a level's canvas; None where all of it is one."""
    if job.layout is None:
        return None
    plane = job.store.zeros(len(job.layout), level.extent.height, level.extent.width)
    fill(plane, level.extent, job.layout, Filter.LINEAR, ranks=job.ranks)
    return Regions(plane)


def content_plane(job: Job, level: Level) -> Tensor | None:
    """The content at the level's size with its margin, [3, H, W]."""
    if job.content is None:
        return None
    return level_plane(job, job.content, level)


def level_plane(job: Job, picture: Tensor, level: Level, name: str = "") -> Tensor:
    """Return a picture [3, h, w] at a level's size with its margin, [3, H, W].

    Args:
        job: The render.
        picture: Values from 0 to 1, of any size.
        level: What it is made for.
        name: Name of the plane in the store.
    """
    plane = job.store.zeros(3, level.extent.height, level.extent.width, name)
    fill(plane, level.extent, picture, clamped=True, ranks=job.ranks)
    return plane
