"""When memory runs out after all: the same render with smaller patches."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from tilestyle.allocator import release
from tilestyle.canvas import Canvas
from tilestyle.errors import MemoryLimit
from tilestyle.geometry import Patch, tiling
from tilestyle.job import Job
from tilestyle.plan import step_size
from tilestyle.ranks import ALONE
from tilestyle.renderer import LevelObserver, optimise
from tilestyle.shortage import is_out_of_memory, reason_of
from tilestyle.standing import Standing, SweepObserver
from tilestyle.stepper import Stepper

HalvingObserver = Callable[[int], None]


def persist(
    job: Job,
    begin: LevelObserver,
    observe: SweepObserver,
    stop: Callable[[], bool],
    halved: HalvingObserver = lambda side: None,
    standing: Standing | None = None,
) -> tuple[Canvas, bool]:
    """As `optimise`, but when memory runs out patches are halved and the render goes on.

    `halved` is told the new side, pixels. Nothing finished is lost, and every pixel is stepped once a sweep all
    the same: of the sweep at work only the patches that had not been stepped are cut up and taken. Raises
    MemoryLimit when patches cannot be smaller.
    """
    standing = standing or Standing()
    again = False
    while True:
        try:
            if again:
                resume(standing, job)
            return optimise(job, begin, observe, stop, standing)
        except (RuntimeError, MemoryError, OSError) as error:
            if not is_out_of_memory(error):
                raise
            reason = reason_of(error)
        if job.ranks.count > 1:
            raise MemoryLimit(
                f"{job.ranks} has no room for patches of {job.side} pixels ({reason})",
                hint="give a smaller --patch, or fewer ranks a machine: what is done is kept",
            )
        # Only here, where the exception no longer holds on to the tensors of the frames it passed.
        job = smaller(job, reason)
        again = True
        release()
        halved(job.side)


def resume(standing: Standing, job: Job) -> None:
    """Make ready to end the sweep at work with smaller patches; one that has not stepped is drawn anew."""
    standing.gather(ALONE)
    if not (standing.cut_short or standing.stepped):
        standing.begin([])
        return
    left = [piece for patch in standing.left for piece in cut(patch, job.side, job.unit)]
    standing.begin(left, cut_short=True)
    if not left and standing.canvas:
        level = job.levels[standing.level]
        rate = step_size(job.config, level, standing.sweep)
        Stepper(job, standing.canvas, rate, standing, job.regions(level)).finish()
        standing.turn()


def smaller(job: Job, reason: str) -> Job:
    """The job with patches of half the side, or the least there can be; raises MemoryLimit below that."""
    least = least_side(job.unit, job.halo)
    side = max(job.side // 2 // job.unit * job.unit, least)
    if side >= job.side:
        raise MemoryLimit(
            f"{job.network.device} has no room for the least patch, {job.side} pixels ({reason})",
            hint="close other programs, or choose a smaller --size or fewer layers",
        )
    return replace(job, side=side)


def least_side(unit: int, halo: int) -> int:
    """The smallest patch that still owns something: two units and a halo on either side, pixels."""
    return 2 * (unit + halo)


def cut(patch: Patch, side: int, unit: int) -> list[Patch]:
    """Patches of at most `side` patch pixels that together own what this one owns, and see what it sees."""
    pieces = []
    for part in tiling(patch.read.height // patch.scale, patch.read.width // patch.scale, side, unit):
        seen = part.times(patch.scale)
        seen = replace(seen, top=seen.top + patch.read.top, left=seen.left + patch.read.left)
        owned = patch.owned.within(seen)
        if owned.area:
            pieces.append(Patch(owned, seen, patch.scale))
    return pieces
