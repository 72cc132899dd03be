"""The loop: coarse to fine, sweep by sweep, patch by patch."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import partial

from torch import Tensor

from tilestyle.canvas.canvas import Canvas
from tilestyle.config.enums import Optimiser, Sampler
from tilestyle.devices.malloc import release
from tilestyle.devices.torch_state import isolated, on
from tilestyle.distributed import Ranks
from tilestyle.geometry.boxes import Patch
from tilestyle.geometry.rng import Draw
from tilestyle.geometry.sampling import LAP, Around, covering, scattered
from tilestyle.losses.level import Sight
from tilestyle.optim import lbfgs
from tilestyle.optim.content_weight import Balance
from tilestyle.optim.state import Careless, Standing, SweepObserver
from tilestyle.optim.update import Stepper, steps_at_once
from tilestyle.planning.job import Job
from tilestyle.planning.schedule import PERIOD, PLACES, Level, pace, step_size
from tilestyle.planning.strength import due

# What ranks say when they meet: the largest counts.
DONE, PAUSE, STOP = range(3)

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


def started(job: Job, level: Level, before: Canvas | None) -> Canvas:
    """The canvas that a level begins with."""
    if before and before.extent == level.extent:  # an attempt that failed got as far
        return before
    if before:
        return before.enlarged(level.extent, job.store)
    return Canvas(level.extent, job.start(level), store=job.store)


def expose(job: Job, level: Level, canvas: Canvas) -> None:
    """Show the content where no style is: once the canvas before is gone, which took as much memory."""
    regions = job.regions(level)
    if regions and regions.partial:
        content = job.content_plane(level)
        assert content is not None, "without a content, all of the canvas is styled"
        job.ranks.once(partial(regions.expose, canvas.pixels, content))


def refine(
    job: Job,
    level: Level,
    canvas: Canvas,
    at: Standing,
    observe: SweepObserver,
    stop: Callable[[], bool],
) -> bool:
    """The sweeps of one level that are not done yet; answers whether it was let to the end."""
    keeper, sight, ranks = at.keeper, Sight(job, level, at.sight), job.ranks
    balance = Balance(job, level, at)
    sight.weigh(balance.weight)
    at.sight = {}  # another attempt at this level begins with what it sees itself
    for sweep in range(at.sweep, level.sweeps):
        at.patches = at.patches or sampled(job, level, sweep)
        before = None if steps_at_once(job) or isinstance(keeper, Careless) else sight.remembered
        if not at.prepared:
            sight.prepare(canvas, at.patches, sweep)
            at.prepared = True
        step = Stepper(job, canvas, step_size(job.config, level, sweep), at, sight.regions)
        pause = Pause(ranks, stop, keeper.due if step.at_once else lambda: False)
        while True:
            at.deal(ranks)
            patches = map(step.announced, pause.before(at.left))
            for patch, gradient in sight.gradients(canvas, patches, sweep, step.visits):
                step.take(patch, gradient)
            said = pause.met()
            if said == DONE:
                break
            at.gather(ranks)
            keep(at, sight, before)
            if said == STOP:
                return False
        at.gather(ranks)
        step.finish()
        terms = balance.noted(sight.turn(at.patches, sweep))
        observe(level, sweep, terms, canvas)
        if due(sweep, level.sweeps):
            balance.turn(canvas, pace(level, sweep))
        if at.cut_short:  # the moments are those of a part of the canvas: they are measured anew
            del sight
            sight = Sight(job, level)
        sight.weigh(balance.weight)
        at.turn()
        if ranks.meet(ranks.first and keeper.due()):
            keeper.keep(at, sight.state)
    return True


def keep(at: Standing, sight: Sight, before: Mapping[str, Tensor] | None) -> None:
    """Keep a sweep amid its patches.

    Args:
        at: Where it is.
        sight: What has been seen of the canvas.
        before: What had been seen when the sweep began, if patches overlap: none of them has stepped the canvas
            yet, so that the sweep is kept as it began.
    """
    if before is None:
        sight.gather()
        at.keeper.keep(at, sight.state)
        return
    at.begin(at.patches, cut_short=at.cut_short)
    at.keeper.keep(at, before)


@dataclass
class Pause:
    """When ranks meet before a sweep is done: the first decides, the others hear of it after every patch."""

    ranks: Ranks
    stop: Callable[[], bool]
    due: Callable[[], bool]
    stopped: bool = False
    unfinished: bool = False  # whether patches were left when there was to be a pause

    def before(self, patches: list[Patch]) -> Iterator[Patch]:
        """Patches until there is to be a pause, but at least one."""
        self.unfinished = False
        for count, patch in enumerate(patches):
            self.unfinished = bool(count) and self._wanted()
            if self.unfinished:
                return
            yield patch

    def met(self) -> int:
        """Wait for all; answers what is to be done: DONE when nobody has patches left."""
        if self.ranks.first:
            self.stopped = self.stopped or self.stop()
        return self.ranks.meet(STOP if self.stopped else PAUSE if self.unfinished else DONE)

    def _wanted(self) -> bool:
        self.ranks.listen()
        if not self.ranks.first:
            return self.ranks.paused
        self.stopped = self.stopped or self.stop()
        wanted = self.stopped or self.due()
        if wanted:
            self.ranks.pause()
        return wanted


def sampled(job: Job, level: Level, sweep: int) -> list[Patch]:
    """The patches of one sweep."""
    draw = Draw(job.config.seed, level.index, sweep)
    draw = draw.returning(PLACES, PERIOD) if job.returns(level) else draw.aligned(job.grid(level), PERIOD)
    if job.config.sampler is Sampler.WINDOWS:
        return scattered(level.extent, job.side_at(level), level.scale_odds, draw)
    scale = 2 ** draw.choice(level.scale_odds, stream=0)
    return covering(level.extent, job.side_at(level), job.unit, draw, scale, Around(job.halo, LAP))
