"""The progress bar of Python programs."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from tilestyle.pipeline.events import Event, Finished, LevelStarted, Resumed, SweepDone
from tilestyle.pipeline.progress import ProgressBar, showing_progress

LEVEL: Any = SimpleNamespace(index=0)


def sweep(seconds: float, left: float) -> SweepDone:
    return SweepDone(LEVEL, 2, 0, 0.0, 0.0, 0.0, seconds, left, 1.0, lambda: pytest.fail("no picture is made"))


def test_it_is_written_to_standard_error_alone(capsys: pytest.CaptureFixture[str]) -> None:
    seen: list[Event] = []
    events: list[Event] = [LevelStarted(LEVEL, 2), sweep(30, 90), Finished(True, 120)]
    with showing_progress(seen.append) as observe:
        for event in events:
            observe(event)
    assert seen == events
    out, err = capsys.readouterr()
    assert out == ""
    assert "done in 0:02:00" in err
    assert "100%" in err


def test_it_says_how_far_it_is(capsys: pytest.CaptureFixture[str]) -> None:
    with ProgressBar() as bar:
        bar.observe(LevelStarted(LEVEL, 2))
        bar.observe(sweep(30, 90))
    err = capsys.readouterr().err
    assert "level 1 of 2" in err and "25%" in err and "0:01:30 left" in err


def test_it_says_the_time_of_all_runs(capsys: pytest.CaptureFixture[str]) -> None:
    with ProgressBar() as bar:
        bar.observe(Resumed(LEVEL, 2, 0, 3600.0))
        bar.observe(Finished(True, 12))
    assert "done in 1:00:12" in capsys.readouterr().err


def test_a_failing_observer_does_not_stop_it(capsys: pytest.CaptureFixture[str]) -> None:
    def fail(event: Event) -> None:
        raise ValueError("something of the user")

    with pytest.warns(RuntimeWarning, match="the observer failed"), showing_progress(fail) as observe:
        observe(LevelStarted(LEVEL, 2))
        observe(Finished(False, 5))
    assert "stopped after 0:00:05" in capsys.readouterr().err


def test_nothing_is_shown_before_the_first_event(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(KeyboardInterrupt), showing_progress(None):
        raise KeyboardInterrupt
    assert capsys.readouterr().err == ""
