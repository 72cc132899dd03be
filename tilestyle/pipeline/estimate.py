"""Estimate how long a render takes: the work of its plan, times costs that were measured on this machine.

The model is in planning/time_model.py, the work in outline.py. Costs that are not known yet are measured first
(probe.py).
"""

from __future__ import annotations

from dataclasses import dataclass

from tilestyle.devices.failures import is_out_of_memory, may_be_out_of_memory
from tilestyle.devices.malloc import release_cached_memory
from tilestyle.pipeline import timings
from tilestyle.pipeline.outline import Outline
from tilestyle.pipeline.probe import PROBE_SWEEPS, measure_costs
from tilestyle.pipeline.time_left import PRIOR_SHARE_LEARNED, PRIOR_SHARE_PROBED
from tilestyle.planning.job import Job
from tilestyle.planning.time_model import END, SWEEP, LevelForecast, StageModel, forecast

# A render with less than that many times the work of a measurement is over before it would be measured.
WORTH_MEASURING = 10


@dataclass(frozen=True)
class Forecast:
    """What a render is expected to take.

    Attributes:
        levels: Its levels.
        ending: Seconds after the last sweep.
        prior_share: How much this counts against what is measured (pipeline/time_left.py).
    """

    levels: tuple[LevelForecast, ...]
    ending: float
    prior_share: float

    @property
    def seconds(self) -> float:
        """Seconds in total."""
        return sum(level.seconds for level in self.levels) + self.ending


def estimate_seconds(job: Job) -> float | None:
    """Estimate the time that a job takes, reading its pictures and writing the result excepted.

    What is not known yet of this kind of render on this machine is measured first, for a few seconds at most.

    Returns:
        Seconds. None if nothing is known and the render takes hardly longer than a measurement, or if memory or
        time runs out during the measurement. The render can still succeed then, with smaller patches.
    """
    outline = Outline.of(job)
    return estimate_outline(outline, measures=outline.coarse_sweeps > WORTH_MEASURING * PROBE_SWEEPS)


def estimate_outline(outline: Outline, *, measures: bool = True) -> float | None:
    """Estimate the time of a render that has been planned, as `estimate_seconds`.

    Args:
        outline: The render.
        measures: Whether to measure what is not known.
    """
    try:
        if measures:
            measure_costs(outline)
        expected = known_forecast(outline)
        return expected.seconds if expected.prior_share else None
    except (RuntimeError, MemoryError, OSError) as error:
        if not (is_out_of_memory(error) or may_be_out_of_memory(error)):
            raise
    # not in the handler: there the exception still refers to the tensors of its traceback
    release_cached_memory()
    return None


def known_forecast(outline: Outline) -> Forecast:
    """Return what a render is expected to take, from what is known. Nothing is measured."""
    samples = timings.recall(outline.kind)
    sweep = StageModel(SWEEP, samples.get(SWEEP, ()))
    share = PRIOR_SHARE_LEARNED if sweep.is_learned else PRIOR_SHARE_PROBED if sweep.is_measured else 0.0
    ending = StageModel(END, samples.get(END, ())).seconds(outline.ending)
    return Forecast(forecast(outline.works, samples), ending, share)


@dataclass(frozen=True)
class Repeated:
    """Renders of the same plan.

    Attributes:
        name: What they make, such as "later frames".
        outline: The plan of one.
        count: How many there are.
        shares_style: Whether the style is measured once for all.
    """

    name: str
    outline: Outline
    count: int = 1
    shares_style: bool = False

    def seconds(self) -> float | None:
        """Estimate the time of all, as `estimate_outline`."""
        once = estimate_outline(self.outline)
        if once is None:
            return None
        prepared = sum(level.preparation for level in known_forecast(self.outline).levels)
        return once + (self.count - 1) * (once - prepared if self.shares_style else once)
