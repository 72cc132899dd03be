"""How far a command is, on screens of several widths."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass

import pytest

from tests.support.screen import Screen
from tilestyle.cli.display import RenderProgress
from tilestyle.cli.progress import Bar, Lines, Parts, Position, Steps, open_display
from tilestyle.cli.times import clock
from tilestyle.config.render import RenderConfig
from tilestyle.images import Picture
from tilestyle.pipeline.events import Finished, LevelStarted, PatchDone, Started, Stopped, SweepDone
from tilestyle.planning.schedule import Level, Pyramid, plan_levels

WIDTHS = (60, 80, 120)
DAY = 86_400.0
NUMBERS = re.compile(r"^(?P<where>.*?) ?(?P<bar>[━╸╺]+) +(?P<percent>\d+)% (?P<left>[\d:]+) left$")


class Timer:
    """A clock that is set by hand."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


@dataclass
class Scene:
    """A render of simulated events that takes so many seconds, on a screen."""

    screen: Screen
    seconds: float
    verbose: bool = False

    def __post_init__(self) -> None:
        self.timer = Timer()
        self.bar = Bar(verbose=self.verbose, timer=self.timer, console=self.screen.console)
        self.tell = RenderProgress(Parts(self.bar, timer=self.timer), lambda: 3 << 30)
        self.levels = plan_levels(6000, 9000, RenderConfig(sweeps=10), Pyramid(256, 9000, 1, 0.5))
        self.work = sum(level.extent.area * level.sweeps for level in self.levels)
        self.begin = self.timer.now

    def started(self) -> None:
        self.tell(Started(512, "cpu", 1 << 20, None, 1 << 20, None, 0, lambda: self.seconds))

    def level(self, level: Level) -> None:
        self.tell(LevelStarted(level, len(self.levels)))

    def patch(self, level: Level, sweep: int, share: float) -> None:
        """A part of a sweep is done."""
        self.timer.now = self.begin + self.seconds * self.before(level, sweep, share) / self.work
        self.tell(PatchDone(level, len(self.levels), sweep, share))

    def sweep(self, level: Level, sweep: int) -> None:
        """A sweep is done."""
        self.timer.now = self.begin + self.seconds * self.before(level, sweep, 1) / self.work
        spent = self.timer.now - self.begin
        speed = level.extent.area / 1e6 / (self.seconds * level.extent.area / self.work)
        event = SweepDone(
            *(level, len(self.levels), sweep, 0.1234, 0.2345, 0.0, spent, self.seconds - spent, speed),
            picture=no_picture,
        )
        self.tell(event)

    def before(self, level: Level, sweep: int, share: float) -> float:
        earlier = sum(each.extent.area * each.sweeps for each in self.levels[: level.index])
        return earlier + level.extent.area * (sweep + share)

    def line(self) -> str:
        """The only line on the screen."""
        self.bar.refresh()
        (line,) = self.screen.lines
        return line


def no_picture() -> Picture:
    raise AssertionError("nobody looks")


def parts_of(line: str) -> re.Match[str]:
    match = NUMBERS.match(line)
    assert match, line
    assert len(match["bar"]) >= 10
    return match


@pytest.mark.parametrize("columns", WIDTHS)
@pytest.mark.parametrize("seconds", [20.0, DAY])
def test_bar_percentage_and_time_left_are_always_there(columns: int, seconds: float) -> None:
    scene = Scene(Screen(columns), seconds)
    shown: list[int] = []

    def look(where: str) -> None:
        line = scene.line()
        match = parts_of(line)
        assert len(line) <= columns - 3  # where terminals echo ^C
        assert match["where"].startswith(where)
        assert "style" not in line and "MP/s" not in line and "peak" not in line
        shown.append(int(match["percent"]))

    scene.started()
    scene.level(scene.levels[0])
    assert "preparing" in scene.line()
    scene.sweep(scene.levels[0], 0)
    count = len(scene.levels)
    look(f"level 1 of {count}")
    middle, last = scene.levels[-2], scene.levels[-1]
    scene.sweep(middle, 4)
    look(f"level {count - 1} of {count}")
    scene.level(last)
    look(f"level {count} of {count}, preparing")
    scene.sweep(last, 0)
    for share in (0.25, 0.5, 0.75):
        scene.patch(last, 1, share)
        look(f"level {count} of {count}, 9000 px")
    scene.sweep(last, last.sweeps - 2)
    look(f"level {count} of {count}, 9000 px")
    assert shown == sorted(shown)
    assert shown[0] == 0 and 80 < shown[-1] < 100
    assert shown[-4] < shown[-2]  # it moves within a sweep
    scene.sweep(last, last.sweeps - 1)
    scene.tell(Finished(True, seconds))
    assert "100%" in scene.line()
    scene.bar.close()
    assert scene.screen.lines == []
    assert scene.screen.shows_cursor


def test_the_time_left_counts_down_and_waits_for_a_sweep_that_takes_longer() -> None:
    scene = Scene(Screen(80), DAY)
    scene.started()
    last = scene.levels[-1]
    scene.sweep(last, 0)
    scene.patch(last, 1, 0.01)
    before = parts_of(scene.line())["left"]
    scene.timer.now += 5
    assert parts_of(scene.line())["left"] != before
    scene.timer.now += DAY
    least = DAY * (1 - scene.before(last, 1, 1) / scene.work)
    assert parts_of(scene.line())["left"] == clock(least)


def test_an_estimate_that_ran_out_is_not_shown() -> None:
    scene = Scene(Screen(80), 10.0)
    scene.tell = RenderProgress(Parts(scene.bar, timer=scene.timer), announces=True)
    scene.started()
    scene.level(scene.levels[0])
    scene.bar.refresh()
    assert parts_of(scene.screen.lines[-1])["left"] == "0:10"
    scene.timer.now += 11
    scene.bar.refresh()
    assert scene.screen.lines[-1].endswith("estimating time")
    scene.bar.close()


def test_what_is_said_stands_above_the_bar_and_the_last_line_is_clean() -> None:
    scene = Scene(Screen(60), DAY)
    scene.started()
    scene.sweep(scene.levels[0], 0)
    scene.bar.refresh()
    scene.screen.write("^C")  # as terminals do
    scene.screen.console.print("stopping after this patch")
    scene.tell(Stopped())
    scene.bar.refresh()
    said, bar = scene.screen.lines
    assert said == "stopping after this patch"
    assert bar.startswith("stopped, writing the image")
    scene.bar.close()
    scene.screen.console.print("stopped at level 1")
    assert scene.screen.lines == ["stopping after this patch", "stopped at level 1"]


@pytest.mark.parametrize(("before", "after"), [(120, 60), (80, 30), (60, 120), (80, 12)])
def test_a_terminal_may_be_resized(before: int, after: int) -> None:
    scene = Scene(Screen(before), DAY)
    scene.started()
    scene.sweep(scene.levels[-1], 3)
    scene.line()
    scene.screen.resize(after)
    scene.line()
    line = scene.line()
    assert len(line) <= after
    if after >= 30:
        assert "%" in line and "left" in line
    scene.bar.close()
    assert scene.screen.lines == []


@pytest.mark.parametrize("columns", [*range(1, 60), 200])
def test_no_width_and_no_text_wraps(columns: int) -> None:
    screen = Screen(columns)
    bar = Bar(console=screen.console)
    position = Position("picture 12 of 100 in 絵画.png" + "\x1b[2J" * 3, 0.5, 3 * DAY, more="level 3 of 5")
    bar.show(position)
    bar.refresh()
    bar.refresh()
    assert len(screen.lines) <= 1
    bar.close()
    assert screen.lines == []


@pytest.mark.parametrize("columns", WIDTHS)
def test_verbose_adds_a_line_of_losses_speed_and_memory(columns: int) -> None:
    scene = Scene(Screen(columns), DAY, verbose=True)
    scene.started()
    scene.sweep(scene.levels[2], 3)
    scene.bar.refresh()
    scene.bar.refresh()
    bar, details = scene.screen.lines
    parts_of(bar)
    assert details.startswith("style 0.1234 content 0.2345")
    assert "MP/s peak 3 GiB" in details
    scene.bar.close()
    assert scene.screen.lines == []


def test_wide_terminals_show_the_sweep_too() -> None:
    for columns in WIDTHS:
        scene = Scene(Screen(columns), DAY)
        scene.started()
        scene.sweep(scene.levels[0], 3)
        assert ("sweep 4 of 10" in scene.line()) == (columns >= 80)


@pytest.mark.parametrize("verbose", [False, True])
def test_lines_come_every_ten_seconds(capsys: pytest.CaptureFixture[str], verbose: bool) -> None:
    timer = Timer()
    lines = Lines(verbose=verbose, timer=timer)
    for second in range(30):
        timer.now += 1
        lines.show(Position("level 1 of 2, 64 px", second / 30, 30.0 - second, details="style 0.1"))
    lines.show(Position("level 1 of 2, 64 px", 1, 0, details="style 0.1", milestone=True))
    said = capsys.readouterr().err.splitlines()
    more = ", style 0.1" if verbose else ""
    assert said[0] == f"level 1 of 2, 64 px, 30%, 0:21 left{more}"
    assert said[-1] == f"level 1 of 2, 64 px, 100%, 0:00 left{more}"
    assert len(said) == 4


def test_parts_add_up() -> None:
    timer, screen = Timer(), Screen(80)
    bar = Bar(timer=timer, console=screen.console)
    parts = Parts(bar, [1, 1, 2], timer)

    def line() -> str:
        bar.refresh()
        return screen.lines[-1]

    parts.begin(0, "crop 1")
    assert "estimating time" in line()
    timer.now += 5
    parts.show(Position("level 1 of 2", 0.5, 5.0))
    assert parts_of(line())["percent"] == "12"
    assert parts_of(line())["left"] == "0:35"
    timer.now += 5
    parts.begin(1, "crop 2")
    assert parts_of(line())["percent"] == "25"
    assert parts_of(line())["left"] == "0:30"
    parts.begin(2, "crop 3")
    timer.now += 1
    parts.show(Position("level 2 of 2", 0.9, 1.0))
    assert line().startswith("crop 3, level 2 of 2")
    assert parts_of(line())["left"] == "0:01"
    bar.close()


def test_steps_estimate_from_the_time_so_far() -> None:
    timer, screen = Timer(), Screen(60)
    bar = Bar(timer=timer, console=screen.console)
    steps = Steps(bar, "measuring speed", timer)
    timer.now += 60
    steps.at(0.25)
    bar.refresh()
    match = parts_of(screen.lines[0])
    assert (match["where"], match["percent"], match["left"]) == ("measuring speed", "25", "3:00")
    assert list(steps.track("abc", 3)) == ["a", "b", "c"]
    bar.close()


def test_a_question_has_the_terminal_for_itself() -> None:
    screen = Screen(80)
    bar = Bar(console=screen.console)
    bar.show(Position("reading the images"))
    bar.refresh()

    def ask() -> list[str]:
        return screen.lines

    assert Parts(bar).hidden(ask) == []
    bar.refresh()
    assert screen.lines[0].startswith("reading the images")
    bar.close()


@pytest.mark.parametrize("error", [ValueError, KeyboardInterrupt])
def test_nothing_stays_on_the_screen_after_an_error(
    error: type[BaseException], monkeypatch: pytest.MonkeyPatch
) -> None:
    screen = Screen(80)
    bar: Callable[..., Bar] = lambda **_: Bar(console=screen.console)  # noqa: E731
    monkeypatch.setattr("tilestyle.cli.progress.Bar", bar)
    monkeypatch.setattr("tilestyle.cli.progress._is_terminal", lambda: True)
    with pytest.raises(error), open_display() as display:
        display.show(Position("starting"))
        raise error
    assert screen.lines == []
    assert screen.shows_cursor
