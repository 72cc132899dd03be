"""The time that is left."""

import time
from collections.abc import Callable

import pytest

from tilestyle.pipeline.events import TimeEstimator


@pytest.fixture
def passing(monkeypatch: pytest.MonkeyPatch) -> Callable[[float], None]:
    """Lets so many seconds go by."""
    now = [0.0]
    monkeypatch.setattr(time, "monotonic", lambda: now[0])

    def passed(seconds: float) -> None:
        now[0] += seconds

    return passed


def test_sweeps_cost_a_constant_and_so_much_a_megapixel(passing: Callable[[float], None]) -> None:
    clock = TimeEstimator([(1, 3), (2, 3), (4, 2)])
    for size in (1, 2):
        passing(20)  # what lies between levels is no sweep
        clock.start_level()
        for _ in range(3):
            passing(0.5 + 3 * size)
            assert clock.end_sweep() == pytest.approx(0.5 + 3 * size)
    assert clock.seconds_left() == pytest.approx(2 * 12.5)
    assert clock.elapsed == pytest.approx(2 * 20 + 3 * (3.5 + 6.5))


def test_a_sweep_that_was_gone_on_with_counts_as_a_whole(passing: Callable[[float], None]) -> None:
    clock = TimeEstimator([(1, 2), (2, 3), (4, 2)], done_before=(1, 1), partial_sweep=0.75)
    clock.start_level()
    passing(2)
    assert clock.end_sweep() == pytest.approx(8)
    assert clock.seconds_left() == pytest.approx(8 + 2 * 16)
    passing(8)
    assert clock.end_sweep() == pytest.approx(8)


def test_a_sweep_may_have_only_its_end_left(passing: Callable[[float], None]) -> None:
    clock = TimeEstimator([(1, 2)], done_before=(0, 1), partial_sweep=1.0)
    clock.start_level()
    passing(2)
    assert clock.end_sweep() == pytest.approx(20)
