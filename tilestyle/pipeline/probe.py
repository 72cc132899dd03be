"""Measure what a kind of render costs on this machine, on small canvases of noise."""

from __future__ import annotations

import time
from dataclasses import replace
from itertools import pairwise

import torch

from tilestyle.canvas.storage import MemoryStore
from tilestyle.config.enums import Init
from tilestyle.devices.timer import synchronized_time
from tilestyle.geometry.boxes import Box
from tilestyle.optim.loop import optimize
from tilestyle.pipeline import timings
from tilestyle.pipeline.outline import Outline
from tilestyle.pipeline.time_left import LevelTimes
from tilestyle.planning.job import Job
from tilestyle.planning.schedule import Pyramid, plan_levels
from tilestyle.planning.style_images import Exemplar
from tilestyle.planning.time_model import LEVEL, SWEEP, Sample, forecast

PROBE_SWEEPS = 3  # sweeps that are timed; the fastest counts
# Limits of a measurement: seconds, and a share of the render.
MAX_PROBE_SECONDS, MAX_PROBE_SHARE = 4.0, 0.1
# A size is known if work of at least this fraction of it was timed.
KNOWN_SHARE = 0.4


def measure_costs(outline: Outline) -> None:
    """Measure the costs of this kind of render that are not known yet, on small canvases of noise."""
    works, kind = outline.works, outline.kind
    samples = timings.recall(kind)
    sizes = [work.sweep[-1] for work in works]
    known = [sample.amounts[-1] for sample in samples.get(SWEEP, ())]
    # Beyond a few patches, the cost of a pixel is the same at any size.
    patch = (outline.job.patch_side + 2 * outline.job.config.margin) ** 2 / 1e6
    needed_megapixels = KNOWN_SHARE * min(max(sizes), patch)
    if known and max(known) >= needed_megapixels:
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
    ends, cpu_ends = [synchronized_time(small.network.device)], [time.process_time()]

    def observe(*progress: object) -> None:
        ends.append(synchronized_time(small.network.device))
        cpu_ends.append(time.process_time())

    optimize(
        small,
        lambda level: None,
        observe,
        lambda: synchronized_time(small.network.device) - ends[0] > 2 * MAX_PROBE_SECONDS,
    )
    laps = [after - before for before, after in pairwise(ends)]
    if not samples or not laps:
        return
    took = LevelTimes(0, others=laps, cpu_seconds=cpu_ends[-1] - cpu_ends[0])
    share = took.processor_share(torch.get_num_threads()) if small.network.device.type == "cpu" else 1.0
    (work,) = Outline.of(small).works
    fastest = min(laps[1:] or laps)  # a busy machine may not get beyond the first
    samples[SWEEP].append(Sample(work.sweep, fastest, probed=True, processor_share=share))
    _, *others = work.preparation
    seconds = max(laps[0] - fastest, 1e-6)
    samples[LEVEL].append(Sample((1.0, 0.0, *others[1:]), seconds, probed=True, processor_share=share))


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
