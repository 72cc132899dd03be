"""How long a render takes: a small sum of amounts of work, each times a cost that was measured.

    start    = one + megapixels of the input pictures           imports, network, reading
    a level  = regions + whether it is the first                targets; kernels that are set up
               + megapixels of the styles + of the canvas       features of the styles, enlarging
    a sweep  = moment distances + megapixels through network    halos and exact moments included
    the end  = one + megapixels of the picture                  cutting it out, its final colors
    writing  = one + megapixels of the picture                  one cost per format

Each is a stage. Amounts are arithmetic on the plan of a render (pipeline/outline.py). Costs are fitted to
samples, which are amounts with the seconds that they took (`StageModel`). Samples come from a short measurement
and from renders (pipeline/timings.py). Costs hold for one machine and one kind of render: the same network,
precision, patch size, losses. Everything here is a pure function of its arguments.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import exp, inf, log

START, LEVEL, SWEEP, END, WRITING = "start", "level", "sweep", "end", "writing"
# Costs in seconds, one for each amount of a stage. Before anything is measured they say how the costs relate;
# samples scale them, then bend them. Those of a sweep are the least certain: they depend on the network.
TYPICAL_COSTS: dict[str, tuple[float, ...]] = {
    START: (3.0, 0.05),
    LEVEL: (0.05, 0.3, 0.4, 0.15),
    SWEEP: (0.02, 1.0),
    END: (0.02, 0.05),
    WRITING: (0.05, 0.4),
}
# Weight of a typical cost, and of the fit in the correction of its own error, relative to one sample.
RIDGE, TRUST_IN_FIT = 0.05, 0.3
# Weight of a sample relative to the next: machines change.
AGING = 0.97
# A sample that got half of the processor time of another, because other programs ran, counts this power of 1/2
# as much: renders on a busy machine say little about an idle one, unless there are no others.
BUSY_POWER = 3.0
# Samples within about this factor of a size say how far the fit is off there.
NEAR = 1.6
ITERATIONS = 100  # of coordinate descent; two or three numbers are fitted


@dataclass(frozen=True, slots=True)
class Sample:
    """Work that was timed.

    Attributes:
        amounts: Its amounts, in the order of the stage; the last one tells small work from large.
        seconds: The time that it took.
        probed: Whether it was timed in a short measurement rather than in a render.
        processor_share: Share of its time in which the render's threads ran; they wait where other programs use
            the processor. 1 where that is not known.
    """

    amounts: tuple[float, ...]
    seconds: float
    probed: bool = False
    processor_share: float = 1.0


@dataclass(frozen=True, slots=True)
class LevelWork:
    """The work of one level.

    Attributes:
        sweeps: Number of sweeps.
        preparation: Amounts of the stage `LEVEL`.
        sweep: Amounts of the stage `SWEEP`, on average over the level.
    """

    sweeps: int
    preparation: tuple[float, ...]
    sweep: tuple[float, ...]


@dataclass(frozen=True, slots=True)
class LevelForecast:
    """What a level will take.

    Attributes:
        preparation: Seconds before its first sweep.
        sweep: Seconds of a sweep.
        sweeps: Number of sweeps.
    """

    preparation: float
    sweep: float
    sweeps: int

    @property
    def seconds(self) -> float:
        """Seconds of the whole level."""
        return self.preparation + self.sweep * self.sweeps


class StageModel:
    """The cost of a stage, fitted to samples.

    The fit is linear, with costs of zero or more, and in relative errors: a sweep of 30 ms counts as much as
    one of three minutes. What is left of the error, since caches and threads are not linear, is corrected by
    the samples of about the same size.
    """

    def __init__(self, stage: str, samples: Sequence[Sample] = ()) -> None:
        """Fit the costs.

        Args:
            stage: The stage, a key of `TYPICAL_COSTS`.
            samples: The samples, from the oldest to the newest.
        """
        usable = _usable([sample for sample in samples if len(sample.amounts) == len(TYPICAL_COSTS[stage])])
        self._weights = _sample_weights(usable)
        self._samples = usable
        self.costs = _fit(TYPICAL_COSTS[stage], usable, self._weights)

    @property
    def is_measured(self) -> bool:
        """Whether there are samples at all."""
        return bool(self._samples)

    @property
    def is_learned(self) -> bool:
        """Whether there are samples from renders."""
        return any(not sample.probed for sample in self._samples)

    def seconds(self, amounts: Sequence[float]) -> float:
        """Return the seconds that work of these amounts takes."""
        return _dot(self.costs, amounts) * exp(self._correction(amounts[-1]))

    def _correction(self, size: float) -> float:
        """Return the logarithm of what the fit has to be multiplied by for work of this size."""
        sizes = [sample.amounts[-1] for sample in self._samples if sample.amounts[-1] > 0]
        if not sizes or size <= 0:
            return 0.0
        size = min(max(size, min(sizes)), max(sizes))
        total, weight_sum = 0.0, TRUST_IN_FIT
        for sample, weight in zip(self._samples, self._weights, strict=True):
            expected = _dot(self.costs, sample.amounts)
            if sample.amounts[-1] <= 0 or expected <= 0:
                continue
            near = weight * exp(-0.5 * (log(sample.amounts[-1] / size) / log(NEAR)) ** 2)
            total += near * log(sample.seconds / expected)
            weight_sum += near
        return total / weight_sum


def _usable(samples: Sequence[Sample]) -> list[Sample]:
    """Return the samples without those of short measurements at sizes that renders have been timed at."""
    timed = [
        sample
        for sample in samples
        if 0 < sample.seconds < inf and any(sample.amounts) and 0 < sample.processor_share < inf
    ]
    largest = max((sample.amounts[-1] for sample in timed if not sample.probed), default=0.0)
    return [sample for sample in timed if not sample.probed or sample.amounts[-1] > 1.5 * largest]


def _sample_weights(samples: Sequence[Sample]) -> list[float]:
    """Return the weight of each sample: less for older ones, and for those of a busy machine."""
    most = max((sample.processor_share for sample in samples), default=1.0)
    return [
        AGING ** (len(samples) - 1 - index) * (sample.processor_share / most) ** BUSY_POWER
        for index, sample in enumerate(samples)
    ]


def _fit(typical: tuple[float, ...], samples: Sequence[Sample], weights: Sequence[float]) -> tuple[float, ...]:
    """Fit costs of zero or more by weighted least squares of relative errors, close to the typical costs."""
    if not samples:
        return typical
    ratios = [log(sample.seconds / _dot(typical, sample.amounts)) for sample in samples]
    scale = exp(_dot(ratios, weights) / sum(weights))
    base = [cost * scale for cost in typical]
    rows = [
        [amount * cost / sample.seconds for amount, cost in zip(sample.amounts, base, strict=True)]
        for sample in samples
    ]
    # The normal equations, once: a render asks for a fit many times, and there may be a hundred samples.
    count = len(base)
    products = [
        [_dot([row[i] * row[j] for row in rows], weights) + (RIDGE if i == j else 0.0) for j in range(count)]
        for i in range(count)
    ]
    totals = [_dot([row[i] for row in rows], weights) + RIDGE for i in range(count)]
    factors = [1.0] * count
    for _ in range(ITERATIONS):
        for i, (row, total) in enumerate(zip(products, totals, strict=True)):
            rest = total - _dot(row, factors) + row[i] * factors[i]
            factors[i] = max(0.0, rest / row[i])
    return tuple(cost * factor for cost, factor in zip(base, factors, strict=True))


def _dot(left: Sequence[float], right: Sequence[float]) -> float:
    return sum(x * y for x, y in zip(left, right, strict=True))


def forecast(works: Sequence[LevelWork], samples: Mapping[str, Sequence[Sample]]) -> tuple[LevelForecast, ...]:
    """Return what levels will take.

    Args:
        works: Their work.
        samples: Samples of each stage, for this machine and this kind of render.
    """
    level, sweep = (StageModel(stage, samples.get(stage, ())) for stage in (LEVEL, SWEEP))
    return tuple(
        LevelForecast(level.seconds(work.preparation), sweep.seconds(work.sweep), work.sweeps) for work in works
    )
