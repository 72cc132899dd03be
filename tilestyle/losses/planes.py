"""Planes of a level: content, content map and regions of a job at the size of its canvas, with its margin."""

from __future__ import annotations

from torch import Tensor

from tilestyle.canvas.content_map import ContentMap
from tilestyle.canvas.margin import with_margin
from tilestyle.canvas.regions import RegionWeights
from tilestyle.canvas.resample import Filter
from tilestyle.planning.job import Job
from tilestyle.planning.schedule import Level


def region_weights(job: Job, level: Level) -> RegionWeights | None:
    """Return the weights of the regions over a level's canvas; None without regions."""
    if job.region_weights is None:
        return None
    return RegionWeights(with_margin(job.region_weights, level.extent, job.store, Filter.LINEAR))


def content_plane(job: Job, level: Level) -> Tensor | None:
    """Return the content at a level's size with its margin, [3, H, W]; None without content."""
    return None if job.content is None else with_margin(job.content, level.extent, job.store, clamped=True)


def content_factors(job: Job, level: Level) -> Tensor | None:
    """Return the factor of the content weight at every pixel of a level's canvas, [1, H, W]; None: all 1."""
    if job.content_map is None:
        return None
    return with_margin(job.content_map, level.extent, job.store, Filter.LINEAR)


def content_map(job: Job, level: Level) -> ContentMap | None:
    """Return the content map over a level's canvas; None without one."""
    factors = content_factors(job, level)
    return None if factors is None else ContentMap(factors)
