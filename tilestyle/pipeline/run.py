"""Run a job to its finished picture, and send events on the way."""

from __future__ import annotations

from collections.abc import Callable

from tilestyle.canvas.canvas import Canvas
from tilestyle.canvas.storage import MappedStore
from tilestyle.devices.failures import short_device_errors
from tilestyle.devices.malloc import release_cached_memory, trim
from tilestyle.devices.staging import drop_staging_buffers
from tilestyle.devices.torch_state import with_torch_state
from tilestyle.images import Picture
from tilestyle.losses.objective import LossTerms
from tilestyle.optim.state import RenderState
from tilestyle.pipeline.checkpoint import ResumePoint, WorkDirCheckpointer
from tilestyle.pipeline.estimate import estimate_seconds, known_forecast
from tilestyle.pipeline.events import (
    CanvasMoved,
    Finished,
    LevelStarted,
    Observer,
    PatchDone,
    PatchHalved,
    Resumed,
    Started,
    Stopped,
    SweepDone,
)
from tilestyle.pipeline.finished_picture import PictureFinish, as_picture
from tilestyle.pipeline.live_canvas import LiveCanvas
from tilestyle.pipeline.observers import guard_callback
from tilestyle.pipeline.out_of_memory import optimize_with_oom_retry
from tilestyle.pipeline.outline import Outline
from tilestyle.pipeline.time_left import TimeLeft
from tilestyle.planning.job import Job
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
    first, finish = job.comm.is_rank_zero, PictureFinish.of(job)
    tell = _teller(observer if first else None)
    tell(started_event(job))
    release_cached_memory()
    resumed = checkpointer.resume_point if checkpointer else None
    state = checkpointer.load_render_state(job.levels, job.store) if checkpointer else RenderState()
    live = LiveCanvas.of(state, finish)
    outline = Outline.of(job)
    clock = _start_clock(outline, resumed, state)
    if resumed:
        clock.start_level()
        tell(Resumed(job.levels[resumed.level], len(job.levels), resumed.sweep, resumed.seconds, live))

    latest_level = -1

    def notify(event: PatchHalved | CanvasMoved) -> None:
        clock.levels.clear()  # what they took holds for other patches, or another place of the canvas
        tell(event)

    def begin(level: Level) -> None:
        nonlocal latest_level
        if level.index == latest_level:  # memory ran out before its canvas existed, so the level starts again
            return
        latest_level = level.index
        clock.start_level()
        tell(LevelStarted(level, len(job.levels), live))

    def done(level: Level, sweep: int, terms: LossTerms, canvas: Canvas) -> None:
        sweep_seconds, before = clock.end_sweep(), clock.elapsed
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
                lambda: _look(finish, canvas),
                terms.anchor,
                terms.palette,
                terms.content_weight,
            )
        )
        clock.pause(clock.elapsed - before)

    canvas, complete = optimize_with_oom_retry(
        job, begin, done, _telling_patches(job, state, tell, stop), notify, state
    )
    swept = clock.elapsed
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
    taken = outline.samples(clock.levels, resumed, clock.elapsed - swept, complete=complete)
    tell(Finished(complete, clock.elapsed, outline.kind, taken))
    return picture


def _telling_patches(
    job: Job, state: RenderState, tell: Callable[[PatchDone], None], stop: Callable[[], bool] | None
) -> Callable[[], bool]:
    """Return what the loop calls after every patch: it sends the event, and asks whether to stop."""

    def should_stop() -> bool:
        if state.patches:
            level = job.levels[state.level]
            tell(PatchDone(level, len(job.levels), state.sweep, state.sweep_fraction))
        return stop is not None and stop()

    return should_stop


def _look(finish: PictureFinish, canvas: Canvas) -> Picture:
    """Return the picture that a canvas shows, at a modest size."""
    trim()  # frees the patches' memory on the host for the copy; the next sweep needs that of the device
    return finish.preview(canvas.picture())


def _teller(observer: Observer | None) -> Observer:
    """Return what passes events on to an observer, if there is one."""
    return guard_callback(observer, "the observer") if observer else lambda event: None


def _start_clock(outline: Outline, resumed: ResumePoint | None, state: RenderState) -> TimeLeft:
    """Start the clock of a render, of which an earlier run may have done a part."""
    expected = known_forecast(outline)
    return TimeLeft(
        expected.levels,
        expected.ending,
        prior_share=expected.prior_share,
        done_before=(resumed.level, resumed.sweep) if resumed else (0, 0),
        partial_sweep=state.done_fraction,
    )


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
