"""Costs fitted to what work took."""

import random
from dataclasses import replace

import pytest

from tilestyle.planning.time_model import LEVEL, SWEEP, LevelWork, Sample, StageModel, forecast

COSTS = 0.3, 2.5  # of moment distances, and of a megapixel


def sweep(megapixels: float, noise: float = 1.0, *, probed: bool = False) -> Sample:
    seconds = noise * (COSTS[0] + COSTS[1] * megapixels)
    return Sample((1.0, megapixels), seconds, probed)


def test_costs_are_found_from_renders_of_other_sizes() -> None:
    model = StageModel(SWEEP, [sweep(2.0**power) for power in range(-6, 2)])
    for megapixels in (0.02, 0.3, 5.0, 80.0):
        assert model.seconds((1.0, megapixels)) == pytest.approx(sweep(megapixels).seconds, rel=0.1)


def test_noise_does_little() -> None:
    draws = random.Random(0)
    samples = [sweep(2.0 ** (power % 8 - 6), draws.uniform(0.8, 1.25)) for power in range(24)]
    for megapixels in (0.02, 0.3, 5.0, 80.0):
        assert StageModel(SWEEP, samples).seconds((1.0, megapixels)) == pytest.approx(
            sweep(megapixels).seconds, rel=0.25
        )


def test_one_sample_tells_the_rest_by_typical_costs() -> None:
    model = StageModel(SWEEP, [sweep(0.5)])
    assert model.seconds((1.0, 0.5)) == pytest.approx(sweep(0.5).seconds)
    assert 1.5 < model.seconds((1.0, 1.0)) / model.seconds((1.0, 0.5)) <= 2


def test_costs_are_never_negative() -> None:
    model = StageModel(SWEEP, [Sample((1.0, 1.0), 5.0), Sample((1.0, 2.0), 1.0)])
    assert all(cost >= 0 for cost in model.costs)
    assert model.seconds((1.0, 50.0)) > 0


def test_what_is_not_linear_is_corrected_at_sizes_that_were_timed() -> None:
    samples = [sweep(size, 1.6 if size < 0.2 else 1.0) for size in (0.05, 0.1, 1.0, 2.0, 4.0)]
    model = StageModel(SWEEP, samples)
    for sample in samples:
        assert model.seconds(sample.amounts) == pytest.approx(sample.seconds, rel=0.2)


def test_renders_replace_short_measurements_of_their_sizes() -> None:
    probed = [sweep(0.1, 3.0, probed=True), sweep(0.5, 3.0, probed=True)]
    assert not StageModel(SWEEP, probed).is_learned
    learned = StageModel(SWEEP, [*probed, sweep(0.1), sweep(1.0)])
    assert learned.is_learned
    assert learned.seconds((1.0, 0.4)) == pytest.approx(sweep(0.4).seconds, rel=0.1)


def test_newer_samples_count_more() -> None:
    old, new = [sweep(1.0, 2.0)] * 20, [sweep(1.0)] * 20
    assert StageModel(SWEEP, old + new).seconds((1.0, 1.0)) < StageModel(SWEEP, new + old).seconds((1.0, 1.0))


def test_renders_on_a_busy_machine_say_little_of_an_idle_one() -> None:
    idle = replace(sweep(1.0), processor_share=0.9)
    busy = [replace(sweep(1.0, 2.3), processor_share=0.4)] * 3
    truth = sweep(1.0).seconds
    for samples in ([*busy, idle], [idle, *busy]):
        assert StageModel(SWEEP, samples).seconds((1.0, 1.0)) == pytest.approx(truth, rel=0.25)
    assert StageModel(SWEEP, busy).seconds((1.0, 1.0)) == pytest.approx(2.3 * truth, rel=0.05)


def test_nonsense_is_left_out() -> None:
    nonsense = [Sample((1.0,), 3.0), Sample((0.0, 0.0), 1.0), Sample((1.0, 1.0), 0.0)]
    nonsense.append(Sample((1.0, 1.0), 1.0, processor_share=0.0))
    assert not StageModel(SWEEP, nonsense).is_measured


def test_a_forecast_adds_preparation_and_sweeps() -> None:
    works = [LevelWork(10, (1.0, 1.0, 0.1, 0.1), (1.0, 0.1)), LevelWork(5, (1.0, 0.0, 0.4, 0.4), (1.0, 0.4))]
    samples = {SWEEP: [sweep(0.1), sweep(0.4)], LEVEL: [Sample(work.preparation, 0.5) for work in works]}
    first, second = forecast(works, samples)
    assert first.seconds == pytest.approx(first.preparation + 10 * first.sweep)
    assert first.sweep == pytest.approx(sweep(0.1).seconds, rel=0.1)
    assert second.preparation == pytest.approx(0.5, rel=0.2)
