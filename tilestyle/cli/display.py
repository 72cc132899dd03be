"""What a person sees while a render runs."""

from __future__ import annotations

import signal
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType

from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn

from tilestyle.memory_size import gib
from tilestyle.progress import Event, Finished, LevelStarted, Observer, PatchHalved, Resumed, Started, SweepDone

SECONDS_BETWEEN_LINES = 10.0
SECONDS_BETWEEN_PREVIEWS = 2.0


class Bar:
    """A live line in a terminal: level, sweep, terms, speed, peak memory, time left for the whole job."""

    def __init__(self, peak: Callable[[], int]) -> None:
        self._peak = peak
        self._progress = Progress(
            TextColumn("{task.fields[where]}"),
            BarColumn(bar_width=24),
            TextColumn("{task.percentage:3.0f}%"),
            TextColumn("{task.fields[what]}"),
            console=Console(stderr=True),
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
        elif isinstance(event, Finished):
            self._progress.stop()
        else:
            self._progress.console.print(announced(event), highlight=False)


class Lines:
    """Plain lines, for logs: every so often, and at the end of every level."""

    def __init__(self, peak: Callable[[], int]) -> None:
        self._peak = peak
        self._last = time.monotonic()

    def __call__(self, event: Event) -> None:
        """Print a line when it is time to."""
        if isinstance(event, Started | Resumed | PatchHalved):
            print(announced(event), file=sys.stderr, flush=True)
        if not isinstance(event, SweepDone):
            return
        now = time.monotonic()
        if now - self._last >= SECONDS_BETWEEN_LINES or event.sweep + 1 == event.level.sweeps:
            self._last = now
            print(", ".join(described(event, self._peak())), file=sys.stderr, flush=True)


def described(event: SweepDone, peak: int) -> tuple[str, str]:
    """Where the render is, and how it goes."""
    box = event.level.extent.picture
    where = f"level {event.level.index + 1}/{event.levels} {box.width}x{box.height} "
    where += f"sweep {event.sweep + 1}/{event.level.sweeps}"
    terms = {"style": event.style, "content": event.content, "tv": event.tv, "anchor": event.anchor}
    what = " ".join(f"{name} {value:.4f}" for name, value in terms.items() if value)
    what += f" {event.megapixels_per_second:.2f} MP/s peak {peak / 2**30:.2f} GiB"
    return where, f"{what} {clock(event.seconds_left)} left"


def announced(event: Started | Resumed | PatchHalved) -> str:
    """What was planned, or what became of it."""
    if isinstance(event, PatchHalved):
        return f"memory ran out: going on with patches of {event.side} pixels"
    if isinstance(event, Resumed):
        box = event.level.extent.picture
        where = f"level {event.level.index + 1}/{event.levels} {box.width}x{box.height}"
        return f"going on at {where} sweep {event.sweep + 1}, after {clock(event.seconds)}"
    memory = of(event.need, event.limit)
    memory += "" if event.device == "cpu" else f" on {event.device}"
    canvas = of(event.held, event.host_limit)
    files = f" and {gib(event.disk)} GiB on disk" if event.disk else ""
    seconds = event.seconds()
    time_needed = "time unknown" if seconds is None else f"about {approximately(seconds)}"
    return f"patch {event.side}, {memory}, canvas {canvas} in RAM{files}, {time_needed}"


def of(need: int, limit: int | None) -> str:
    """Bytes needed, of those that were given if they were."""
    return f"about {gib(need)} GiB" if limit is None else f"{gib(need)} of {gib(limit)} GiB"


def approximately(seconds: float) -> str:
    """A time as one says it."""
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
    """Keeps a picture file fresh."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._last = 0.0

    def __call__(self, event: Event) -> None:
        """Write the picture as it is, but not too often: writing must not cost more than a tenth."""
        if not isinstance(event, SweepDone):
            return
        now = time.monotonic()
        if now - self._last >= SECONDS_BETWEEN_PREVIEWS:
            from tilestyle.images import write_picture

            write_picture(self._path, event.picture())
            spent = time.monotonic() - now
            self._last = time.monotonic() + max(0.0, 10 * spent - SECONDS_BETWEEN_PREVIEWS)


def together(observers: list[Observer]) -> Observer:
    """One observer that tells all of these."""

    def tell(event: Event) -> None:
        for observer in observers:
            observer(event)

    return tell


def watcher(*, quiet: bool, preview: Path | None, peak: Callable[[], int]) -> Observer:
    """The observer for a command: a bar in a terminal, else lines; and the preview."""
    observers: list[Observer] = []
    if not quiet:
        observers.append(Bar(peak) if sys.stderr.isatty() else Lines(peak))
    if preview:
        observers.append(Preview(preview))
    return together(observers)


@contextmanager
def stop_on_interrupt(*, quiet: bool = False) -> Iterator[Callable[[], bool]]:
    """A question that Ctrl-C answers with yes; a second Ctrl-C ends the program as ever."""
    asked = False

    def interrupted(number: int, frame: FrameType | None) -> None:
        nonlocal asked
        asked = True
        signal.signal(signal.SIGINT, signal.default_int_handler)
        if quiet:
            return
        print("\nstopping after this patch; once more to give up", file=sys.stderr, flush=True)

    before = signal.signal(signal.SIGINT, interrupted)
    try:
        yield lambda: asked
    finally:
        signal.signal(signal.SIGINT, before)
