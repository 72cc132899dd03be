"""Planes of a level: content, content map and regions of a job at the size of its canvas, with its margin."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor

from tilestyle.canvas.content_map import ContentMap
from tilestyle.canvas.margin import with_margin
from tilestyle.canvas.regions import RegionWeights
from tilestyle.canvas.resample import Filter
from tilestyle.planning.job import Job
from tilestyle.planning.schedule import Level


@dataclass(frozen=True)
class LevelPlanes:
    """What a level needs at the size of its canvas.

    Attributes:
        content: The content, [3, H, W]; None without content.
        content_map: Factor of the content weight at every pixel; None: 1 everywhere.
        regions: Weights of the regions; None: the canvas is one region.
    """

    content: Tensor | None
    content_map: ContentMap | None
    regions: RegionWeights | None

    @property
    def content_factors(self) -> Tensor | None:
        """Factor of the content weight at every pixel, [1, H, W]; None: all 1."""
        return None if self.content_map is None else self.content_map.plane


def level_planes(job: Job, level: Level) -> LevelPlanes:
    """Resample the content, the content map and the regions of a job to the canvas of a level."""
    extent, store = level.extent, job.store
    content = None if job.content is None else with_margin(job.content, extent, store, clamped=True)
    factors = None if job.content_map is None else with_margin(job.content_map, extent, store, Filter.LINEAR)
    content_map = None if factors is None else ContentMap(factors)
    return LevelPlanes(content, content_map, region_weights(job, level))


def region_weights(job: Job, level: Level) -> RegionWeights | None:
    """Return the weights of the regions over a level's canvas; None without regions."""
    if job.region_weights is None:
        return None
    return RegionWeights(with_margin(job.region_weights, level.extent, job.store, Filter.LINEAR))
