"""How long a render will take, from its smallest level."""

from __future__ import annotations

import time
from dataclasses import replace
from itertools import pairwise

from tilestyle.config import StyleLoss
from tilestyle.job import Job
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

    Two numbers make the cost of a sweep: that of a pixel, and that of the distances of moments, however many
    pixels there are. Rough: small levels are not large ones. The time left that is shown later is better.
    """
    first = job.levels[0]
    moments = job.style_moments(first)
    goals = {layer: target(found, job.config.style_loss) for layer, found in moments.items()}
    began = time.perf_counter()
    for layer, goal in goals.items():
        goal.cotangent(moments[layer])
    fixed = time.perf_counter() - began
    ends = [time.perf_counter()]
    few = replace(job, levels=(replace(first, sweeps=SWEEPS),), store=Memory(job.home))
    persist(few, lambda level: None, lambda *sweep: ends.append(time.perf_counter()), lambda: False)
    sweep = min(after - before for before, after in pairwise(ends[1:]))
    pixel = max(sweep - fixed, 0.0) / first.extent.area
    seconds = 0.0
    for level in job.levels:
        passes = level.sweeps + MEASURING * measurements(job, level)
        seconds += level.sweeps * fixed + passes * pixel * level.extent.area
    return seconds


def measurements(job: Job, level: Level) -> int:
    """Sweeps of a level that begin with a forward pass for the exact moments of a canvas of many patches."""
    if patches_of(level.extent, job.side) == 1 or not job.weights.style_layers:
        return 0
    if job.config.style_loss is StyleLoss.GRAM:
        return level.sweeps
    field = max(job.network.layers[name].receptive_field for name in job.octaves(level)[1].values())
    late = (4 * sweep >= 3 * level.sweeps for sweep in range(level.sweeps))
    return sum(sweep % measured_every(job.side, field, late=end) == 0 for sweep, end in enumerate(late))
