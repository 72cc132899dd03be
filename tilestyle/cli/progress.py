"""How far a command is: a bar in a terminal, a line every ten seconds elsewhere.

A command shows its position on a `Display`. `Parts` adds up the renders of a command that makes several, and
`Steps` estimates the time left of work that is not a render.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from itertools import accumulate
from statistics import median_low
from typing import TYPE_CHECKING, TypeVar

from rich.cells import cell_len, set_cell_size
from rich.measure import Measurement
from rich.progress import Progress, ProgressColumn, Task
from rich.progress_bar import ProgressBar
from rich.segment import Segment

from tilestyle.cli.terminal import console, plain, say
from tilestyle.cli.times import time_left

if TYPE_CHECKING:
    from rich.console import Console, ConsoleOptions, RenderResult

SECONDS_BETWEEN_LINES = 10.0
REFRESHES_PER_SECOND = 4
# Columns at the right that stay empty: terminals echo ^C there, which must not begin another line.
MARGIN = 3
LEAST_BAR, ROOMY_BAR, WIDEST_BAR = 10, 20, 40  # columns
LEAST_TEXT = 6  # columns below which a text is left out rather than cut

Timer = Callable[[], float]
Item = TypeVar("Item")


@dataclass(frozen=True, slots=True)
class Position:
    """How far a command is.

    Attributes:
        where: What it does, such as "level 3 of 5, 724 px".
        done: Fraction of all its work, 0 to 1.
        seconds_left: Seconds left at the moment when this is shown; None if that is not known.
        min_seconds_left: The seconds left do not count down below this before the next position; None: when
            they have run out, the time left is not known.
        more: What wide terminals and lines show too, such as the sweep.
        details: What is shown with --verbose.
        milestone: Whether this deserves a line of its own where there is no bar.
    """

    where: str
    done: float = 0.0
    seconds_left: float | None = None
    min_seconds_left: float | None = 0.0
    more: str = ""
    details: str = ""
    milestone: bool = False

    @property
    def percentage(self) -> str:
        """The work done; 100 only when all of it is."""
        return f"{int(100 * min(self.done, 1.0)):3d}%"


class Display:
    """Shows how far a command is; this one shows nothing."""

    def show(self, position: Position) -> None:
        """Show it from now on."""

    @contextmanager
    def hidden(self) -> Iterator[None]:
        """Leave the terminal to something else inside the block, such as a question."""
        yield

    def close(self) -> None:
        """Leave nothing on the screen."""


class Bar(Display):
    """A live line at the bottom of a terminal. It never wraps, and `close` removes it."""

    def __init__(
        self, *, verbose: bool = False, timer: Timer = time.monotonic, console: Console | None = None
    ) -> None:
        self._column = _Column(verbose, timer)
        self._progress = Progress(
            self._column,
            console=console or _stderr(),
            transient=True,
            refresh_per_second=REFRESHES_PER_SECOND,
        )
        self._progress.add_task("")

    def show(self, position: Position) -> None:
        """Draw it with the next refresh."""
        begins = self._column.position is None
        self._column.set_position(position)
        if begins:
            self._progress.start()

    @contextmanager
    def hidden(self) -> Iterator[None]:
        """Remove the bar inside the block."""
        drawn = self._column.position is not None
        self._progress.stop()
        yield
        if drawn:
            self._progress.start()

    def refresh(self) -> None:
        """Draw it at once."""
        self._progress.refresh()

    def close(self) -> None:
        """Remove the bar."""
        self._progress.stop()


class Lines(Display):
    """Plain lines, for logs: every ten seconds, and at milestones."""

    def __init__(self, *, verbose: bool = False, timer: Timer = time.monotonic) -> None:
        self._verbose, self._timer = verbose, timer
        self._last = timer()

    def show(self, position: Position) -> None:
        """Print a line if it is time for one."""
        now = self._timer()
        if now - self._last < SECONDS_BETWEEN_LINES and not position.milestone:
            return
        self._last = now
        parts = [position.where, position.more, position.percentage.strip(), time_left(position.seconds_left)]
        say(", ".join(filter(None, [*parts, position.details if self._verbose else ""])))


@contextmanager
def open_display(*, quiet: bool = False, verbose: bool = False) -> Iterator[Display]:
    """The display of a command; however the block ends, nothing of it stays on the screen."""
    display: Display
    if quiet:
        display = Display()
    elif _is_terminal():
        display = Bar(verbose=verbose)
    else:
        display = Lines(verbose=verbose)
    try:
        yield display
    finally:
        display.close()


def _is_terminal() -> bool:
    """Whether standard error is a terminal that can move its cursor."""
    return sys.stderr.isatty() and not _stderr().is_dumb_terminal


class Parts:
    """The renders of a command, as parts of its work.

    The time of those to come is estimated from those that are done and the one that runs.
    """

    def __init__(
        self, display: Display, weights: Sequence[float] | int = 1, timer: Timer = time.monotonic
    ) -> None:
        """Begin with the first part.

        Args:
            display: Shows them.
            weights: Work of each render, in any unit; or the number of renders that are alike.
            timer: Tells the time, in seconds.
        """
        self.display, self.timer = display, timer
        self.weigh(weights)
        self._index, self._label = 0, ""
        self._start = timer()
        self._rates: list[float] = []  # seconds per weight of the parts that are done

    def weigh(self, weights: Sequence[float] | int) -> None:
        """Set the work of each render, in any unit; or the number of renders that are alike."""
        # A number may be huge: no list is made of it.
        self._ends = None if isinstance(weights, int) else list(accumulate(weights or [1.0]))
        self._count = weights if isinstance(weights, int) else len(weights) or 1

    def _work_before(self, index: int) -> float:
        """The work of all parts before this one."""
        if self._ends is None:
            return float(index)
        return float(self._ends[index - 1]) if index else 0.0

    def _weight(self, index: int) -> float:
        return self._work_before(index + 1) - self._work_before(index)

    def begin(self, index: int, label: str = "") -> None:
        """Begin a part; parts that are skipped were done before.

        Args:
            index: Which part, from 0.
            label: What it is, such as "picture 3 of 12".
        """
        now = self.timer()
        if index > self._index and self._label:
            self._rates.append((now - self._start) / self._weight(self._index))
        self._index, self._label, self._start = min(index, self._count - 1), label, now
        self.show(Position(""))

    def abandon(self) -> None:
        """The current part has failed: what it took says nothing about the others."""
        self._label = ""

    def hidden(self, ask: Callable[[], Item]) -> Item:
        """Ask something, with nothing else on the screen."""
        with self.display.hidden():
            return ask()

    def show(self, position: Position) -> None:
        """Show how far the current part is as how far the command is."""
        weight, work_before = self._weight(self._index), self._work_before(self._index)
        work_after = self._work_before(self._count) - work_before - weight
        elapsed = self.timer() - self._start
        seconds_left, min_seconds_left = position.seconds_left, position.min_seconds_left
        if seconds_left is None and self._rates:
            seconds_left = max(0.0, weight * median_low(self._rates) - elapsed)
        added = 0.0
        if seconds_left is not None:
            added = work_after * median_low([*self._rates, (elapsed + seconds_left) / weight])
        self.display.show(
            replace(
                position,
                where=self._label or position.where,
                more=position.where if self._label else position.more,
                done=(work_before + weight * position.done) / (work_before + weight + work_after),
                seconds_left=None if seconds_left is None else seconds_left + added,
                min_seconds_left=None if min_seconds_left is None else min_seconds_left + added,
                milestone=position.milestone and not self._label,
            )
        )


class Remembered:
    """Whether to stop: asks until the answer is yes, and remembers it."""

    def __init__(self, ask: Callable[[], bool]) -> None:
        self._ask = ask
        self.answer = False

    def __call__(self) -> bool:
        """Ask."""
        self.answer = self.answer or self._ask()
        return self.answer


class Steps:
    """Work whose done fraction is known; the time left is estimated from the time so far."""

    def __init__(self, display: Display, where: str, timer: Timer = time.monotonic) -> None:
        self._display, self._where, self._timer = display, where, timer
        self._start = timer()
        display.show(Position(where))

    def at(self, done: float, more: str = "") -> None:
        """Show how far it is."""
        elapsed = self._timer() - self._start
        seconds_left = elapsed * (1 - done) / done if done > 0 else None
        self._display.show(Position(self._where, done, seconds_left, more=more))

    def track(self, items: Iterable[Item], count: int) -> Iterator[Item]:
        """Pass on the items, of which there are `count`, and show how many have been taken."""
        for number, item in enumerate(items):
            if number:
                self.at(min(1.0, number / max(count, 1)), f"frame {number + 1} of {count}")
            yield item


def _stderr() -> Console:
    return console(stderr=True)


class _Column(ProgressColumn):
    """The whole line of a bar: what it does, the bar, the percentage and the time left."""

    def __init__(self, verbose: bool, timer: Timer) -> None:
        super().__init__()
        self._verbose, self._timer = verbose, timer
        self._set_at = timer()
        self.position: Position | None = None

    def set_position(self, position: Position) -> None:
        """Draw this from now on."""
        self._set_at, self.position = self._timer(), position

    def render(self, task: Task) -> _Line:
        """The line at this moment."""
        position = self.position or Position("")
        if position.seconds_left is not None:
            seconds_left = position.seconds_left - (self._timer() - self._set_at)
            if position.min_seconds_left is not None:
                seconds_left = max(seconds_left, min(position.seconds_left, position.min_seconds_left))
            position = replace(position, seconds_left=None if seconds_left < 0 else seconds_left)
        return _Line(position, self._verbose)


@dataclass(frozen=True)
class _Line:
    """One position as one line, whatever the width; with `verbose`, a second line for the details."""

    position: Position
    verbose: bool

    def __rich_measure__(self, console: Console, options: ConsoleOptions) -> Measurement:
        width = max(1, options.max_width - MARGIN)  # cells are filled up with spaces
        return Measurement(width, width)

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        width = options.max_width
        position = self.position
        numbers = f" {position.percentage} {time_left(position.seconds_left)}"
        text_width = width - cell_len(numbers)
        where = _fitting(_texts(position), text_width - LEAST_BAR)
        bar = min(WIDEST_BAR, text_width - cell_len(where))
        yield Segment(where)
        if bar > 1:
            yield ProgressBar(total=1.0, completed=min(position.done, 1.0), width=bar)
        yield Segment(_cut(numbers if bar > 1 else numbers.strip(), width))
        if self.verbose:
            yield Segment.line()
            yield Segment(_cut(plain(position.details), width))


def _texts(position: Position) -> list[tuple[str, int]]:
    """Texts for a position, the longest first, each with the columns that it must leave to a wider bar."""
    where, more = plain(position.where), plain(position.more)
    full_text = ", ".join(filter(None, (where, more)))
    return [(full_text, ROOMY_BAR - LEAST_BAR), (where or more, 0)]


def _fitting(texts: list[tuple[str, int]], width: int) -> str:
    """The first text that fits into so many columns, with a space after it; else the last one, cut."""
    for text, spare in texts:
        if text and cell_len(text) + 1 + spare <= width:
            return f"{text} "
    text = texts[-1][0]
    return f"{_cut(text, width - 1)} " if text and width - 1 >= LEAST_TEXT else ""


def _cut(text: str, width: int) -> str:
    if cell_len(text) <= width:
        return text
    return f"{set_cell_size(text, max(0, width - 1)).rstrip()}\u2026" if width > 1 else text[:width]
