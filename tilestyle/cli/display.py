"""What a command shows of its renders: how far they are, and the preview."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from functools import cache
from pathlib import Path

from tilestyle.cli import learning, signals
from tilestyle.cli.progress import Parts, Position
from tilestyle.cli.terminal import say, warn
from tilestyle.cli.times import duration, elapsed
from tilestyle.config.byte_size import format_bytes
from tilestyle.config.readable import format_number
from tilestyle.images.faces import describe_count
from tilestyle.pipeline.events import (
    CanvasMoved,
    Event,
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
from tilestyle.pipeline.observers import guard_callback

SECONDS_BETWEEN_PREVIEWS = 2.0


class RenderProgress:
    """An observer that shows how far a render is, by its sweeps and the patches in between."""

    def __init__(self, parts: Parts, peak: Callable[[], int] | None = None, *, announces: bool = False) -> None:
        """Begin before the render does.

        Args:
            parts: The renders of the command; this is the one that has begun.
            peak: Measures the peak memory, for --verbose.
            announces: Whether to print the plan of the render and measure how long it will take.
        """
        self._parts, self._peak, self._announces = parts, peak, announces
        self._told_faces = False
        self._begin(None)

    def _begin(self, seconds_left: float | None) -> None:
        """Begin a render, with an estimate of its seconds; None: there is none yet."""
        self._since = self._parts.timer()  # when a sweep ended last
        self._seconds, self._left = 0.0, seconds_left  # at that moment: of the render so far, and to its end
        self._earlier = 0.0  # seconds of the runs before this one
        self._seconds_per_megapixel: float | None = None  # of the last sweep
        self._done, self._details = 0.0, ""

    def __call__(self, event: Event) -> None:
        """Show an event of the render."""
        if isinstance(event, Started):
            self._start(event)
        elif isinstance(event, Resumed | PatchHalved | CanvasMoved):
            say(announcement(event))
            if isinstance(event, Resumed) and self._left is not None:
                self._earlier, self._left = event.seconds, max(0.0, self._left - event.seconds)
        elif isinstance(event, LevelStarted):
            self._show(f"level {event.level.index + 1} of {event.levels}, preparing")
        elif isinstance(event, PatchDone):
            self._show_patch(event)
        elif isinstance(event, SweepDone):
            self._show_sweep(event)
        elif isinstance(event, Stopped):
            self._show("stopped, writing the image")
        elif event.complete:
            self._done, self._left = 1.0, 0.0
            self._show("writing the image")

    def _start(self, event: Started) -> None:
        self._begin(None)
        self._show("starting")
        if event.faces is not None and not self._told_faces:  # of a series, those in its first picture
            self._told_faces = True
            say(describe_count(event.faces))
        if self._announces:
            event = replace(event, seconds=cache(event.seconds))  # it is measured once
            say(announcement(event))
            self._begin(event.seconds())
            self._show("preparing the style")

    def _show_patch(self, event: PatchDone) -> None:
        level = event.level
        if self._seconds_per_megapixel is None:  # the first sweep
            self._done = max(self._done, event.share / level.sweeps / event.levels)
            self._show(*location(event))
            return
        expected = self._seconds_per_megapixel * level.extent.area / 1e6
        self._show(*location(event), share=event.share, expected=expected)

    def _show_sweep(self, event: SweepDone) -> None:
        self._since = self._parts.timer()
        self._seconds, self._left = event.seconds, event.seconds_left
        self._seconds_per_megapixel = 1 / max(event.megapixels_per_second, 1e-9)
        self._details = loss_summary(event, self._peak() if self._peak else None)
        self._show(*location(event), expected=0.0, milestone=event.sweep + 1 == event.level.sweeps)

    def _show(
        self,
        where: str,
        more: str = "",
        *,
        share: float = 0.0,
        expected: float | None = None,
        milestone: bool = False,
    ) -> None:
        """Show what is done.

        Args:
            where: What the render does.
            more: Its sweep.
            share: Fraction of the current sweep that is done; 0 if that is not known.
            expected: Seconds that the current sweep will take; None if that is not known.
            milestone: Whether a level ends.
        """
        waited = self._parts.timer() - self._since
        seconds_left = self._left
        min_seconds_left: float | None = None if self._seconds_per_megapixel is None and self._done < 1 else 0.0
        if seconds_left is not None:
            if expected is not None:  # the time left waits for a sweep that takes longer
                min_seconds_left = max(0.0, seconds_left - expected)
                ahead = share * expected if share else min(waited, expected)
                seconds_before = self._earlier + self._seconds + waited
                self._done = max(
                    self._done, seconds_before / max(seconds_before + max(0.0, seconds_left - ahead), 1e-9)
                )
            seconds_left = max(min_seconds_left or 0.0, seconds_left - waited)
            seconds_left = None if min_seconds_left is None and not seconds_left else seconds_left
        self._parts.show(
            Position(
                where,
                self._done,
                seconds_left,
                min_seconds_left,
                more=more,
                details=self._details,
                milestone=milestone,
            )
        )


def location(event: PatchDone | SweepDone) -> tuple[str, str]:
    """Where a render is: the level with its long side, and the sweep."""
    box = event.level.extent.picture
    where = f"level {event.level.index + 1} of {event.levels}, {max(box.width, box.height)} px"
    return where, f"sweep {event.sweep + 1} of {event.level.sweeps}"


def loss_summary(event: SweepDone, peak: int | None) -> str:
    """Losses, speed and peak memory."""
    names = "style", "palette", "content", "tv", "anchor"
    terms = {name: getattr(event, name) for name in names}
    summary = " ".join(f"{name} {value:.4f}" for name, value in terms.items() if value)
    if event.content_weight is not None:
        summary += f" content weight {format_number(event.content_weight, 3)}"
    summary += f" {event.megapixels_per_second:.2f} MP/s"
    return summary if peak is None else f"{summary} peak {format_bytes(peak)}"


def announcement(event: Started | Resumed | PatchHalved | CanvasMoved) -> str:
    """The plan of a render, or a change of it."""
    if isinstance(event, PatchHalved):
        return f"out of memory: continuing with patches of {event.side} pixels"
    if isinstance(event, CanvasMoved):
        return "out of device memory: moving the canvas to RAM"
    if isinstance(event, Resumed):
        box = event.level.extent.picture
        where = f"level {event.level.index + 1} of {event.levels}, {box.width} x {box.height}"
        sweep = event.sweep + 1
        at = f"{where}, sweep {sweep}" if sweep <= event.level.sweeps else f"{where}, all sweeps done"
        return f"continuing at {at}, after {elapsed(event.seconds)}"
    memory = memory_use(event.need, event.limit)
    memory += "" if event.device == "cpu" else f" on {event.device}"
    canvas = memory_use(event.held, event.host_limit)
    files = f" and {format_bytes(event.disk)} on disk" if event.disk else ""
    seconds = event.seconds()
    time_needed = "" if seconds is None else f", about {duration(seconds)}"
    return f"patch {event.side}, {memory}, canvas {canvas} in RAM{files}{time_needed}"


def memory_use(need: int, limit: int | None) -> str:
    """Bytes needed, and the limit if there is one."""
    return f"about {format_bytes(need)}" if limit is None else f"{format_bytes(need)} of {format_bytes(limit)}"


class Preview:
    """Updates an image file during the render."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._last = 0.0

    def __call__(self, event: Event) -> None:
        """Write the current picture, in at most a tenth of the time."""
        if not isinstance(event, SweepDone):
            return
        now = time.monotonic()
        if now - self._last >= SECONDS_BETWEEN_PREVIEWS:
            from tilestyle.images import write_picture

            self._last = now  # one that cannot be written is not tried again at once
            write_picture(self._path, event.picture())
            spent = time.monotonic() - now
            self._last = time.monotonic() + max(0.0, 10 * spent - SECONDS_BETWEEN_PREVIEWS)


def combined(observers: list[Observer]) -> Observer:
    """One observer that calls all of these."""

    def tell(event: Event) -> None:
        for observer in observers:
            observer(event)

    return tell


def watcher(
    parts: Parts,
    *,
    quiet: bool,
    preview: Path | None = None,
    peak: Callable[[], int] | None = None,
    announces: bool = False,
) -> Observer:
    """What shows a render: how far it is, and its preview.

    Args:
        parts: The renders of the command.
        quiet: Whether to print nothing.
        preview: File of the preview.
        peak: Measures the peak memory, for --verbose.
        announces: Whether to print the plan of the render and measure how long it will take.
    """
    observers: list[Observer] = [] if announces else [learning.note_part]  # render_to_file notes its own
    if not quiet:
        shown = RenderProgress(parts, peak, announces=announces)
        observers.append(guard_callback(shown, "the progress display", warn))
    if preview:
        # Its drive may be available again later.
        observers.append(guard_callback(Preview(preview), f"the preview {preview}", warn, retry=True))
    return combined(observers)


def note_phase(event: Event) -> None:
    """Tell signals.py how far a render is; end it if a request to end has waited for this."""
    last = (
        isinstance(event, SweepDone)
        and event.level.index + 1 == event.levels
        and event.sweep + 1 == event.level.sweeps
    )
    if last or isinstance(event, Stopped):
        signals.enter(signals.Doing.FINISHING)
    elif isinstance(event, Finished):
        signals.enter(signals.Doing.WRITING)
    if isinstance(event, Stopped | Finished):
        signals.end_if_asked()


@contextmanager
def stop_on_interrupt(
    *, quiet: bool = False, keeps: bool = False, writes: bool = True
) -> Iterator[Callable[[], bool]]:
    """Yield a function that returns True after Ctrl-C; a second Ctrl-C ends the command.

    With `keeps`, it also returns True after a request to end (SIGTERM and the like): the command then ends when
    `note_phase` sees that a checkpoint was saved. Without, it ends at once. Without `writes`, Ctrl-C is such a
    request, too: an unfinished picture is not written.
    """
    with signals.stopping(quiet=quiet, keeps=keeps, writes=writes) as stop:
        yield stop
