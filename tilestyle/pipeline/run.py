"""Run a job to its finished picture, and send events on the way."""

from __future__ import annotations

from collections.abc import Callable

from torch import Tensor

from tilestyle.canvas.canvas import Canvas, resize, resize_to_plane
from tilestyle.canvas.color import apply_chroma
from tilestyle.canvas.storage import MappedStore, PlaneStore
from tilestyle.devices.failures import short_device_errors
from tilestyle.devices.malloc import release_cached_memory, trim
from tilestyle.devices.staging import drop_staging_buffers
from tilestyle.devices.torch_state import with_torch_state
from tilestyle.geometry.boxes import Box
from tilestyle.images import Picture
from tilestyle.losses.objective import LossTerms
from tilestyle.pipeline.checkpoint import WorkDirCheckpointer
from tilestyle.pipeline.estimate import estimate_seconds
from tilestyle.pipeline.events import (
    Finished,
    LevelStarted,
    Observer,
    Resumed,
    Started,
    Stopped,
    SweepDone,
    TimeEstimator,
)
from tilestyle.pipeline.observers import guard_callback
from tilestyle.pipeline.out_of_memory import optimize_with_oom_retry
from tilestyle.planning.job import Job
from tilestyle.planning.memory_budget import device_bytes
from tilestyle.planning.memory_model import SNAPSHOT_SIDE
from tilestyle.planning.schedule import Level


@with_torch_state
@short_device_errors("the picture was rendered")
def render_job(
    job: Job,
    observer: Observer | None = None,
    stop: Callable[[], bool] | None = None,
    checkpointer: WorkDirCheckpointer | None = None,
) -> Picture:
    """Render a job. The transparency of the content, if it has any, is kept.

    A picture whose canvas is memory-mapped is not copied into memory; it should be read a few rows at a time.
    The checkpointer then holds the finished render. Whoever has put the picture in a safe place removes the
    work folder (`api.open_checkpoints`).

    Args:
        job: What to render.
        observer: Called with events. If it raises an exception, a warning says so, it is not called again, and
            the render continues.
        stop: Called after every patch; True ends the render early.
        checkpointer: Saves the render, and has the render to resume.

    Returns:
        The picture; in a process other than the first, only the canvas as it is.
    """
    first = job.comm.is_rank_zero
    tell: Callable[..., None] = (
        guard_callback(observer, "the observer") if first and observer else lambda event: None
    )
    tell(started_event(job))
    release_cached_memory()
    resumed = checkpointer.resume_point if checkpointer else None
    state = checkpointer.load_render_state(job) if checkpointer else None
    done_before = (resumed.level, resumed.sweep) if resumed else (0, 0)
    begun = state.done_fraction if state else 0.0
    clock = TimeEstimator([(level.extent.area / 1e6, level.sweeps) for level in job.levels], done_before, begun)
    if resumed:
        clock.start_level()
        tell(Resumed(job.levels[resumed.level], len(job.levels), resumed.sweep, resumed.seconds))

    latest_level = -1

    def begin(level: Level) -> None:
        nonlocal latest_level
        if level.index == latest_level:  # memory ran out before its canvas existed, so the level starts again
            return
        latest_level = level.index
        clock.start_level()
        tell(LevelStarted(level, len(job.levels)))

    def look(canvas: Canvas) -> Picture:
        trim()  # frees the patches' memory on the host for the copy; the next sweep needs that of the device
        return as_picture(_colored(job, display_copy(canvas.picture())), job.alpha)

    def done(level: Level, sweep: int, terms: LossTerms, canvas: Canvas) -> None:
        sweep_seconds = clock.end_sweep()
        tell(
            SweepDone(
                level,
                len(job.levels),
                sweep,
                terms.style,
                terms.content,
                terms.tv,
                clock.elapsed,
                clock.seconds_left(),
                level.extent.area / 1e6 / sweep_seconds,
                lambda: look(canvas),
                terms.anchor,
                terms.palette,
                terms.content_weight,
            )
        )

    should_stop = stop or (lambda: False)
    canvas, complete = optimize_with_oom_retry(job, begin, done, should_stop, tell, state)
    if checkpointer and state and complete:
        checkpointer.save_finished(state)  # writing the picture may still fail
    if not complete:
        tell(Stopped())
    release_cached_memory()
    pixels = canvas.picture()
    del canvas, state  # frees the optimizer's state before the picture is copied
    if first:
        pixels = _finished(job, pixels)
    if checkpointer:
        checkpointer.complete = complete
    picture = as_picture(pixels, job.alpha if first else None, job.local_store)
    drop_staging_buffers()
    release_cached_memory(pinned=True)
    tell(Finished(complete, clock.elapsed))
    return picture


def started_event(job: Job) -> Started:
    """Return the event that describes a render before it starts."""
    device = job.network.device
    need, limits = device_bytes(job.memory_estimate, device, job.canvas_device), job.memory_limits
    return Started(
        job.patch_side,
        device.type,
        need,
        limits.memory,
        job.memory_estimate.resident,
        limits.host,
        job.memory_estimate.disk if isinstance(job.store, MappedStore) else 0,
        lambda: estimate_seconds(job),
        job.chosen_settings,
        job.machine_settings,
    )


def display_copy(pixels: Tensor) -> Tensor:
    """Return host pixels [3, h, w], downsampled to at most `SNAPSHOT_SIDE` pixels a side."""
    factor = SNAPSHOT_SIDE / max(pixels.shape[1:])
    if factor >= 1:
        return pixels
    return resize(pixels, Box(0, 0, *(max(1, round(side * factor)) for side in pixels.shape[1:])))


def as_picture(pixels: Tensor, alpha: Tensor | None = None, store: PlaneStore | None = None) -> Picture:
    """Convert pixels to a Picture.

    Args:
        pixels: [3, h, w]. On the host, the Picture is a view of them.
        alpha: Transparency [1, h', w'], resampled to the size of the pixels.
        store: Where the resampled alpha is stored; in memory if None.
    """
    plane = None
    if alpha is not None:
        plane = resize(alpha, Box(0, 0, pixels.shape[1], pixels.shape[2]), store=store).clamp_(0, 1)[0].numpy()
    return Picture(pixels.cpu().permute(1, 2, 0).numpy(), alpha=plane)  # [h, w, 3]


def _finished(job: Job, pixels: Tensor) -> Tensor:
    """Return the picture [3, h, w] of a canvas of any level, in its final size and colors."""
    if pixels.shape[1:] != (job.size.height, job.size.width):
        pixels = resize_to_plane(pixels.cpu(), job.size, job.local_store, job.levels[-1].extent.repeats)
    return _colored(job, pixels)


def _colored(job: Job, pixels: Tensor) -> Tensor:
    """Return pixels [3, h, w] in their final colors: the content's, if only luminance is rendered."""
    return (
        pixels
        if job.content_colors is None
        else apply_chroma(pixels.cpu(), job.content_colors, job.local_store)
    )
