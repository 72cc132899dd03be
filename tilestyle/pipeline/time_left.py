"""The time left of a render: what was expected, corrected by what was measured, and shown without jumps.

Two steps, both pure but for the clock:

1. `estimated_left`: every sweep gives a ratio of measured to expected time. The rest of the level follows the
   ratio of its own sweeps. Later levels follow the mean ratio of all sweeps, in which a sweep counts by its
   expected time: the first seconds of a render that takes a day say little about it. The expectation itself
   counts like a part of the render (`PRIOR_SHARE`).
2. `seconds_left`: the end that is shown moves toward the estimate slowly. An earlier end is believed at once, a
   later one only when it has lasted (`is_late`); until then the time left falls at half the pace of the clock.
   So it falls, unless there is evidence that it should not.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from math import exp, log

from tilestyle.planning.time_model import LevelForecast

# How much the expectation counts, relative to what has been measured: as a share of the whole render if costs
# were learned from renders, or measured in a few seconds; and in expected sweeps, within a level.
PRIOR_SHARE_LEARNED, PRIOR_SHARE_PROBED = 0.08, 0.04
PRIOR_SWEEPS = 1.0
# Share of the render after which a measured ratio counts e times less: machines become slower and faster.
MEMORY_SHARE, MEMORY_SWEEPS = 0.15, 12.0
# One sweep can be far off the others, if the machine slept or wrote a checkpoint. Its ratio counts at most this
# many times that of the others.
MAX_RATIO = 2.0
# The gap between the shown end and the estimated one shrinks by a factor of e within this share of the time
# left; at the fastest within this share of the whole render, or so many seconds.
SOONER_SHARE, LATER_SHARE, MIN_SHARE, MIN_SECONDS = 0.05, 0.05, 0.05, 4.0
# An estimate is late if it is this share above what is shown, in so many sweeps and for this share of the
# render.
LATE_BY, LATE_SWEEPS, LATE_SHARE, MAX_LATE_SECONDS = 0.1, 4, 0.01, 60.0
# Pace of the time left, relative to the clock, while the estimate is later for reasons not yet certain.
HELD_PACE = 0.5
# Largest fraction of a sweep done before resuming from which the time of a whole sweep is extrapolated.
MAX_PARTIAL_SWEEP = 0.9


@dataclass
class LevelTimes:
    """What a level took.

    Attributes:
        index: The level.
        first: Seconds from its start to the end of its first sweep.
        others: Seconds of each further sweep.
        cpu_seconds: CPU time of this process in these further sweeps.
    """

    index: int
    first: float | None = None
    others: list[float] = field(default_factory=list)
    cpu_seconds: float = 0.0

    @property
    def sweep(self) -> float | None:
        """Mean seconds of a sweep; None if there was only the first, which includes the preparation."""
        return sum(self.others) / len(self.others) if self.others else None

    def processor_share(self, threads: int) -> float:
        """Return the share of the further sweeps in which so many threads ran, 1 if that is not known."""
        if not self.cpu_seconds:  # sweeps shorter than the steps of the system's clock
            return 1.0
        return min(1.0, self.cpu_seconds / (threads * sum(self.others)))


class TimeLeft:
    """Follows a render, and estimates the time to its end."""

    def __init__(
        self,
        forecast: Sequence[LevelForecast],
        ending: float = 0.0,
        *,
        prior_share: float = PRIOR_SHARE_PROBED,
        done_before: tuple[int, int] = (0, 0),
        partial_sweep: float = 0.0,
    ) -> None:
        """Start the clock.

        Args:
            forecast: What every level is expected to take.
            ending: Expected seconds after the last sweep.
            prior_share: How much the expectation counts; 0 if its unit is unknown.
            done_before: Levels completed before this run, and sweeps completed in the next one.
            partial_sweep: Fraction of the next sweep done before this run.
        """
        self._forecast, self._ending = list(forecast), ending
        self._total = max(sum(level.seconds for level in forecast), 1e-9)
        self._prior_share = prior_share
        self._index, self._sweeps_done = done_before[0] - 1, 0
        self._sweeps_before, self._partial_sweep = done_before[1], min(partial_sweep, MAX_PARTIAL_SWEEP)
        self._resumed_level = done_before[0] if any(done_before) or partial_sweep else -1
        self._start = self._last = time.monotonic()
        self._last_cpu = time.process_time()
        self._is_first = True  # whether the next sweep is the first of its level, or since the render resumed
        self.levels: list[LevelTimes] = []
        self._overall = _Ratio()
        self._of_level = _Ratio()
        self._end: float | None = None
        self._shown_at = self._start
        self._late_since: float | None = None
        self._late_sweeps = 0

    @property
    def elapsed(self) -> float:
        """Seconds since the render started."""
        return time.monotonic() - self._start

    def start_level(self) -> None:
        """Note that a level starts."""
        self._index += 1
        self._sweeps_done, self._sweeps_before = self._sweeps_before, 0
        self._last, self._last_cpu = time.monotonic(), time.process_time()
        self._of_level = _Ratio()
        self._is_first = True
        self.levels.append(LevelTimes(self._index))

    def end_sweep(self) -> float:
        """Note the end of a sweep, and return its seconds, extrapolated if part of it was done before."""
        now = time.monotonic()
        seconds = (now - self._last) / (1 - self._partial_sweep)
        cpu_now = time.process_time()
        cpu_seconds = cpu_now - self._last_cpu
        self._last, self._last_cpu, self._partial_sweep = now, cpu_now, 0.0
        self._sweeps_done += 1
        level, expected = self._forecast[self._index], self._forecast[self._index].sweep
        if self._is_first:
            expected += level.preparation
        if self.levels and self._is_first:
            self.levels[-1].first = seconds
        elif self.levels:
            self.levels[-1].others.append(seconds)
            self.levels[-1].cpu_seconds += cpu_seconds
        self._is_first = False
        if expected > 0 and seconds > 0:
            ratio = log(seconds / expected)
            if self._overall.weight or self._prior_share:
                usual = self._of_level.value(PRIOR_SWEEPS * level.sweep, self._overall_ratio())
                ratio = min(max(ratio, usual - log(MAX_RATIO)), usual + log(MAX_RATIO))
            self._overall.add(ratio, expected, MEMORY_SHARE * self._total)
            self._of_level.add(ratio, expected, MEMORY_SWEEPS * level.sweep)
        return seconds

    def pause(self, seconds: float) -> None:
        """Leave out the seconds since the last sweep, which observers took: they belong to no sweep."""
        self._last += seconds
        self._last_cpu = time.process_time()

    def estimated_left(self) -> float:
        """Estimate the seconds to the end from all that is known, without regard to what was shown before."""
        level, later = self._forecast[self._index], self._forecast[self._index + 1 :]
        overall = self._overall_ratio()
        # Other levels may have been off by their own factor, so within a level its first sweep counts already.
        log_pace = self._of_level.value(PRIOR_SWEEPS * level.sweep if self._prior_share else 0.0, overall)
        level_seconds = exp(log_pace) * level.sweep * (level.sweeps - self._sweeps_done)
        return level_seconds + exp(overall) * (sum(each.seconds for each in later) + self._ending)

    def _overall_ratio(self) -> float:
        """Return the mean logarithm of measured over expected seconds of all sweeps, with the expectation."""
        return self._overall.value(self._prior_share * self._total)

    def seconds_left(self) -> float:
        """Return the seconds to the end, as they should be shown after this sweep."""
        now, estimate = time.monotonic(), self.estimated_left()
        if self._end is None:
            # What is expected has been shown before the render, if it was known.
            expected = self._total + self._ending - (now - self._start)
            believable = (
                self._prior_share and self._resumed_level < 0 and 1 / 4 < estimate / max(expected, 1e-9) < 4
            )
            self._end = now + (expected if believable else estimate)
        passed, self._shown_at = now - self._shown_at, now
        seconds_left = max(self._end - now, 0.0)
        gap = estimate - seconds_left
        shortest = min(MIN_SECONDS, MIN_SHARE * (now - self._start + estimate))
        if gap <= 0:
            self._late_since, self._late_sweeps = None, 0
            move = gap * _approach(passed, max(shortest, SOONER_SHARE * seconds_left))
        elif self._is_late(now, gap, seconds_left):
            move = gap * _approach(passed, max(shortest, LATER_SHARE * estimate))
        else:
            move = min(gap, (1 - HELD_PACE) * passed)
        seconds_left = max(seconds_left + move, 0.0)
        if self._index + 1 == len(self._forecast) and self._sweeps_done >= self._forecast[-1].sweeps:
            seconds_left = min(seconds_left, estimate)
        self._end = now + seconds_left
        return self._end - now

    def _is_late(self, now: float, gap: float, seconds_left: float) -> bool:
        """Return whether the estimate has been later than what is shown for so long that it is believed."""
        if gap <= LATE_BY * seconds_left:
            self._late_since, self._late_sweeps = None, 0
            return False
        self._late_sweeps += 1
        self._late_since = now if self._late_since is None else self._late_since
        lasting = min(LATE_SHARE * (now - self._start + seconds_left + gap), MAX_LATE_SECONDS)
        return gap > seconds_left or (self._late_sweeps >= LATE_SWEEPS and now - self._late_since >= lasting)


@dataclass
class _Ratio:
    """Mean logarithm of measured over expected seconds; recent ones count most."""

    total: float = 0.0
    weight: float = 0.0

    def add(self, ratio: float, weight: float, memory: float) -> None:
        """Add a ratio.

        Args:
            ratio: Its logarithm.
            weight: Its weight: the expected seconds.
            memory: Expected seconds after which a ratio counts e times less.
        """
        fading = exp(-weight / memory) if memory > 0 else 0.0
        self.total, self.weight = fading * self.total + weight * ratio, fading * self.weight + weight

    def value(self, prior_weight: float, prior: float = 0.0) -> float:
        """Return the mean with a prior."""
        weight = self.weight + prior_weight
        return (self.total + prior_weight * prior) / weight if weight else prior


def _approach(passed: float, seconds: float) -> float:
    """Return the share of a gap that is closed while this much time has passed."""
    return 1 - exp(-max(passed, 0.0) / seconds)
