"""A progress bar for Python programs, in terminals and notebooks. The command line has its own display."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from types import TracebackType
from typing import Self

from rich.console import Console
from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn

from tilestyle.pipeline.events import Event, Finished, LevelStarted, Observer, Resumed, SweepDone
from tilestyle.pipeline.observers import guard_callback


class ProgressBar:
    """A bar on standard error, or in the output of a notebook's cell. Use it in a `with` block."""

    def __init__(self) -> None:
        self._progress = Progress(
            TextColumn("{task.description}", markup=False),
            BarColumn(),
            TaskProgressColumn(),
            TextColumn("{task.fields[left]}", markup=False),
            console=Console(stderr=True),
        )
        self._task = self._progress.add_task("starting", total=1.0, left="")
        self._seconds_before = 0.0  # that earlier runs of the same render took

    def __enter__(self) -> Self:
        """Return the bar itself; it appears with the first update."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Leave the bar as it is, and release the terminal."""
        if self._progress.live.is_started:
            self._progress.stop()

    def update(self, share: float | None, text: str, time_left: str = "") -> None:
        """Redraw the bar.

        Args:
            share: Fraction of the work that is done; None leaves it as it is.
            text: What is being done.
            time_left: Time left.
        """
        self._progress.start()
        self._progress.update(self._task, completed=share, description=text, left=time_left)

    def observe(self, event: Event) -> None:
        """Show the progress of a render; an observer."""
        if isinstance(event, Resumed):
            self._seconds_before = event.seconds
        elif isinstance(event, LevelStarted):
            self.update(None, f"level {event.level.index + 1} of {event.levels}")
        elif isinstance(event, SweepDone):
            share = event.seconds / max(event.seconds + event.seconds_left, 1e-9)
            time_left = timedelta(seconds=round(event.seconds_left))
            self.update(share, f"level {event.level.index + 1} of {event.levels}", f"{time_left} left")
        elif isinstance(event, Finished):
            took = f"{timedelta(seconds=round(self._seconds_before + event.seconds))}"
            self.update(1.0, f"done in {took}" if event.complete else f"stopped after {took}")


@contextmanager
def showing_progress(observer: Observer | None) -> Iterator[Observer]:
    """Show the progress of a render inside the block.

    Args:
        observer: Another observer of the render.

    Yields:
        An observer for both. If one of them fails, the other continues.
    """
    with ProgressBar() as bar:
        observers: list[Observer] = [guard_callback(bar.observe, "the progress bar")]
        if observer is not None:
            observers.append(guard_callback(observer, "the observer"))

        def observe(event: Event) -> None:
            for each in observers:
                each(event)

        yield observe
