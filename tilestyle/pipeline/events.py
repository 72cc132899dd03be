"""What a render tells while it runs: events for an observer, and an honest time left. Displays nothing."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tilestyle.images import Picture
    from tilestyle.planning.schedule import Level


@dataclass(frozen=True, slots=True)
class Started:
    """The render has been planned. Bytes are the most that arithmetic says it will need."""

    side: int  # of a patch, pixels
    device: str  # its kind
    need: int  # bytes of the device; on a CPU, of everything but the libraries
    limit: int | None  # bytes that were given for it
    held: int  # bytes of RAM that canvas, optimiser and pictures take while patches are at work
    host_limit: int | None  # bytes that were given for them
    disk: int  # bytes of files that canvas, optimiser and pictures take, if they are in files
    # That it will take: measured when asked, which takes a second or so; None if that is not to be had.
    seconds: Callable[[], float | None]


@dataclass(frozen=True, slots=True)
class Resumed:
    """The render goes on from where an earlier run was kept."""

    level: Level
    levels: int
    sweep: int  # from 0, the next to be done
    seconds: float  # that the earlier run took


@dataclass(frozen=True, slots=True)
class LevelStarted:
    """A level of the pyramid begins."""

    level: Level
    levels: int


@dataclass(frozen=True, slots=True)
class SweepDone:
    """Every pixel of a level has been stepped once more."""

    level: Level
    levels: int
    sweep: int  # from 0
    style: float
    content: float
    tv: float
    seconds: float  # since the render began
    seconds_left: float
    megapixels_per_second: float  # of this sweep
    picture: Callable[[], Picture]  # the picture as it is now, at the level's size
    anchor: float = 0.0
    palette: float = 0.0
    content_weight: float | None = None  # in this sweep; None where it is fixed


@dataclass(frozen=True, slots=True)
class PatchHalved:
    """Memory ran out; the render goes on with smaller patches."""

    side: int  # pixels


@dataclass(frozen=True, slots=True)
class CanvasMoved:
    """Memory of the device ran out; the render goes on with its canvas in RAM."""


@dataclass(frozen=True, slots=True)
class Stopped:
    """The render was asked to stop, and what is done has been kept, if it is kept at all.

    The picture as far as it got is made next, which ends with `Finished`.
    """


@dataclass(frozen=True, slots=True)
class Finished:
    """The render ended: `complete` unless it was asked to stop."""

    complete: bool
    seconds: float


Event = Started | Resumed | LevelStarted | SweepDone | PatchHalved | CanvasMoved | Stopped | Finished

# Called between sweeps; the render waits for it. Its exceptions become a warning (observers.py).
Observer = Callable[[Event], None]


# Share of a sweep that may have been done before it was gone on with, for the rest to tell of the whole.
MOST = 0.9


class Clock:
    """Time left, from a cost a + b x megapixels for every sweep fitted to those done so far.

    The work of a job is known in advance, so is where it stands; only two unknowns are fitted: the constant
    cost of a sweep (its eigendecompositions) and the cost of a megapixel.
    """

    def __init__(
        self, work: Sequence[tuple[float, int]], done: tuple[int, int] = (0, 0), begun: float = 0.0
    ) -> None:
        """`work`: megapixels and sweeps of every level; `done`: levels, and sweeps of the next, before now.

        `begun` is the share of the sweep after those that was done before, too.
        """
        self._work = list(work)
        self._index, self._done = done[0] - 1, 0
        self._before, self._begun = done[1], min(begun, MOST)
        self._start = self._last = time.monotonic()
        self._medians: list[tuple[float, float]] = []  # megapixels, seconds a sweep, of each level so far
        self._times: list[float] = []  # sweeps of the level at work

    @property
    def seconds(self) -> float:
        """Since the job began."""
        return time.monotonic() - self._start

    def level(self) -> None:
        """A level begins: what came since the last sweep was not a sweep."""
        if self._times:
            self._medians.append((self._work[self._index][0], _median(self._times)))
        self._index, self._done, self._before = self._index + 1, self._before, 0
        self._times = []
        self._last = time.monotonic()

    def sweep(self) -> float:
        """A sweep is done; answers how long it took, or would have taken as a whole, seconds."""
        now = time.monotonic()
        taken, self._last, self._begun = (now - self._last) / (1 - self._begun), now, 0.0
        self._times.append(taken)
        self._done += 1
        return taken

    def left(self) -> float:
        """Seconds that the rest will take."""
        index = self._index
        here = _median(self._times)
        seen = [*self._medians, (self._work[index][0], here)]
        fixed, slope = _line(seen)
        rest = here * (self._work[index][1] - self._done)
        return rest + sum(sweeps * (fixed + slope * size) for size, sweeps in self._work[index + 1 :])


def _median(values: Sequence[float]) -> float:
    ordered = sorted(values)
    return ordered[len(ordered) // 2]


def _line(points: Sequence[tuple[float, float]]) -> tuple[float, float]:
    """Intercept and slope, neither negative, through the last point and the least squares of the others.

    The last point counts most: what is left is nearer to it in size than to any other.
    """
    size, cost = points[-1]
    others = [(size - x, cost - y) for x, y in points[:-1]]
    spread = sum(dx * dx for dx, _ in others)
    slope = sum(dx * dy for dx, dy in others) / spread if spread else cost / size
    slope = min(max(slope, 0.0), cost / size)
    return cost - slope * size, slope
