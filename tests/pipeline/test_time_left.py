"""The time that is left, on simulated renders."""

import time
from collections.abc import Callable, Sequence
from itertools import pairwise

import pytest

from tilestyle.pipeline.time_left import PRIOR_SHARE_LEARNED, PRIOR_SHARE_PROBED, LevelTimes, TimeLeft
from tilestyle.planning.time_model import LevelForecast

Clock = Callable[[float], None]
# Sweep seconds double from level to level, as areas do.
SHORT = [LevelForecast(0.2, 0.05 * 2**index, 20) for index in range(4)]
DAY = [LevelForecast(1.0 * 2**index, 0.2 * 2**index, 40) for index in range(13)]


@pytest.fixture
def passing(monkeypatch: pytest.MonkeyPatch) -> Clock:
    """Lets so many seconds go by."""
    now = [0.0]
    monkeypatch.setattr(time, "monotonic", lambda: now[0])

    def passed(seconds: float) -> None:
        now[0] += seconds

    return passed


def followed(
    clock: TimeLeft,
    passing: Clock,
    levels: Sequence[LevelForecast],
    slower: Callable[[float], float],
    ending: float = 0.0,
) -> tuple[list[tuple[float, float]], float]:
    """Run a render that takes so many times longer than expected, by the share of it that is done.

    Returns:
        The time and the time left after every sweep, and when it ended.
    """
    total = sum(level.seconds for level in levels)
    done, shown = 0.0, []
    for level in levels:
        clock.start_level()
        for sweep in range(level.sweeps):
            work = level.sweep + (level.preparation if sweep == 0 else 0.0)
            passing(work * slower(done / total))
            done += work
            clock.end_sweep()
            shown.append((clock.elapsed, clock.seconds_left()))
    passing(ending)
    return shown, clock.elapsed


def rises(shown: Sequence[tuple[float, float]]) -> list[float]:
    """How much the time left rose from one sweep to the next."""
    return [after - before for (_, before), (_, after) in pairwise(shown) if after > before + 1e-9]


def error(shown: Sequence[tuple[float, float]], end: float, share: float) -> float:
    """The relative error of the time left when this share of the time has passed."""
    now, left = next(each for each in shown if each[0] >= share * end)
    return abs(left - (end - now)) / (end - now)


@pytest.mark.parametrize("levels", [SHORT, DAY], ids=["short", "day"])
def test_it_falls_with_the_clock_where_all_is_as_expected(passing: Clock, levels: list[LevelForecast]) -> None:
    clock = TimeLeft(levels, 0.5, prior_share=PRIOR_SHARE_LEARNED)
    shown, end = followed(clock, passing, levels, lambda share: 1.0, 0.5)
    for now, left in shown:
        assert left == pytest.approx(end - now, rel=0.01, abs=0.01)


@pytest.mark.parametrize("levels", [SHORT, DAY], ids=["short", "day"])
@pytest.mark.parametrize("factor", [0.4, 0.75, 1.3, 2.5])
def test_a_wrong_expectation_is_corrected_without_jumps(
    passing: Clock, levels: list[LevelForecast], factor: float
) -> None:
    clock = TimeLeft(levels, prior_share=PRIOR_SHARE_PROBED)
    shown, end = followed(clock, passing, levels, lambda share: factor)
    assert error(shown, end, 0.3) < 0.3
    assert error(shown, end, 0.6) < 0.15
    assert max(rises(shown), default=0.0) < 0.05 * end
    if factor < 1:
        assert not rises(shown)


@pytest.mark.parametrize("levels", [SHORT, DAY], ids=["short", "day"])
def test_slow_first_sweeps_say_little_of_a_render(passing: Clock, levels: list[LevelForecast]) -> None:
    clock = TimeLeft(levels, prior_share=PRIOR_SHARE_PROBED)
    shown, end = followed(clock, passing, levels, lambda share: 8.0 if share < 0.002 else 1.0)
    assert max(left for _, left in shown) < 1.2 * end
    assert error(shown, end, 0.2) < 0.2


@pytest.mark.parametrize("levels", [SHORT, DAY], ids=["short", "day"])
def test_a_machine_that_becomes_slower_is_believed_in_time(passing: Clock, levels: list[LevelForecast]) -> None:
    clock = TimeLeft(levels, prior_share=PRIOR_SHARE_LEARNED)
    shown, end = followed(clock, passing, levels, lambda share: 1.0 if share < 0.5 else 2.0)
    expected = sum(level.seconds for level in levels)
    for now, left in shown:
        if now < expected / 2:
            assert left == pytest.approx(expected - now)
    assert max(rises(shown)) < 0.1 * end  # slowly
    assert error(shown, end, 0.6) < 0.2
    assert error(shown, end, 0.85) < 0.1


def test_one_slow_sweep_changes_little(passing: Clock) -> None:
    levels = [LevelForecast(0.0, 10.0, 200)]
    clock = TimeLeft(levels, prior_share=PRIOR_SHARE_LEARNED)
    clock.start_level()
    left = []
    for sweep in range(100):
        passing(100.0 if sweep == 50 else 10.0)
        clock.end_sweep()
        left.append(clock.seconds_left())
    assert all(after <= before for before, after in pairwise(left))
    assert left[-1] == pytest.approx(1000, rel=0.2)


def test_without_knowing_the_unit_the_first_sweeps_give_it(passing: Clock) -> None:
    clock = TimeLeft(DAY, prior_share=0.0)
    shown, end = followed(clock, passing, DAY, lambda share: 37.0)
    assert shown[0][1] == pytest.approx(end, rel=0.01)
    assert not rises(shown)


def test_it_ends_at_what_comes_after_the_last_sweep(passing: Clock) -> None:
    clock = TimeLeft(SHORT, 0.5, prior_share=PRIOR_SHARE_LEARNED)
    shown, _ = followed(clock, passing, SHORT, lambda share: 0.5)
    assert 0 < shown[-1][1] <= 0.5


def test_a_resumed_sweep_counts_as_a_whole(passing: Clock) -> None:
    levels = [LevelForecast(0, 4, 2), LevelForecast(0, 8, 3), LevelForecast(0, 16, 2)]
    clock = TimeLeft(levels, done_before=(1, 1), partial_sweep=0.75)
    clock.start_level()
    passing(2)
    assert clock.end_sweep() == pytest.approx(8)
    assert clock.seconds_left() == pytest.approx(8 + 2 * 16)
    passing(8)
    assert clock.end_sweep() == pytest.approx(8)
    assert clock.seconds_left() == pytest.approx(2 * 16)


def test_a_sweep_may_have_only_its_end_left(passing: Clock) -> None:
    clock = TimeLeft([LevelForecast(0, 20, 2)], done_before=(0, 1), partial_sweep=1.0)
    clock.start_level()
    passing(2)
    assert clock.end_sweep() == pytest.approx(20)


def test_what_observers_take_belongs_to_no_sweep(passing: Clock) -> None:
    clock = TimeLeft([LevelForecast(0, 1, 3)])
    clock.start_level()
    passing(1)
    clock.end_sweep()
    passing(50)
    clock.pause(50)
    passing(1)
    assert clock.end_sweep() == pytest.approx(1)
    assert clock.elapsed == pytest.approx(52)


def test_it_tells_for_how_much_of_a_level_the_threads_ran(
    passing: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    cpu = [100.0]
    monkeypatch.setattr(time, "process_time", lambda: cpu[0])
    clock = TimeLeft([LevelForecast(0, 1, 3)])
    clock.start_level()
    for seconds, cpu_seconds in ((5, 0.1), (2, 3.0), (2, 1.0)):  # the first sweep does not count
        passing(seconds)
        cpu[0] += cpu_seconds
        clock.end_sweep()
        passing(50)
        cpu[0] += 30  # of observers
        clock.pause(50)
    (level,) = clock.levels
    assert level.processor_share(2) == pytest.approx(0.5)
    assert level.processor_share(1) == pytest.approx(1.0)
    assert LevelTimes(0, 1.0, [1e-4]).processor_share(8) == 1  # shorter than a step of the clock
