"""Estimate how long a render takes: the work of its plan, times costs that were measured on this machine.

The model is in planning/time_model.py. What is here: the amounts of work of a plan, the kind of render that
costs belong to, and the measurement of costs that are not known yet.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import Any

import torch

from tilestyle.canvas.storage import MappedStore, MemoryStore
from tilestyle.config.enums import Init, Optimizer, StyleLoss
from tilestyle.devices.failures import is_out_of_memory, may_be_out_of_memory
from tilestyle.devices.malloc import release_cached_memory
from tilestyle.devices.timer import synchronized_time
from tilestyle.geometry.boxes import Box
from tilestyle.geometry.sampling import halo_tiles
from tilestyle.losses.level import measurement_interval
from tilestyle.losses.style_statistics import sizes_shown
from tilestyle.networks.base import exact_halo
from tilestyle.optim.loop import optimize
from tilestyle.pipeline import timings
from tilestyle.pipeline.checkpoint import ResumePoint
from tilestyle.pipeline.time_left import PRIOR_SHARE_LEARNED, PRIOR_SHARE_PROBED, LevelTimes
from tilestyle.planning.job import Job
from tilestyle.planning.schedule import Level, Pyramid, patch_count, plan_levels
from tilestyle.planning.style_images import Exemplar
from tilestyle.planning.time_model import (
    END,
    LEVEL,
    SWEEP,
    LevelForecast,
    LevelWork,
    Sample,
    StageModel,
    forecast,
)

PROBE_SWEEPS = 3  # sweeps that are timed; the fastest counts
WORTH_MEASURING = 10  # a render with less than that many times their work is over before it would be measured
# Limits of a measurement: seconds, and a share of the render.
MAX_PROBE_SECONDS, MAX_PROBE_SHARE = 4.0, 0.1
# A size is known if work of at least this fraction of it was timed.
KNOWN_SHARE = 0.4
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
        """What the costs depend on besides the amounts of work, as JSON."""
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

    def works(self) -> tuple[LevelWork, ...]:
        """Return the work of every level."""
        return tuple(self._work(level) for level in self.job.levels)

    @property
    def ending(self) -> tuple[float, ...]:
        """Amounts of the stage after the last sweep."""
        return (1.0, self.job.size.area / 1e6)

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


@dataclass(frozen=True)
class Repeated:
    """Renders of the same plan.

    Attributes:
        name: What they make, such as "later frames".
        outline: The plan of one.
        count: How many there are.
        shares_style: Whether the style is measured once for all.
    """

    name: str
    outline: Outline
    count: int = 1
    shares_style: bool = False

    def seconds(self) -> float | None:
        """Estimate the time of all, as `estimate_outline`."""
        once = estimate_outline(self.outline)
        if once is None:
            return None
        prepared = sum(level.preparation for level in known_forecast(self.outline).levels)
        return once + (self.count - 1) * (once - prepared if self.shares_style else once)


@dataclass(frozen=True)
class Forecast:
    """What a render is expected to take.

    Attributes:
        levels: Its levels.
        ending: Seconds after the last sweep.
        prior_share: How much this counts against what is measured (pipeline/time_left.py).
    """

    levels: tuple[LevelForecast, ...]
    ending: float
    prior_share: float

    @property
    def seconds(self) -> float:
        """Seconds in total."""
        return sum(level.seconds for level in self.levels) + self.ending


def estimate_seconds(job: Job) -> float | None:
    """Estimate the time that a job takes, reading its pictures and writing the result excepted.

    What is not known yet of this kind of render on this machine is measured first, for a few seconds at most.

    Returns:
        Seconds. None if nothing is known and the render takes hardly longer than a measurement, or if memory or
        time runs out during the measurement. The render can still succeed then, with smaller patches.
    """
    outline = Outline.of(job)
    return estimate_outline(outline, measures=_is_worth_measuring(job))


def _is_worth_measuring(job: Job) -> bool:
    """Whether a render takes much longer than the measurement on its coarsest level."""
    work = sum(equivalent_sweeps(job, level) * level.extent.area for level in job.levels)
    return work > WORTH_MEASURING * PROBE_SWEEPS * job.levels[0].extent.area


def estimate_outline(outline: Outline, *, measures: bool = True) -> float | None:
    """Estimate the time of a render that has been planned, as `estimate_seconds`.

    Args:
        outline: The render.
        measures: Whether to measure what is not known.
    """
    try:
        if measures:
            measure_costs(outline)
        expected = known_forecast(outline)
        return expected.seconds if expected.prior_share else None
    except (RuntimeError, MemoryError, OSError) as error:
        if not (is_out_of_memory(error) or may_be_out_of_memory(error)):
            raise
    # not in the handler: there the exception still refers to the tensors of its traceback
    release_cached_memory()
    return None


def known_forecast(outline: Outline) -> Forecast:
    """Return what a render is expected to take, from what is known. Nothing is measured."""
    samples = timings.recall(outline.kind)
    sweep = StageModel(SWEEP, samples.get(SWEEP, ()))
    share = PRIOR_SHARE_LEARNED if sweep.is_learned else PRIOR_SHARE_PROBED if sweep.is_measured else 0.0
    ending = StageModel(END, samples.get(END, ())).seconds(outline.ending)
    return Forecast(forecast(outline.works(), samples), ending, share)


def measure_costs(outline: Outline) -> None:
    """Measure the costs of this kind of render that are not known yet, on small canvases of noise."""
    works, kind = outline.works(), outline.kind
    samples = timings.recall(kind)
    sizes = [work.sweep[-1] for work in works]
    known = [sample.amounts[-1] for sample in samples.get(SWEEP, ())]
    # Beyond a few patches, the cost of a pixel is the same at any size.
    patch = (outline.job.patch_side + 2 * outline.job.config.margin) ** 2 / 1e6
    wanted = KNOWN_SHARE * min(max(sizes), patch)
    if known and max(known) >= wanted:
        return
    probed: dict[str, list[Sample]] = {LEVEL: [], SWEEP: []}
    if not known:
        _probe(outline, _side(outline, 0), 1, {})  # one-time work of the libraries
        _probe(outline, _side(outline, 0), PROBE_SWEEPS, probed)
    so_far = {stage: [*samples.get(stage, ()), *probed[stage]] for stage in (LEVEL, SWEEP)}
    predicted = forecast(works, so_far)
    budget = min(MAX_PROBE_SECONDS, MAX_PROBE_SHARE * sum(level.seconds for level in predicted))
    affordable = [
        index
        for index, level in enumerate(predicted)
        if level.preparation + PROBE_SWEEPS * level.sweep <= budget and sizes[index] <= patch
    ]
    if affordable and affordable[-1] > 0:
        _probe(outline, _side(outline, affordable[-1]), PROBE_SWEEPS, probed)
    timings.remember(kind, probed)


def _side(outline: Outline, index: int) -> int:
    """Return the long side of a level's picture, pixels; at most that of a patch."""
    picture = outline.job.levels[index].extent.picture
    return min(max(picture.height, picture.width), outline.job.patch_side)


def _probe(outline: Outline, side: int, sweeps: int, samples: dict[str, list[Sample]]) -> None:
    """Time some sweeps of a square canvas of noise, and add what they took to the samples.

    Args:
        outline: The render.
        side: Side of the picture, pixels.
        sweeps: Number of sweeps.
        samples: Gets the samples, by stage; empty: they are not wanted.
    """
    small = _noise_job(outline, side, sweeps)
    ends = [synchronized_time(small.network.device)]
    optimize(
        small,
        lambda level: None,
        lambda *progress: ends.append(synchronized_time(small.network.device)),
        lambda: synchronized_time(small.network.device) - ends[0] > 2 * MAX_PROBE_SECONDS,
    )
    laps = [after - before for before, after in pairwise(ends)]
    if not samples or not laps:
        return
    (work,) = Outline.of(small).works()
    fastest = min(laps[1:] or laps)  # a busy machine may not get beyond the first
    samples[SWEEP].append(Sample(work.sweep, fastest, probed=True))
    _, *others = work.preparation
    samples[LEVEL].append(Sample((1.0, 0.0, *others[1:]), max(laps[0] - fastest, 1e-6), probed=True))


def _noise_job(outline: Outline, side: int, sweeps: int) -> Job:
    """Return a job of one level with noise for pictures, and otherwise as this render."""
    job = outline.job
    random = torch.Generator().manual_seed(0)
    config = replace(
        job.config,
        size=(side, side),
        sweeps=sweeps,
        style_scale=1.0,
        mask=None,
        blend_map=None,
        content_map=None,
        style_blend=(),
        init=None,
        anchor=None,
        trust=None,
    )
    levels = plan_levels(side, side, config, Pyramid(side, job.patch_side, job.unit))

    def noise() -> torch.Tensor:
        return torch.rand(3, side, side, generator=random)

    return replace(
        job,
        config=config,
        size=Box(0, 0, side, side),
        levels=levels,
        styles=(Exemplar(noise()),) if outline.styles else (),
        region_weights=None,
        content=noise() if outline.has_content else None,
        content_colors=None,
        alpha=None,
        init=Init.CONTENT if outline.has_content else Init.NOISE,
        store=MemoryStore(job.canvas_device),  # without the other processes
        anchor=None,
        trust=None,
        style_cache=None,
        content_map=None,
    )


def samples_of(
    outline: Outline,
    levels: Sequence[LevelTimes],
    resumed: ResumePoint | None,
    ending: float,
    *,
    complete: bool,
) -> Mapping[str, list[Sample]]:
    """Return what a render took as samples of the model, by stage.

    Args:
        outline: The render.
        levels: What its levels took.
        resumed: Where an earlier run left it. The first sweep after that may be a part of one.
        ending: Seconds after the last sweep.
        complete: Whether it ran to its end, rather than being stopped.
    """
    works = outline.works()
    samples: dict[str, list[Sample]] = {LEVEL: [], SWEEP: [], END: []}
    for level in levels:
        work = works[level.index]
        if level.sweep is None:
            continue
        samples[SWEEP].append(Sample(work.sweep, level.sweep))
        if level.first is None or outline.style_measured:
            continue
        if not (resumed and level.index == resumed.level):
            samples[LEVEL].append(Sample(work.preparation, max(level.first - level.sweep, 1e-6)))
    if complete:
        samples[END].append(Sample(outline.ending, max(ending, 1e-6)))
    return samples


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
