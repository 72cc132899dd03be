"""When memory runs out after all: the same render with smaller patches, or with its canvas in RAM."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import torch

from tilestyle.canvas.canvas import Canvas
from tilestyle.canvas.storage import Memory
from tilestyle.devices.failures import is_of_a_library, is_out_of_memory, may_be_out_of_memory, reason_of
from tilestyle.devices.malloc import release
from tilestyle.devices.staging import forget
from tilestyle.distributed import ALONE
from tilestyle.errors import MemoryLimit
from tilestyle.geometry.boxes import Patch, tiling
from tilestyle.losses.planes import region_weights
from tilestyle.optim.loop import LevelObserver, optimise
from tilestyle.optim.state import Standing, SweepObserver
from tilestyle.optim.update import Stepper
from tilestyle.pipeline.events import CanvasMoved, PatchHalved
from tilestyle.planning.job import Job
from tilestyle.planning.memory_budget import HELD, free_bytes
from tilestyle.planning.schedule import step_size

CPU = torch.device("cpu")
# Of what halving patches frees, how much the canvas must free for it to be moved instead: then patches, and so
# the picture, stay as they are.
WORTH_MOVING = 1 / 6


def persist(
    job: Job,
    begin: LevelObserver,
    observe: SweepObserver,
    stop: Callable[[], bool],
    told: Callable[[PatchHalved | CanvasMoved], None] = lambda event: None,
    standing: Standing | None = None,
) -> tuple[Canvas, bool]:
    """As `optimise`, but when memory runs out the render goes on with less.

    A canvas on a device moves to RAM; where it is there already, or would free little, patches are halved. What
    a library was refused, or may have been, is first tried once more as it was, with the caches emptied.
    Nothing finished is lost, and every pixel is stepped once a sweep all the same: of the sweep at work only
    the patches that had not been stepped are cut up and taken.

    Args:
        job: What is rendered.
        begin: As for `optimise`.
        observe: As for `optimise`.
        stop: As for `optimise`.
        told: Is told what the render goes on with.
        standing: As for `optimise`.

    Raises:
        MemoryLimit: Patches cannot be smaller.
    """
    standing = standing or Standing()
    again, retried = False, None
    while True:
        try:
            if again:
                resume(standing, job)
            return optimise(job, begin, observe, stop, standing)
        except (RuntimeError, MemoryError, OSError) as error:
            doubtful = may_be_out_of_memory(error)
            if not (doubtful or is_out_of_memory(error)) or (doubtful and job.ranks.count > 1):
                raise
            reason, beside = reason_of(error), is_of_a_library(error)
        if job.ranks.count > 1:
            raise MemoryLimit(
                f"{job.ranks} has no room for patches of {job.side} pixels ({reason})",
                hint="give a smaller --patch, or fewer ranks a machine: what is done is kept",
            )
        # Only here, where the exception no longer holds on to the tensors of the frames it passed.
        again = True
        forget()
        release(pinned=True)
        place = standing.level, standing.sweep, len(standing.left)
        if beside and retried != place:
            retried = place
            continue
        retried = None
        if is_worth_moving(job, standing) or (is_least(job) and can_move(job)):
            job = with_canvas_in_ram(job, standing)
            told(CanvasMoved())
        else:
            job = smaller(job, reason)
            told(PatchHalved(job.side))
        release()


def is_worth_moving(job: Job, standing: Standing) -> bool:
    """Whether a canvas that is on a device should make room there, rather than patches become smaller.

    It should where its planes were being made, so that patches were not at work, or where it is large.
    """
    if not can_move(job):
        return False
    canvas = standing.canvas
    if canvas is None or standing.sweep >= job.levels[standing.level].sweeps:
        return True
    share = canvas.extent.area / job.levels[-1].extent.area
    freed = 3 / 4 * job.need.patch  # by patches of half the side
    return share * job.need.held >= WORTH_MOVING * freed


def can_move(job: Job) -> bool:
    """Whether the canvas is on a device, and RAM, or what may be used of it, has room for it."""
    if job.home == CPU:
        return False
    return job.need.held <= min(job.limits.host or job.need.held, HELD * free_bytes(CPU))


def with_canvas_in_ram(job: Job, standing: Standing) -> Job:
    """The job with its canvas in RAM; what there is of it, and of rims, moves there."""
    canvas, store = standing.canvas, Memory(CPU)
    if canvas is not None:
        planes = {name: plane.to(CPU) for name, plane in canvas.planes.items()}
        state = planes["first"], planes["second"], planes["steps"]
        standing.canvas = Canvas(canvas.extent, planes["pixels"], state, store)
    for rim, gradient in list(standing.rims.items()):
        standing.rims[rim] = gradient.to(CPU)
    return replace(job, store=store)


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
        Stepper(job, standing.canvas, rate, standing, region_weights(job, level)).finish()
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


def is_least(job: Job) -> bool:
    """Whether patches cannot be smaller."""
    return job.side <= least_side(job.unit, job.halo)


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
