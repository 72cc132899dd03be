"""How long a render will take, from its smallest level."""

from __future__ import annotations

import time
from dataclasses import replace
from itertools import pairwise

from tilestyle.config import Optimiser, StyleLoss
from tilestyle.covering import overlapping
from tilestyle.job import Job
from tilestyle.networks.network import exact_halo
from tilestyle.plan import Level, patches_of
from tilestyle.planes import Memory
from tilestyle.rescue import persist
from tilestyle.sight import measured_every
from tilestyle.style import target

SWEEPS = 3  # the first of which also pays for what libraries do once
# Of a sweep's cost, that of a forward pass for exact moments, over more pixels than the canvas's.
MEASURING = 0.5


def seconds_for(job: Job) -> float:
    """Seconds that the sweeps of a job will take: measured on its coarsest level, which takes a second or so.

    Two numbers make the cost of a sweep: that of a pixel, and that of the distances of moments, which are
    those of the canvas, or with locality of every patch. Rough: small levels are not large ones. The time that
    is shown as left later is better.
    """
    ranks = job.ranks.count
    first, job = job.levels[0], replace(job, store=Memory(job.home))  # of this process alone
    moments = job.style_moments(first)
    goals = [{k: target(m, job.config) for k, m in found.items()} for found in moments]
    began = time.perf_counter()
    for found, goal in zip(moments, goals, strict=True):
        for layer, distance in goal.items():
            wanted = target(found[layer], job.config) if job.config.locality else distance
            wanted.cotangent(found[layer])
    fixed = time.perf_counter() - began
    ends = [time.perf_counter()]
    few = replace(job, levels=(replace(first, sweeps=SWEEPS),))
    persist(few, lambda level: None, lambda *sweep: ends.append(time.perf_counter()), lambda: False)
    sweep = min(after - before for before, after in pairwise(ends[1:]))
    pixel = max(sweep - fixed * distances(job, first), 0.0) / first.extent.area
    seconds = 0.0
    for level in job.levels:
        sharing = min(ranks, patches_of(level.extent, job.side))
        seconds += passes(job, level) * pixel * level.extent.area / sharing
        seconds += level.sweeps * fixed * distances(job, level) / (sharing if job.config.locality else 1)
    return seconds


def distances(job: Job, level: Level) -> int:
    """How often a sweep takes the distances of moments: with locality, once for every patch."""
    return patches_of(level.extent, job.side_at(level)) if job.config.locality else 1


def passes(job: Job, level: Level) -> float:
    """Sweeps of a level of one patch that cost as much, a pixel, as those of this level."""
    if job.config.optimiser is Optimiser.ADAM:
        return level.sweeps + MEASURING * measurements(job, level)
    layers = [job.network.layers[name] for name in job.octaves(level)[1].values()]
    unit = max(layer.stride for layer in layers)
    patches = overlapping(level.extent, job.side, unit, exact_halo(layers))
    seen = sum(patch.read.area for patch in patches) / level.extent.area
    return level.sweeps * (1.0 if len(patches) == 1 else (1 + MEASURING) * seen)


def measurements(job: Job, level: Level) -> int:
    """Sweeps of a level that begin with a forward pass for the exact moments of a canvas of many patches."""
    if patches_of(level.extent, job.side_at(level)) == 1 or not job.weights.style_layers:
        return 0
    if job.config.locality == 1:
        return 0
    if job.config.style_loss is not StyleLoss.W2:
        return level.sweeps
    field = max(job.network.layers[name].receptive_field for name in job.octaves(level)[1].values())
    late = (4 * sweep >= 3 * level.sweeps for sweep in range(level.sweeps))
    return sum(
        sweep % measured_every(job.side_at(level), field, late=end) == 0 for sweep, end in enumerate(late)
    )
