"""Send the events of a render while it runs, with the time that it has taken and the time left."""

from __future__ import annotations

from tilestyle.canvas.canvas import Canvas
from tilestyle.devices.malloc import trim
from tilestyle.images import Picture
from tilestyle.losses.objective import LossTerms
from tilestyle.optim.state import RenderState
from tilestyle.pipeline.estimate import known_forecast
from tilestyle.pipeline.events import (
    CanvasMoved,
    Finished,
    LevelStarted,
    Observer,
    PatchDone,
    PatchHalved,
    Resumed,
    SweepDone,
)
from tilestyle.pipeline.finished_picture import PictureFinish
from tilestyle.pipeline.live_canvas import LiveCanvas
from tilestyle.pipeline.outline import Outline
from tilestyle.pipeline.resume_point import ResumePoint
from tilestyle.pipeline.time_left import TimeLeft
from tilestyle.planning.job import Job
from tilestyle.planning.schedule import Level


class EventSender:
    """Sends the events of a render, from its first level on; its clock starts when it is created."""

    def __init__(
        self,
        job: Job,
        state: RenderState,
        resumed: ResumePoint | None,
        finish: PictureFinish,
        tell: Observer,
    ) -> None:
        """Start the clock, and say where an earlier run left the render.

        Args:
            job: The render.
            state: Its state, which is not kept alive.
            resumed: Where an earlier run left it.
            finish: Makes a picture of its canvas.
            tell: Called with the events.
        """
        self._levels, self._resumed, self._finish, self._tell = job.levels, resumed, finish, tell
        self._live = LiveCanvas.of(state, finish)
        self._outline = Outline.of(job)
        self._latest_level = -1
        expected = known_forecast(self._outline)
        self._clock = TimeLeft(
            expected.levels,
            expected.ending,
            prior_share=expected.prior_share,
            done_before=(resumed.level, resumed.sweep) if resumed else (0, 0),
            partial_sweep=state.done_fraction,
        )
        if resumed:
            self._clock.start_level()
            level = job.levels[resumed.level]
            tell(Resumed(level, len(job.levels), resumed.sweep, resumed.seconds, self._live))

    @property
    def elapsed(self) -> float:
        """Seconds since the render started."""
        return self._clock.elapsed

    def level_started(self, level: Level) -> None:
        """A level starts, or starts again because memory ran out before its canvas existed."""
        if level.index == self._latest_level:
            return
        self._latest_level = level.index
        self._clock.start_level()
        self._tell(LevelStarted(level, len(self._levels), self._live))

    def patch_done(self) -> None:
        """A patch is done."""
        state = self._live.state()
        if state is not None and state.patches:
            level = self._levels[state.level]
            self._tell(PatchDone(level, len(self._levels), state.sweep, state.sweep_fraction))

    def sweep_done(self, level: Level, sweep: int, terms: LossTerms, canvas: Canvas) -> None:
        """A sweep is done; the time in which its event is looked at does not count for the next."""
        sweep_seconds, seconds_before = self._clock.end_sweep(), self._clock.elapsed
        self._tell(
            SweepDone(
                level,
                len(self._levels),
                sweep,
                terms.style,
                terms.content,
                terms.tv,
                self._clock.elapsed,
                self._clock.seconds_left(),
                level.extent.area / 1e6 / sweep_seconds,
                lambda: self._look(canvas),
                terms.anchor,
                terms.palette,
                terms.content_weight,
            )
        )
        self._clock.pause(self._clock.elapsed - seconds_before)

    def recovered(self, event: PatchHalved | CanvasMoved) -> None:
        """Memory ran out, and the render continues in another way."""
        self._clock.levels.clear()  # what they took holds for other patches, or another place of the canvas
        self._tell(event)

    def finished(self, ending: float, *, complete: bool) -> None:
        """The picture is made, in so many seconds after the last sweep."""
        samples = self._outline.samples(self._clock.levels, self._resumed, ending, complete=complete)
        self._tell(Finished(complete, self._clock.elapsed, self._outline.kind, samples))

    def _look(self, canvas: Canvas) -> Picture:
        """Return the picture that a canvas shows, at a modest size."""
        trim()  # frees the patches' memory on the host for the copy; the next sweep needs that of the device
        return self._finish.preview(canvas.picture())
