"""Progress of a render: a bar or lines, and the preview."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from rich.progress import BarColumn, Progress, TextColumn

from tilestyle.cli import signals
from tilestyle.cli.terminal import console, say
from tilestyle.config.byte_size import format_bytes
from tilestyle.pipeline.events import (
    CanvasMoved,
    Event,
    Finished,
    LevelStarted,
    Observer,
    PatchHalved,
    Resumed,
    Started,
    Stopped,
    SweepDone,
)
from tilestyle.pipeline.observers import guard_callback

SECONDS_BETWEEN_LINES = 10.0
SECONDS_BETWEEN_PREVIEWS = 2.0


class Bar:
    """A live line in a terminal: level, sweep, losses, speed, peak memory, time left for the whole render."""

    def __init__(self, peak: Callable[[], int]) -> None:
        self._peak = peak
        self._progress = Progress(
            TextColumn("{task.fields[where]}", markup=False),
            BarColumn(bar_width=24),
            TextColumn("{task.percentage:3.0f}%", markup=False),
            TextColumn("{task.fields[what]}", markup=False),
            console=console(stderr=True),
            transient=True,
        )
        self._task = self._progress.add_task("", total=1.0, where="", what="starting")

    def __call__(self, event: Event) -> None:
        """Redraw."""
        if isinstance(event, LevelStarted):
            self._progress.start()
        elif isinstance(event, SweepDone):
            done = event.seconds / max(event.seconds + event.seconds_left, 1e-9)
            where, what = described(event, self._peak())
            self._progress.update(self._task, completed=done, where=where, what=what)
        elif isinstance(event, Stopped | Finished):
            self._progress.stop()
        else:
            self._progress.console.print(announced(event))


class Lines:
    """Plain lines, for logs: every ten seconds, and at the end of every level."""

    def __init__(self, peak: Callable[[], int]) -> None:
        self._peak = peak
        self._last = time.monotonic()

    def __call__(self, event: Event) -> None:
        """Print a line if it is time for one."""
        if isinstance(event, Started | Resumed | PatchHalved | CanvasMoved):
            say(announced(event))
        if not isinstance(event, SweepDone):
            return
        now = time.monotonic()
        if now - self._last >= SECONDS_BETWEEN_LINES or event.sweep + 1 == event.level.sweeps:
            self._last = now
            say(", ".join(described(event, self._peak())))


def described(event: SweepDone, peak: int) -> tuple[str, str]:
    """Position and progress of a render."""
    box = event.level.extent.picture
    where = f"level {event.level.index + 1}/{event.levels} {box.width}x{box.height} "
    where += f"sweep {event.sweep + 1}/{event.level.sweeps}"
    names = "style", "palette", "content", "tv", "anchor"
    terms = {name: getattr(event, name) for name in names}
    what = " ".join(f"{name} {value:.4f}" for name, value in terms.items() if value)
    if event.content_weight is not None:
        what += f" content weight {event.content_weight:.3g}"
    what += f" {event.megapixels_per_second:.2f} MP/s peak {format_bytes(peak)}"
    return where, f"{what} {clock(event.seconds_left)} left"


def announced(event: Started | Resumed | PatchHalved | CanvasMoved) -> str:
    """The plan of a render, or a change of it."""
    if isinstance(event, PatchHalved):
        return f"out of memory: continuing with patches of {event.side} pixels"
    if isinstance(event, CanvasMoved):
        return "out of device memory: moving the canvas to RAM"
    if isinstance(event, Resumed):
        box = event.level.extent.picture
        where = f"level {event.level.index + 1}/{event.levels} {box.width}x{box.height}"
        sweep = event.sweep + 1
        at = f"{where}, sweep {sweep}" if sweep <= event.level.sweeps else f"{where}, all sweeps done"
        return f"continuing at {at}, after {clock(event.seconds)}"
    memory = of(event.need, event.limit)
    memory += "" if event.device == "cpu" else f" on {event.device}"
    canvas = of(event.held, event.host_limit)
    files = f" and {format_bytes(event.disk)} on disk" if event.disk else ""
    seconds = event.seconds()
    time_needed = "time unknown" if seconds is None else f"about {approximately(seconds)}"
    return f"patch {event.side}, {memory}, canvas {canvas} in RAM{files}, {time_needed}"


def of(need: int, limit: int | None) -> str:
    """Bytes needed, and the limit if there is one."""
    return f"about {format_bytes(need)}" if limit is None else f"{format_bytes(need)} of {format_bytes(limit)}"


def approximately(seconds: float) -> str:
    """A time in its natural unit."""
    if seconds < 60:
        return f"{seconds:.0f} s"
    minutes = seconds / 60
    return f"{minutes:.0f} min" if minutes < 120 else f"{minutes / 60:.0f} h"


def clock(seconds: float) -> str:
    """Seconds as hours, minutes and seconds: 1:02:03, or 2:03."""
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"


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


def together(observers: list[Observer]) -> Observer:
    """One observer that calls all of these."""

    def tell(event: Event) -> None:
        for observer in observers:
            observer(event)

    return tell


def warn(text: str) -> None:
    """Print what went wrong without ending the command."""
    say(f"tilestyle: {text}")


def watcher(*, quiet: bool, preview: Path | None, peak: Callable[[], int]) -> Observer:
    """The observer of a command: a bar in a terminal, else lines; and the preview. Failures do not end it."""
    observers: list[Observer] = []
    if not quiet:
        shown: Observer = Bar(peak) if sys.stderr.isatty() else Lines(peak)
        observers.append(guard_callback(shown, "the progress display", warn))
    if preview:
        # Its drive may be available again later.
        observers.append(guard_callback(Preview(preview), f"the preview {preview}", warn, retry=True))
    return together(observers)


def obey(event: Event) -> None:
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
def stop_on_interrupt(*, quiet: bool = False, keeps: bool = False) -> Iterator[Callable[[], bool]]:
    """Yield a function that returns True after Ctrl-C; a second Ctrl-C ends the command.

    With `keeps`, it also returns True after a request to end (SIGTERM and the like): the command then ends when
    `obey` sees that a checkpoint was saved. Without, it ends at once.
    """
    with signals.stopping(quiet=quiet, keeps=keeps) as stop:
        yield stop
