"""How long a render will take, from a few sweeps of one of its small levels."""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise
from math import inf

from tilestyle.canvas.storage import Memory
from tilestyle.config.enums import Optimiser, StyleLoss
from tilestyle.devices.failures import is_out_of_memory, may_be_out_of_memory
from tilestyle.devices.malloc import release
from tilestyle.devices.timer import now
from tilestyle.geometry.sampling import overlapping
from tilestyle.losses.level import measured_every
from tilestyle.losses.style_statistics import style_moments
from tilestyle.losses.style_targets import target
from tilestyle.networks.base import exact_halo
from tilestyle.optim.loop import optimise
from tilestyle.planning.job import Job
from tilestyle.planning.schedule import Level, patches_of

SWEEPS = 3  # the first of which also pays for what libraries do once
# Share of a render's work, and pixels times sweeps, that may be spent on asking how long it takes.
SHARE, MOST = 0.01, 3e6
# Of a sweep's cost, that of a forward pass for exact moments, over more pixels than the canvas's.
MEASURING = 0.5


def seconds_for(job: Job) -> float | None:
    """Return the seconds that the sweeps of a job will take, or None where memory runs out in the attempt.

    Measured on a small level, for a hundredth of the render's work or less. Two numbers make the cost of a
    sweep: that of a pixel, and that of the distances of moments, which are those of the canvas, or with
    locality of every patch. Rough: small levels are not large ones. The time that is shown as left later is
    better. Where memory runs out here, the render can still succeed, with smaller patches.
    """
    try:
        return _measured(job)
    except (RuntimeError, MemoryError, OSError) as error:
        if not (is_out_of_memory(error) or may_be_out_of_memory(error)):
            raise
    release()  # only here, where the exception no longer holds on to the tensors of the frames it passed
    return None


def _measured(job: Job) -> float:
    ranks, device = job.ranks.count, job.network.device
    small, job = probe(job), replace(job, store=Memory(job.home))  # of this process alone
    moments = style_moments(job, small)
    goals = [{k: target(m, job.config) for k, m in found.items()} for found in moments]
    fixed = inf
    for _ in range(2):  # libraries' first time is longer
        began = now(device)
        for found, goal in zip(moments, goals, strict=True):
            for layer, distance in goal.items():
                wanted = target(found[layer], job.config) if job.config.locality else distance
                wanted.cotangent(found[layer])
        fixed = min(fixed, now(device) - began)
    ends = [now(device)]
    few = replace(job, levels=(replace(small, sweeps=SWEEPS),))
    optimise(few, lambda level: None, lambda *sweep: ends.append(now(device)), lambda: False)
    sweep = min(after - before for before, after in pairwise(ends[1:]))
    pixel = max(sweep - fixed * distances(job, small), 0.0) / small.extent.area
    seconds = 0.0
    for level in job.levels:
        sharing = min(ranks, patches_of(level.extent, job.side))
        seconds += passes(job, level) * pixel * level.extent.area / sharing
        seconds += level.sweeps * fixed * distances(job, level) / (sharing if job.config.locality else 1)
    return seconds


def probe(job: Job) -> Level:
    """The largest level of which a few sweeps are no matter beside all there is to do; or else the coarsest.

    The larger, the more like those that count: of a few hundred pixels a side, much is overhead.
    """
    work = sum(level.sweeps * level.extent.area for level in job.levels)
    bearable = [level for level in job.levels if SWEEPS * level.extent.area <= min(SHARE * work, MOST)]
    return bearable[-1] if bearable else job.levels[0]


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
