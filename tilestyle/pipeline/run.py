"""Run a job to its finished picture, and send events on the way."""

from __future__ import annotations

from collections.abc import Callable

from tilestyle.canvas.storage import MappedStore
from tilestyle.devices.failures import short_device_errors
from tilestyle.devices.malloc import release_cached_memory
from tilestyle.devices.staging import drop_staging_buffers
from tilestyle.devices.torch_state import with_torch_state
from tilestyle.images import Picture
from tilestyle.optim.state import RenderState
from tilestyle.pipeline.checkpoint import WorkDirCheckpointer
from tilestyle.pipeline.estimate import estimate_seconds
from tilestyle.pipeline.event_sender import EventSender
from tilestyle.pipeline.events import Observer, Started, Stopped
from tilestyle.pipeline.finished_picture import PictureFinish, as_picture
from tilestyle.pipeline.observers import guard_callback, guard_stop
from tilestyle.pipeline.out_of_memory import optimize_with_oom_retry
from tilestyle.planning.job import Job


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
    first, finish = job.comm.is_rank_zero, PictureFinish.of(job)
    tell: Observer = guard_callback(observer, "the observer") if observer and first else lambda event: None
    tell(started_event(job))
    release_cached_memory()
    resumed = checkpointer.resume_point if checkpointer else None
    state = checkpointer.load_render_state(job.levels, job.store) if checkpointer else RenderState()
    events = EventSender(job, state, resumed, finish, tell)

    asked_to_stop = guard_stop(stop)

    def should_stop() -> bool:
        events.patch_done()
        return asked_to_stop()

    canvas, complete = optimize_with_oom_retry(
        job, events.level_started, events.sweep_done, should_stop, events.recovered, state
    )
    swept = events.elapsed
    if checkpointer and complete:
        checkpointer.save_finished(state)  # writing the picture may still fail
    if not complete:
        tell(Stopped())
    release_cached_memory()
    pixels = canvas.picture()
    del canvas, state  # frees the optimizer's state before the picture is copied
    if first:
        pixels = finish.final_pixels(pixels)
    if checkpointer:
        checkpointer.complete = complete
    picture = as_picture(pixels, finish.alpha if first else None, finish.store)
    drop_staging_buffers()
    release_cached_memory(pinned=True)
    events.finished(events.elapsed - swept, complete=complete)
    return picture


def started_event(job: Job) -> Started:
    """Return the event that describes a render before it starts."""
    return Started(
        job.patch_side,
        job.network.device.type,
        job.device_bytes,
        job.memory_limits.memory,
        job.memory_estimate.resident,
        job.memory_limits.host,
        job.memory_estimate.disk if isinstance(job.store, MappedStore) else 0,
        lambda: estimate_seconds(job),
        job.chosen_settings,
        job.machine_settings,
        job.face_count,
    )
