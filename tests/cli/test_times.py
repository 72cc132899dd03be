"""Times in words."""

import pytest

from tilestyle.cli.times import clock, duration, elapsed


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0.04, "0.0 s"),
        (0.5, "0.5 s"),
        (59.4, "59 s"),
        (59.6, "1 min"),
        (3599, "1 h"),
        (4200, "1 h 10 min"),
        (86399, "1 d"),
        (90000, "1 d 1 h"),
    ],
)
def test_a_duration_has_two_units_at_most(seconds: float, text: str) -> None:
    assert duration(seconds) == text


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0.4, "0.4 s"), (5, "5 s"), (59.4, "59 s"), (59.6, "1:00 min"), (138, "2:18 min"), (3725, "1:02:05 h")],
)
def test_an_elapsed_time_is_exact_to_the_second(seconds: float, text: str) -> None:
    assert elapsed(seconds) == text


def test_clock() -> None:
    assert clock(5) == "0:05"
    assert clock(3725) == "1:02:05"
