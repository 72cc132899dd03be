"""What a planned render has to do: its kind and its amounts of work, as planning/time_model.py has them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch

from tilestyle.canvas.storage import MappedStore
from tilestyle.config.enums import Optimizer, StyleLoss
from tilestyle.geometry.sampling import halo_tiles
from tilestyle.losses.level import measurement_interval
from tilestyle.losses.style_statistics import sizes_shown
from tilestyle.networks.base import exact_halo
from tilestyle.pipeline import timings
from tilestyle.pipeline.resume_point import ResumePoint
from tilestyle.pipeline.time_left import LevelTimes
from tilestyle.planning.job import Job
from tilestyle.planning.schedule import Level, patch_count
from tilestyle.planning.time_model import END, LEVEL, SWEEP, LevelWork, Sample

# Cost of a forward pass for exact moments, as a fraction of a sweep. It covers more pixels than the canvas has.
FORWARD_COST = 0.5


@dataclass(frozen=True)
class Outline:
    """A render that has been planned, with or without its pictures.

    Attributes:
        job: The plan. Without pictures it cannot be rendered.
        styles: Height and width of each style.
        has_content: Whether there is a content.
        regions: Regions with moments of their own.
        mapped: Whether canvas and pictures are memory-mapped.
        style_measured: Whether an earlier render of a series has measured the style for this one.
    """

    job: Job
    styles: tuple[tuple[int, int], ...]
    has_content: bool
    regions: int = 1
    mapped: bool = False
    style_measured: bool = False

    @classmethod
    def of(cls, job: Job) -> Outline:
        """Return that of a job with its pictures."""
        sizes = tuple((style.picture.shape[1], style.picture.shape[2]) for style in job.styles)
        regions = len(job.styles[0].shares) if job.styles else 1
        mapped, measured = isinstance(job.store, MappedStore), bool(job.style_cache)
        return cls(job, sizes, job.content is not None, regions, mapped, measured)

    @property
    def kind(self) -> dict[str, Any]:
        """What the costs depend on other than the amounts of work, as JSON."""
        job, weights = self.job, self.job.weights
        return {
            **timings.this_machine(job.network.device),
            "canvas": f"{job.canvas_device.type}{' mapped' * self.mapped}",
            "processes": job.comm.world_size,
            "network": [
                str(job.config.network),
                str(job.network.dtype),
                job.network.multiply_adds_per_pixel(weights.layer_names),
            ],
            "layers": [sorted(weights.style_layers), sorted(weights.content_layers)],
            "patch": job.patch_side,
            "halo": job.halo,
            "terms": [
                self.has_content,
                bool(weights.palette),
                bool(weights.tv),
                sorted(weights.arrangement_layers),
                job.config.finish,
                job.config.anchor is not None,
            ],
            "losses": [str(job.config.style_loss), str(weights.content_loss), str(job.config.normalize)],
            "settings": [
                str(job.config.optimizer),
                job.history,
                job.content_kept,
                str(job.config.sampler),
                list(job.config.scale_odds),
                bool(job.config.locality),
                self.regions > 1,
                str(job.config.color),
                job.config.deterministic,
            ],
        }

    @property
    def works(self) -> tuple[LevelWork, ...]:
        """The work of every level."""
        return tuple(self._work(level) for level in self.job.levels)

    @property
    def coarse_sweeps(self) -> float:
        """The work of all levels, as sweeps of the coarsest."""
        work = sum(equivalent_sweeps(self.job, level) * level.extent.area for level in self.job.levels)
        return work / self.job.levels[0].extent.area

    @property
    def ending(self) -> tuple[float, ...]:
        """Amounts of the stage after the last sweep."""
        return (1.0, self.job.size.area / 1e6)

    def samples(
        self, levels: Sequence[LevelTimes], resumed: ResumePoint | None, ending: float, *, complete: bool
    ) -> Mapping[str, list[Sample]]:
        """Return what the render took as samples of the model, by stage.

        Args:
            levels: What its levels took.
            resumed: Where an earlier run left it. The first sweep after that may be a part of one.
            ending: Seconds after the last sweep.
            complete: Whether it ran to its end, rather than being stopped.
        """
        works = self.works
        # What a render waits for on another device does not tell how busy the processor is.
        threads = torch.get_num_threads() if self.job.network.device.type == "cpu" else None
        samples: dict[str, list[Sample]] = {LEVEL: [], SWEEP: [], END: []}
        for level in levels:
            work = works[level.index]
            if level.sweep is None:
                continue
            share = level.processor_share(threads) if threads else 1.0
            samples[SWEEP].append(Sample(work.sweep, level.sweep, processor_share=share))
            if level.first is None or self.style_measured:
                continue
            if not (resumed and level.index == resumed.level):
                seconds = max(level.first - level.sweep, 1e-6)
                samples[LEVEL].append(Sample(work.preparation, seconds, processor_share=share))
        if complete:
            samples[END].append(Sample(self.ending, max(ending, 1e-6)))
        return samples

    def _work(self, level: Level) -> LevelWork:
        job, megapixels = self.job, level.extent.area / 1e6
        sharing = min(job.comm.world_size, patch_count(level.extent, job.patch_side))
        distances = float(self.regions)
        if job.config.locality:
            distances *= patch_count(level.extent, job.patch_side_at(level)) / sharing
        turns = 4 if job.config.turn_style else 1
        shown = sum(
            box.area for size in self.styles for box, _ in sizes_shown(job, size, self._style_side(level, size))
        )
        passes = equivalent_sweeps(job, level) / level.sweeps
        return LevelWork(
            level.sweeps,
            (float(self.regions), float(level.index == 0), turns * shown / 1e6, megapixels),
            (distances, passes * megapixels / sharing),
        )

    def _style_side(self, level: Level, size: tuple[int, int]) -> float:
        """Return the long side at which a style is shown at a level (style_statistics.style_side)."""
        if not self.has_content:
            return self.job.config.style_scale * level.size_ratio * max(size)
        return self.job.config.style_scale * max(level.extent.picture.height, level.extent.picture.width)


def equivalent_sweeps(job: Job, level: Level) -> float:
    """Return the number of plain sweeps, per pixel, that cost as much as all work on a level.

    A plain sweep is one of a level that a single patch covers. The extra work is that of exact moments, and
    with L-BFGS that of the halos.
    """
    if job.config.optimizer is Optimizer.ADAM:
        return level.sweeps + FORWARD_COST * measurement_count(job, level)
    layers = [job.network.layers[name] for name in job.scale_groups(level)[1].values()]
    unit = max(layer.stride for layer in layers)
    patches = halo_tiles(level.extent, job.patch_side, unit, exact_halo(layers))
    read_share = sum(patch.read.area for patch in patches) / level.extent.area
    return level.sweeps * (1.0 if len(patches) == 1 else (1 + FORWARD_COST) * read_share)


def measurement_count(job: Job, level: Level) -> int:
    """Return how many sweeps of a level start with a forward pass for the exact moments of the canvas.

    There is none if one patch covers the canvas, or if nothing compares global moments.
    """
    if patch_count(level.extent, job.patch_side_at(level)) == 1 or not job.weights.style_layers:
        return 0
    if job.config.locality == 1:
        return 0
    if job.config.style_loss is not StyleLoss.W2:
        return level.sweeps
    receptive_field = max(
        job.network.layers[name].receptive_field for name in job.scale_groups(level)[1].values()
    )
    late = (4 * sweep >= 3 * level.sweeps for sweep in range(level.sweeps))
    return sum(
        sweep % measurement_interval(job.patch_side_at(level), receptive_field, late=end) == 0
        for sweep, end in enumerate(late)
    )
