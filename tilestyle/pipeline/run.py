"""A job run to its picture, and what is told on the way."""

from __future__ import annotations

from collections.abc import Callable

from torch import Tensor

from tilestyle.canvas.canvas import Canvas, fitted, resized
from tilestyle.canvas.color import tinted
from tilestyle.canvas.storage import Folder, Store
from tilestyle.devices.failures import in_one_line
from tilestyle.devices.malloc import release, trim
from tilestyle.devices.staging import forget
from tilestyle.devices.torch_state import isolated
from tilestyle.geometry.boxes import Box
from tilestyle.images import Picture
from tilestyle.losses.objective import Terms
from tilestyle.pipeline.checkpoint import Checkpoints
from tilestyle.pipeline.estimate import seconds_for
from tilestyle.pipeline.events import (
    Clock,
    Finished,
    LevelStarted,
    Observer,
    Resumed,
    Started,
    Stopped,
    SweepDone,
)
from tilestyle.pipeline.observers import guarded
from tilestyle.pipeline.out_of_memory import persist
from tilestyle.planning.job import Job
from tilestyle.planning.memory_budget import needed
from tilestyle.planning.memory_model import WATCHED
from tilestyle.planning.schedule import Level


@isolated
@in_one_line("the picture was rendered")
def run(
    job: Job,
    observer: Observer | None = None,
    stop: Callable[[], bool] | None = None,
    checkpoints: Checkpoints | None = None,
) -> Picture:
    """Render a job; the content's transparency, if it has any, is kept.

    A picture whose canvas is in files is not copied into memory: to be read a few rows at a time. Checkpoints
    then hold the finished render; the work folder is removed by whoever has put the picture into a safe place
    (api.working). An observer that raises an exception is warned of and not called again; the render goes on.
    """
    first = job.ranks.first
    tell: Callable[..., None] = guarded(observer, "the observer") if first and observer else lambda event: None
    tell(started(job))
    release()
    left = checkpoints.left if checkpoints else None
    standing = checkpoints.standing(job) if checkpoints else None
    done_before = (left.level, left.sweep) if left else (0, 0)
    begun = standing.begun if standing else 0.0
    clock = Clock([(level.extent.area / 1e6, level.sweeps) for level in job.levels], done_before, begun)
    if left:
        clock.level()
        tell(Resumed(job.levels[left.level], len(job.levels), left.sweep, left.seconds))

    latest = -1

    def begin(level: Level) -> None:
        nonlocal latest
        if level.index == latest:  # memory ran out before its canvas was there: it begins again
            return
        latest = level.index
        clock.level()
        tell(LevelStarted(level, len(job.levels)))

    def look(canvas: Canvas) -> Picture:
        trim()  # what patches used makes room for the copy; what a device keeps for them, the next sweep needs
        return as_picture(_colored(job, glance(canvas.picture())), job.alpha)

    def done(level: Level, sweep: int, terms: Terms, canvas: Canvas) -> None:
        taken = clock.sweep()
        tell(
            SweepDone(
                level,
                len(job.levels),
                sweep,
                terms.style,
                terms.content,
                terms.tv,
                clock.seconds,
                clock.left(),
                level.extent.area / 1e6 / taken,
                lambda: look(canvas),
                terms.anchor,
                terms.palette,
                terms.content_weight,
            )
        )

    asked = stop or (lambda: False)
    canvas, complete = persist(job, begin, done, asked, tell, standing)
    if checkpoints and standing and complete:
        checkpoints.finish(standing)  # what is done with the picture may fail
    if not complete:
        tell(Stopped())
    release()
    pixels = canvas.picture()
    del canvas, standing  # with the optimiser's state, before the picture is copied
    if first:
        pixels = _finished(job, pixels)
    if checkpoints:
        checkpoints.complete = complete
    picture = as_picture(pixels, job.alpha if first else None, job.beside)
    forget()
    release(pinned=True)
    tell(Finished(complete, clock.seconds))
    return picture


def started(job: Job) -> Started:
    """What a render can say of itself before it begins."""
    device = job.network.device
    need, limits = needed(job.need, device, job.home), job.limits
    return Started(
        job.side,
        device.type,
        need,
        limits.memory,
        job.need.held,
        limits.host,
        job.need.disk if isinstance(job.store, Folder) else 0,
        lambda: seconds_for(job),
    )


def glance(pixels: Tensor) -> Tensor:
    """Host pixels [3, h, w] of at most `WATCHED` a side."""
    factor = WATCHED / max(pixels.shape[1:])
    if factor >= 1:
        return pixels
    return resized(pixels, Box(0, 0, *(max(1, round(side * factor)) for side in pixels.shape[1:])))


def as_picture(pixels: Tensor, alpha: Tensor | None = None, store: Store | None = None) -> Picture:
    """Pixels [3, h, w] as a Picture, a view if they are on the host, with alpha [1, h, w] resampled."""
    plane = None
    if alpha is not None:
        plane = resized(alpha, Box(0, 0, pixels.shape[1], pixels.shape[2]), store=store).clamp_(0, 1)[0].numpy()
    return Picture(pixels.cpu().permute(1, 2, 0).numpy(), alpha=plane)


def _finished(job: Job, pixels: Tensor) -> Tensor:
    """The picture [3, h, w] of a canvas, of any level, as it is to be seen and at its size."""
    if pixels.shape[1:] != (job.size.height, job.size.width):
        pixels = fitted(pixels.cpu(), job.size, job.beside, job.levels[-1].extent.repeats)
    return _colored(job, pixels)


def _colored(job: Job, pixels: Tensor) -> Tensor:
    """The same at the size it has."""
    return pixels if job.colours is None else tinted(pixels.cpu(), job.colours, job.beside)
