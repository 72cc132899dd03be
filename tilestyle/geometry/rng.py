"""Random choices as a function of (seed, level, sweep).

Through a counter-based generator (Philox, Salmon et al. 2011): resuming a job or sharing it out does not
change them.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.random import Philox

ROWS = 64  # of random numbers drawn at once


@dataclass(frozen=True, slots=True)
class Draw:
    """Random numbers of one sweep, keyed by (seed, level, sweep): the same wherever they are drawn."""

    seed: int
    level: int
    sweep: int
    lane: int = 0
    stride: int = 1  # of the grid that corners of coverings lie on
    phase: tuple[int, int] = (0, 0)  # of that grid: row, column

    def other(self) -> Draw:
        """Numbers of the same sweep that are independent of these."""
        return replace(self, lane=self.lane + 1)

    def integers(self, count: int, stream: int = 0) -> np.ndarray:
        """`count` uniform 64-bit integers of the given stream, uint64."""
        return np.atleast_1d(self._generator(stream).random_raw(count))

    def rows(self, height: int, width: int, stream: int) -> Iterator[tuple[int, np.ndarray]]:
        """The integers of `height` x `width` places, uint64, as (top, [n, width]) from top to bottom."""
        generator = self._generator(stream)
        for top in range(0, height, ROWS):
            count = min(ROWS, height - top)
            yield top, generator.random_raw(count * width).reshape(count, width)

    def _generator(self, stream: int) -> Philox:
        key = np.array([self.seed, (self.lane << 56) | (self.level << 32) | self.sweep], dtype=np.uint64)
        return Philox(key=key, counter=np.array([0, 0, stream, 0], dtype=np.uint64))

    def aligned(self, stride: int, period: int) -> Draw:
        """The same with corners on a grid of `stride` pixels, whose random phase lasts for `period` sweeps."""
        first = replace(self, sweep=self.sweep - self.sweep % period, lane=self.lane + 2)
        row, column = (first.integers(2, stream=1) % stride).tolist()
        return replace(self, stride=stride, phase=(row, column))

    def returning(self, count: int, period: int) -> Draw:
        """The same as one of `count` sweeps, in turn, for `period` sweeps; then of as many others."""
        within = self.sweep % period
        return replace(self, sweep=self.sweep - within + within % count)

    def start(self, axis: int, low: int, count: int) -> int:
        """A random position in [low, low + count) that is on the grid, for the rows (0) or columns (1)."""
        random = int(self.integers(2, stream=1)[axis])
        first = low + (self.phase[axis] - low) % self.stride
        return first + self.stride * (random % max(1, -((first - low - count) // self.stride)))

    def choice(self, odds: Sequence[float], stream: int) -> int:
        """An index drawn with probabilities proportional to `odds`."""
        point = int(self.integers(1, stream)[0]) / 2**64 * sum(odds)
        for index, share in enumerate(odds):
            point -= share
            if point < 0:
                return index
        return len(odds) - 1
