"""Events that a render sends to its observer while it runs, and the estimate of the time left.

Nothing here displays anything. An observer is any function that takes one event:

    >>> from tilestyle import SweepDone, render
    >>> def show(event):
    ...     if isinstance(event, SweepDone):
    ...         print(f"level {event.level.index + 1} of {event.levels}: {event.seconds_left:.0f} s left")
    >>> picture = render("photo.jpg", "painting.jpg", observer=show)

The order of events is `Started`, `Resumed` if a checkpoint is continued, then for each level `LevelStarted` and
one `SweepDone` a sweep, and in the end `Finished`. `PatchHalved` and `CanvasMoved` can come between; `Stopped`
comes before `Finished` if the render was asked to stop.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from tilestyle.images import Picture
    from tilestyle.planning.schedule import Level


@dataclass(frozen=True, slots=True)
class Started:
    """The render has been planned. Sizes in bytes are upper bounds from the memory model.

    Attributes:
        side: Patch side, pixels.
        device: Kind of the device, such as "cpu" or "cuda".
        need: Bytes needed on the device; on a CPU, all but the loaded libraries.
        limit: Limit set for `need`, bytes; None if there is none.
        held: Bytes of RAM that canvas, optimizer and pictures take while patches are computed.
        host_limit: Limit set for `held`, bytes; None if there is none.
        disk: Bytes on disk that canvas, optimizer and pictures take if they are memory-mapped, else 0.
        seconds: Call it to measure how long the render will take, in seconds. The measurement takes about a
            second; None means that it was not possible.
    """

    side: int
    device: str
    need: int
    limit: int | None
    held: int
    host_limit: int | None
    disk: int
    seconds: Callable[[], float | None]
    # Settings that the machine and its free memory decided; and with what else of it decides pixels, as JSON.
    settled: Mapping[str, Any] = field(default_factory=dict)
    machine: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Resumed:
    """The render continues from the checkpoint of an earlier run.

    Attributes:
        level: The level it continues in.
        levels: Number of levels of the render.
        sweep: The next sweep, counted from 0.
        seconds: Time that earlier runs took.
    """

    level: Level
    levels: int
    sweep: int
    seconds: float


@dataclass(frozen=True, slots=True)
class LevelStarted:
    """A level of the pyramid starts.

    Attributes:
        level: The level.
        levels: Number of levels of the render.
    """

    level: Level
    levels: int


@dataclass(frozen=True, slots=True)
class SweepDone:
    """A sweep has ended: every pixel of the level has been updated once more.

    The losses do not include their weights. They are relative: about 1 for a canvas without any of the style or
    content, 0 for a perfect match.

    Attributes:
        level: The level.
        levels: Number of levels of the render.
        sweep: The sweep, counted from 0.
        style: Style loss.
        content: Content loss.
        tv: Total variation.
        seconds: Time since the render started.
        seconds_left: Estimated time to the end.
        megapixels_per_second: Speed of this sweep.
        picture: Call it for the current picture, at the size of the level or smaller.
        anchor: Anchor loss; 0 without an anchor.
        palette: Palette loss; 0 without a palette term.
        content_weight: Weight of the content in this sweep; None if it is fixed.
    """

    level: Level
    levels: int
    sweep: int
    style: float
    content: float
    tv: float
    seconds: float
    seconds_left: float
    megapixels_per_second: float
    picture: Callable[[], Picture]
    anchor: float = 0.0
    palette: float = 0.0
    content_weight: float | None = None


@dataclass(frozen=True, slots=True)
class PatchHalved:
    """The device ran out of memory; the render continues with smaller patches.

    Attributes:
        side: New patch side, pixels.
    """

    side: int


@dataclass(frozen=True, slots=True)
class CanvasMoved:
    """The device ran out of memory; the render continues with its canvas in RAM."""


@dataclass(frozen=True, slots=True)
class Stopped:
    """The render stops early, as asked. A checkpoint has been saved if there is a work folder.

    The picture is made next, as far as the render has got; then comes `Finished`.
    """


@dataclass(frozen=True, slots=True)
class Finished:
    """The render has ended.

    Attributes:
        complete: False if it was stopped early.
        seconds: Time since the render started.
    """

    complete: bool
    seconds: float


Event = Started | Resumed | LevelStarted | SweepDone | PatchHalved | CanvasMoved | Stopped | Finished

# Called between sweeps, while the render waits. Its exceptions become a warning (observers.py).
Observer = Callable[[Event], None]


# Largest fraction of a sweep done before resuming from which the time of a whole sweep is extrapolated.
MAX_PARTIAL_SWEEP = 0.9


class TimeEstimator:
    """Estimates the time left, by fitting a cost of a + b x megapixels per sweep to the sweeps done so far.

    The number of sweeps and their sizes are known in advance. Only two numbers are fitted: the constant cost of
    a sweep (its eigendecompositions) and the cost per megapixel.
    """

    def __init__(
        self,
        levels: Sequence[tuple[float, int]],
        done_before: tuple[int, int] = (0, 0),
        partial_sweep: float = 0.0,
    ) -> None:
        """Start the clock.

        Args:
            levels: Megapixels and number of sweeps of every level.
            done_before: Levels completed before this run, and sweeps completed in the next one.
            partial_sweep: Fraction of the next sweep done before this run.
        """
        self._levels = list(levels)
        self._index, self._sweeps_done = done_before[0] - 1, 0
        self._sweeps_before, self._partial_sweep = done_before[1], min(partial_sweep, MAX_PARTIAL_SWEEP)
        self._start = self._last_time = time.monotonic()
        self._level_seconds: list[tuple[float, float]] = []  # per past level: megapixels, seconds of a sweep
        self._sweep_seconds: list[float] = []  # seconds of the sweeps of the current level

    @property
    def elapsed(self) -> float:
        """Seconds since the render started."""
        return time.monotonic() - self._start

    def start_level(self) -> None:
        """Note that a level starts; the time since the last sweep belongs to no sweep."""
        if self._sweep_seconds:
            self._level_seconds.append((self._levels[self._index][0], _median(self._sweep_seconds)))
        self._index, self._sweeps_done, self._sweeps_before = self._index + 1, self._sweeps_before, 0
        self._sweep_seconds = []
        self._last_time = time.monotonic()

    def end_sweep(self) -> float:
        """Note the end of a sweep, and return its seconds, extrapolated if part of it was done before."""
        now = time.monotonic()
        sweep_seconds, self._last_time, self._partial_sweep = (
            (now - self._last_time) / (1 - self._partial_sweep),
            now,
            0.0,
        )
        self._sweep_seconds.append(sweep_seconds)
        self._sweeps_done += 1
        return sweep_seconds

    def seconds_left(self) -> float:
        """Estimate the seconds until the end."""
        index = self._index
        current = _median(self._sweep_seconds)
        points = [*self._level_seconds, (self._levels[index][0], current)]
        fixed, slope = _fit_line(points)
        level_rest = current * (self._levels[index][1] - self._sweeps_done)
        return level_rest + sum(sweeps * (fixed + slope * size) for size, sweeps in self._levels[index + 1 :])


def _median(values: Sequence[float]) -> float:
    ordered = sorted(values)
    return ordered[len(ordered) // 2]


def _fit_line(points: Sequence[tuple[float, float]]) -> tuple[float, float]:
    """Fit a line with non-negative intercept and slope, through the last point and close to the others.

    The slope is the least squares solution over the other points. The last point counts most, since the levels
    left are closer to it in size than to any other.

    Args:
        points: Megapixels and seconds of each level.

    Returns:
        Intercept and slope.
    """
    size, cost = points[-1]
    others = [(size - x, cost - y) for x, y in points[:-1]]
    spread = sum(dx * dx for dx, _ in others)
    slope = sum(dx * dy for dx, dy in others) / spread if spread else cost / size
    slope = min(max(slope, 0.0), cost / size)
    return cost - slope * size, slope
