"""Random numbers as a function of (seed, level, sweep).

They come from a counter-based generator (Philox, Salmon et al. 2011), so that they stay the same when a job
is resumed or distributed over processes.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.random import Philox

ROWS_AT_ONCE = 64  # rows of random numbers that are drawn at once


@dataclass(frozen=True, slots=True)
class SweepRng:
    """Random numbers of one sweep, keyed by (seed, level, sweep): the same on every process.

    Attributes:
        seed: The user's seed.
        level: Index of the level.
        sweep: Index of the sweep.
        fork_index: Number of the independent stream (`fork`).
        stride: Spacing of the grid that random offsets lie on, pixels.
        phase: Offset of that grid (row, column), pixels.
    """

    seed: int
    level: int
    sweep: int
    fork_index: int = 0
    stride: int = 1
    phase: tuple[int, int] = (0, 0)

    def fork(self) -> SweepRng:
        """Return a generator for the same sweep whose numbers are independent of these."""
        return replace(self, fork_index=self.fork_index + 1)

    def integers(self, count: int, stream: int = 0) -> np.ndarray:
        """Return `count` uniform 64-bit integers of the given stream, uint64 [count]."""
        return np.atleast_1d(self._generator(stream).random_raw(count))

    def integer_rows(self, height: int, width: int, stream: int) -> Iterator[tuple[int, np.ndarray]]:
        """Yield one uniform integer for each of `height` x `width` places, from top to bottom.

        Yields:
            (top, numbers): uint64 [n, width] for the rows from `top` on.
        """
        generator = self._generator(stream)
        for top in range(0, height, ROWS_AT_ONCE):
            count = min(ROWS_AT_ONCE, height - top)
            yield top, generator.random_raw(count * width).reshape(count, width)

    def _generator(self, stream: int) -> Philox:
        key = np.array([self.seed, (self.fork_index << 56) | (self.level << 32) | self.sweep], dtype=np.uint64)
        return Philox(key=key, counter=np.array([0, 0, stream, 0], dtype=np.uint64))

    def on_grid(self, stride: int, period: int) -> SweepRng:
        """Return a generator whose random offsets lie on a grid of `stride` pixels.

        The phase of the grid is random and stays the same for `period` sweeps.
        """
        period_start = replace(self, sweep=self.sweep - self.sweep % period, fork_index=self.fork_index + 2)
        row, column = (period_start.integers(2, stream=1) % stride).tolist()
        return replace(self, stride=stride, phase=(row, column))

    def cycled(self, count: int, period: int) -> SweepRng:
        """Return a generator that cycles through `count` sweeps for `period` sweeps, then through others."""
        position = self.sweep % period
        return replace(self, sweep=self.sweep - position + position % count)

    def random_offset(self, axis: int, low: int, count: int) -> int:
        """Return a random position on the grid.

        Args:
            axis: 0 for rows, 1 for columns.
            low: First position.
            count: The position is below `low + count`.
        """
        random = int(self.integers(2, stream=1)[axis])
        first = low + (self.phase[axis] - low) % self.stride
        return first + self.stride * (random % max(1, -((first - low - count) // self.stride)))

    def weighted_choice(self, weights: Sequence[float], stream: int) -> int:
        """Return an index drawn with probability proportional to its weight."""
        point = int(self.integers(1, stream)[0]) / 2**64 * sum(weights)
        for index, share in enumerate(weights):
            point -= share
            if point < 0:
                return index
        return len(weights) - 1
