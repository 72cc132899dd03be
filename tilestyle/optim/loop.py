"""The loop: coarse to fine, sweep by sweep, patch by patch."""

from __future__ import annotations

from collections.abc import Callable

from tilestyle.canvas.canvas import Canvas
from tilestyle.config.enums import Optimiser, Sampler
from tilestyle.devices.malloc import release
from tilestyle.devices.torch_state import isolated, on
from tilestyle.geometry.boxes import Patch
from tilestyle.geometry.rng import Draw
from tilestyle.geometry.sampling import LAP, Around, covering, scattered
from tilestyle.losses.level import Sight
from tilestyle.optim import lbfgs
from tilestyle.optim.content_weight import Balance
from tilestyle.optim.initial import expose, started
from tilestyle.optim.pauses import SweepRuns, save_if_due
from tilestyle.optim.state import Standing, SweepObserver
from tilestyle.optim.update import Stepper
from tilestyle.planning.job import Job
from tilestyle.planning.schedule import PERIOD, PLACES, Level, pace, step_size
from tilestyle.planning.strength import due

LevelObserver = Callable[[Level], None]


@isolated
def optimise(
    job: Job,
    begin: LevelObserver,
    observe: SweepObserver,
    stop: Callable[[], bool],
    standing: Standing | None = None,
) -> tuple[Canvas, bool]:
    """Run the job; answers the finest canvas reached, and whether that was the end.

    `begin` is called before every level, `observe` after every sweep, `stop` after every patch. `standing` is
    kept up to date: given again after an error, or as its keeper kept it, the render goes on from there.
    """
    at = standing or Standing()
    improve = lbfgs.refine if job.config.optimiser is Optimiser.LBFGS else refine
    with on(job.network.device, deterministic=job.config.deterministic):
        for level in job.levels[max(at.level, 0) :]:
            if level.index > at.level:
                begin(level)
                release()
                at.canvas = started(job, level, at.canvas)
                expose(job, level, at.canvas)
                at.enter(level.index, at.canvas)
                at.keeper.enter(at)
            if at.canvas and at.sweep < level.sweeps and not improve(job, level, at.canvas, at, observe, stop):
                return at.canvas, False
    if at.canvas is None:
        raise ValueError("a job has at least one level")
    return at.canvas, True


def refine(
    job: Job,
    level: Level,
    canvas: Canvas,
    at: Standing,
    observe: SweepObserver,
    stop: Callable[[], bool],
) -> bool:
    """Run the sweeps of one level that are left; return whether it was finished rather than stopped."""
    sight = Sight(job, level, at.sight)
    at.sight = {}  # another attempt at this level starts from its own statistics
    balance = Balance(job, level, at)
    for sweep in range(at.sweep, level.sweeps):
        sight.weigh(balance.weight)
        at.patches = at.patches or sampled(job, level, sweep)
        runs = SweepRuns(job, at, sight, stop)
        if not at.prepared:
            sight.prepare(canvas, at.patches, sweep)
            at.prepared = True
        step = Stepper(job, canvas, step_size(job.config, level, sweep), at, sight.regions)
        for patches in runs:  # one run, unless a checkpoint or a stop falls within the sweep
            for patch, gradient in sight.gradients(canvas, step.announced(patches), sweep, step.visits):
                step.take(patch, gradient)
        if runs.stopped:
            return False
        step.finish()
        terms = balance.noted(sight.turn(at.patches, sweep))
        observe(level, sweep, terms, canvas)
        if due(sweep, level.sweeps):
            balance.turn(canvas, pace(level, sweep))
        if at.cut_short:  # the moments are those of a part of the canvas: they are measured again
            del sight
            sight = Sight(job, level)
        at.turn()
        save_if_due(job, at, sight)
    return True


def sampled(job: Job, level: Level, sweep: int) -> list[Patch]:
    """The patches of one sweep."""
    draw = Draw(job.config.seed, level.index, sweep)
    draw = draw.returning(PLACES, PERIOD) if job.returns(level) else draw.aligned(job.grid(level), PERIOD)
    if job.config.sampler is Sampler.WINDOWS:
        return scattered(level.extent, job.side_at(level), level.scale_odds, draw)
    scale = 2 ** draw.choice(level.scale_odds, stream=0)
    return covering(level.extent, job.side_at(level), job.unit, draw, scale, Around(job.halo, LAP))
