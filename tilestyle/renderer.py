"""The loop: coarse to fine, sweep by sweep, patch by patch."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator

from torch import Tensor

from tilestyle.adam import Adam
from tilestyle.allocator import release
from tilestyle.blend import Blend
from tilestyle.canvas import Canvas
from tilestyle.config import Sampler
from tilestyle.geometry import Box, Draw, Patch, covering, scattered
from tilestyle.job import Job
from tilestyle.objective import Terms
from tilestyle.plan import Level, step_size
from tilestyle.planes import touched
from tilestyle.sight import Sight
from tilestyle.standing import Keeper, Standing

# Sweeps that share a grid of corners where content features are kept, which are then computed once in as many.
PERIOD = 16

# Rows of the canvas that a blend is stepped by at once: the optimiser's temporaries stay small.
ROWS = 256

LevelObserver = Callable[[Level], None]
SweepObserver = Callable[[Level, int, Terms, Canvas], None]


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
    for level in job.levels[max(at.level, 0) :]:
        if level.index > at.level:
            begin(level)
            release()
            at.enter(level.index, started(job, level, at.canvas))
            at.keeper.enter(at)
        if at.canvas and at.sweep < level.sweeps and not refine(job, level, at.canvas, at, observe, stop):
            return at.canvas, False
    if at.canvas is None:
        raise ValueError("a job has at least one level")
    return at.canvas, True


def started(job: Job, level: Level, before: Canvas | None) -> Canvas:
    """The canvas that a level begins with."""
    if before:
        return before.enlarged(level.extent, job.store)
    return Canvas(level.extent, job.start(level), store=job.store)


def refine(
    job: Job,
    level: Level,
    canvas: Canvas,
    at: Standing,
    observe: SweepObserver,
    stop: Callable[[], bool],
) -> bool:
    """The sweeps of one level that are not done yet; answers whether it was let to the end."""
    keeper, sight = at.keeper, Sight(job, level, at.sight)
    at.sight = {}  # another attempt at this level begins with what it sees itself
    stopped = False

    def pause() -> bool:
        nonlocal stopped
        stopped = stopped or stop()
        return stopped or keeper.due()

    for sweep in range(at.sweep, level.sweeps):
        at.patches = at.patches or sampled(job, level, sweep)
        if not at.prepared:
            sight.prepare(canvas, at.patches, sweep)
            at.prepared = True
        step = Stepper(job, canvas, step_size(job.config, level, sweep), keeper)
        for run in runs(at.left, pause):
            for patch, gradient in sight.gradients(canvas, map(step.announced, run)):
                step.take(patch, gradient)
                at.stepped += step.at_once
            if pause() and step.at_once:
                keeper.keep(at, sight.state)
            if stopped:
                return False
        step.finish()
        observe(level, sweep, sight.turn(at.patches), canvas)
        if at.cut_short:  # the moments are those of a part of the canvas: they are measured anew
            del sight
            sight = Sight(job, level)
        at.turn()
        if keeper.due():
            keeper.keep(at, sight.state)
    return True


def runs(patches: list[Patch], pause: Callable[[], bool]) -> Iterator[Iterator[Patch]]:
    """A sweep, cut where there is to be a pause: patches on their way arrive before it."""
    waiting = deque(patches)

    def run() -> Iterator[Patch]:
        yield waiting.popleft()
        while waiting and not pause():
            yield waiting.popleft()

    while waiting:
        yield run()


def sampled(job: Job, level: Level, sweep: int) -> list[Patch]:
    """The patches of one sweep."""
    draw = Draw(job.config.seed, level.index, sweep).aligned(job.grid(level), PERIOD)
    if job.config.sampler is Sampler.WINDOWS:
        return scattered(level.extent, job.side, level.scale_odds, draw)
    scale = 2 ** draw.choice(level.scale_odds, stream=0)
    return covering(level.extent, job.side, job.unit, job.halo, draw, scale)


class Stepper:
    """Turns the patches' gradients of one sweep into steps of the canvas.

    Patches that do not overlap step at once; where they do, one step is taken from their blend at the end
    of the sweep, so that no patch is the last to write.
    """

    def __init__(self, job: Job, canvas: Canvas, rate: float, keeper: Keeper) -> None:
        self._adam = Adam()
        self._keeper = keeper
        self._canvas = canvas
        self._rate = rate
        overlapping = job.halo or job.config.sampler is Sampler.WINDOWS
        self._blend = Blend(canvas.extent, job.store) if overlapping else None

    @property
    def at_once(self) -> bool:
        """Whether patches step when they are taken, rather than together at the end."""
        return self._blend is None

    def announced(self, patch: Patch) -> Patch:
        """The patch: it is going to be taken."""
        if self._blend is None:
            self._keeper.guard(self._canvas, patch.read)
        return patch

    def take(self, patch: Patch, gradient: Tensor) -> None:
        """Take in the gradient [3, height, width] of a patch's read box."""
        if self._blend:
            self._blend.add(patch, gradient)
            return
        self._keeper.settle()
        for views, row, column in self._canvas.views(patch.read):
            height, width = views["pixels"].shape[1:]
            part = gradient[:, row : row + height, column : column + width]
            self._adam.update(views, part, self._rate)
            touched(*views.values())

    def finish(self) -> None:
        """Take the step of the blend, if there is one."""
        if self._blend is None:
            return
        extent = self._canvas.extent
        for top in range(0, extent.height, ROWS):
            rows = slice(top, min(top + ROWS, extent.height))
            self._keeper.guard(self._canvas, Box(top, 0, rows.stop - top, extent.width))
            self._keeper.settle()
            gradient, seen = self._blend.mean(rows)
            views = {name: plane[:, rows] for name, plane in self._canvas.planes.items()}
            self._adam.update(views, gradient, self._rate, seen)
            touched(gradient, seen, *views.values())
