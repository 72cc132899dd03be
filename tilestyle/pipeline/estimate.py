"""Estimate how long a render takes, by running a few sweeps of one of its small levels."""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise
from math import inf

from tilestyle.canvas.storage import MemoryStore
from tilestyle.config.enums import Optimizer, StyleLoss
from tilestyle.devices.failures import is_out_of_memory, may_be_out_of_memory
from tilestyle.devices.malloc import release_cached_memory
from tilestyle.devices.timer import synchronized_time
from tilestyle.geometry.sampling import halo_tiles
from tilestyle.losses.level import measurement_interval
from tilestyle.losses.style_statistics import style_moments
from tilestyle.losses.style_targets import make_target
from tilestyle.networks.base import exact_halo
from tilestyle.optim.loop import optimize
from tilestyle.planning.job import Job
from tilestyle.planning.schedule import Level, patch_count

PROBE_SWEEPS = 3  # sweeps that are timed; the first includes one-time work of the libraries
# Limits of the work spent on the estimate: a fraction of the render's, and pixels times sweeps.
MAX_WORK_SHARE, MAX_PIXEL_SWEEPS = 0.01, 3e6
# Cost of a forward pass for exact moments, as a fraction of a sweep. It covers more pixels than the canvas has.
FORWARD_COST = 0.5


def estimate_seconds(job: Job) -> float | None:
    """Estimate the time that the sweeps of a job take.

    It is measured on a small level, with at most a hundredth of the render's work. The cost of a sweep has two
    parts: one per pixel, and one for the moment distances, which are computed once per canvas, or with locality
    once per patch. The estimate is rough, because small levels differ from large ones; the time left shown
    later is better.

    Args:
        job: The job to be rendered.

    Returns:
        Seconds, or None if memory runs out during the measurement. The render can still succeed then, with
        smaller patches.
    """
    try:
        return _measure_seconds(job)
    except (RuntimeError, MemoryError, OSError) as error:
        if not (is_out_of_memory(error) or may_be_out_of_memory(error)):
            raise
    # not in the handler: there the exception still refers to the tensors of its traceback
    release_cached_memory()
    return None


def _measure_seconds(job: Job) -> float:
    """Measure the cost of a pixel and of the moment distances, and add them up over all levels; seconds."""
    ranks, device = job.comm.world_size, job.network.device
    small, job = (
        probe_level(job),
        replace(job, store=MemoryStore(job.canvas_device)),
    )  # without the other processes
    moments = style_moments(job, small)
    targets = [{layer: make_target(m, job.config) for layer, m in of_region.items()} for of_region in moments]
    distance_seconds = inf
    for _ in range(2):  # the first run includes one-time work of the libraries
        start = synchronized_time(device)
        for moments_of_region, targets_of_region in zip(moments, targets, strict=True):
            for layer, distance in targets_of_region.items():
                layer_target = (
                    make_target(moments_of_region[layer], job.config) if job.config.locality else distance
                )
                layer_target.cotangent(moments_of_region[layer])
        distance_seconds = min(distance_seconds, synchronized_time(device) - start)
    sweep_ends = [synchronized_time(device)]
    short_job = replace(job, levels=(replace(small, sweeps=PROBE_SWEEPS),))
    optimize(
        short_job,
        lambda level: None,
        lambda *progress: sweep_ends.append(synchronized_time(device)),
        lambda: False,
    )
    sweep_seconds = min(after - before for before, after in pairwise(sweep_ends[1:]))
    pixel = max(sweep_seconds - distance_seconds * distance_count(job, small), 0.0) / small.extent.area
    seconds = 0.0
    for level in job.levels:
        sharing = min(ranks, patch_count(level.extent, job.patch_side))
        seconds += equivalent_sweeps(job, level) * pixel * level.extent.area / sharing
        seconds += (
            level.sweeps
            * distance_seconds
            * distance_count(job, level)
            / (sharing if job.config.locality else 1)
        )
    return seconds


def probe_level(job: Job) -> Level:
    """Return the largest level whose timing costs little compared to the whole render; else the coarsest.

    The larger the level, the closer it is to those that dominate the cost: on a few hundred pixels a side, much
    of the time is overhead.
    """
    work = sum(level.sweeps * level.extent.area for level in job.levels)
    bearable = [
        level
        for level in job.levels
        if PROBE_SWEEPS * level.extent.area <= min(MAX_WORK_SHARE * work, MAX_PIXEL_SWEEPS)
    ]
    return bearable[-1] if bearable else job.levels[0]


def distance_count(job: Job, level: Level) -> int:
    """Return how often a sweep computes the moment distances: once, or with locality once per patch."""
    return patch_count(level.extent, job.patch_side_at(level)) if job.config.locality else 1


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
