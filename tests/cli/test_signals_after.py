"""Signals after the result is there: at every step of the command from then on, they change nothing."""

from __future__ import annotations

import itertools
import os
import re
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from tests.conftest import waves
from tests.support.cli import run_cli
from tilestyle.cli import signals
from tilestyle.cli.commands import demo
from tilestyle.config.enums import NetworkName, Precision
from tilestyle.config.render import RenderConfig

pytestmark = pytest.mark.skipif(not hasattr(signal, "SIGHUP"), reason="signals of POSIX")

NUMBERS = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)
PACKAGE = str(Path(signals.__file__).parents[1])
FAST = ("--sweeps", "2", "--network", "wavelet", "--precision", "fp32")
TINY = ("--size", "48", *FAST, "--style-layer", "first_1")
LOOK = ("--style", "style.png", *TINY, "--content-layer", "contour_1")
SERIES = ("--size", "48", *FAST)

# Words, and the file with which the result is there.
COMMANDS: dict[str, tuple[tuple[str, ...], str]] = {
    "render": (("render", "content.png", *LOOK, "-o", "out.png", "--checkpoint-every", "0"), "out.png"),
    "render without a name": (("render", "content.png", *LOOK), "content-style.png"),
    "render and replace": (("render", "content.png", *LOOK, "-o", "old.png", "--overwrite"), "old.png"),
    "render a film": (("render", "content.png", *LOOK, "-o", "out.png", "--film", "f.gif"), "out.png"),
    "render for the web": (("render", "content.png", *LOOK, "-o", "out.dzi"), "out.dzi"),
    "texture": (("texture", "style.png", *TINY, "-o", "out.tif"), "out.tif"),
    "invert": (("invert", "content.png", "--size", "48", *FAST, "--layer", "contour_1"), "content-invert.png"),
    "upscale": (
        (
            "upscale",
            "content.png",
            "style.png",
            "--factor",
            "2",
            *FAST,
            "--sheet",
            "sheet.png",
            "-o",
            "out.png",
        ),
        "out.png",
    ),
    "preview": (("preview", "content.png", *LOOK, "-o", "out.png", "--crops", "2"), "out.png"),
    "sheet": (("sheet", "content.png", *LOOK, "-o", "out.png", "--vary", "seed=1,2"), "out.png"),
    "looks": (
        ("looks", "content.png", "-s", "style.png", "--size", "16", "--sweeps", "1"),
        "content-style-looks.png",
    ),
    "demo": (("demo",), "sheet.png"),
    "drift": (("drift", "content.png", "style.png", *SERIES, "--cycles", "2", "-o", "out"), "statistics.json"),
    "drift with a film": (
        ("drift", "content.png", "style.png", *SERIES, "--cycles", "2", "--between", "1", "--film", "f.gif"),
        "f.gif",
    ),
    "zoom": (("zoom", "style.png", "--start", "content.png", *SERIES, "--steps", "2"), "statistics.json"),
    "video": (("video", "clip", "style.png", "--config", "few.toml", "-o", "out"), "statistics.json"),
    "video as a film": (("video", "clip", "style.png", "--config", "few.toml", "-o", "out.gif"), "out.gif"),
    "batch": (("batch", "clip", *LOOK, "-o", "out", "--report", "report.csv"), "2-style.png"),
    "paper": (("paper", "content.png", "--print", "10x15", "-o", "out.jpg"), "out.jpg"),
    "paper in panels": (
        ("paper", "content.png", "--print", "40x60cm", "--panels", "25cm", "-o", "out.tif"),
        "out-plan.png",
    ),
    "pictures": (("pictures", "--to", "all"), "CREDITS.md"),
}


class Missed(BaseException):
    """A signal that the command does not handle."""


@pytest.fixture(autouse=True)
def _patience(monkeypatch: pytest.MonkeyPatch) -> None:
    """However long a busy machine takes to end a command, the next signal comes early."""
    monkeypatch.setattr(signals, "PATIENCE", 600.0)


@pytest.fixture(autouse=True)
def _unhandled() -> Iterator[None]:
    def missed(number: int, frame: Any) -> None:
        raise Missed(number)

    before = {number: signal.signal(number, missed) for number in NUMBERS}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


@pytest.fixture
def filled(tmp_path: Path, thumbnails: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[str], Path]:
    """Makes folders with two pictures, a clip and an old result."""
    renders_of = demo.renders_of
    small = RenderConfig(size=48, sweeps=1, network=NetworkName.WAVELET, precision=Precision.FP32)
    monkeypatch.setattr("tilestyle.pipeline.run.estimate_seconds", lambda job: 1.0)
    monkeypatch.setattr(demo, "renders_of", lambda config: renders_of(small))

    def fill(name: str) -> Path:
        folder = tmp_path / name
        (folder / "clip").mkdir(parents=True)
        (folder / "few.toml").write_text('size = 48\nsweeps = 1\nnetwork = "wavelet"\nprecision = "fp32"\n')
        for seed, file in enumerate(("content.png", "style.png", "old.png", "clip/1.png", "clip/2.png")):
            pixels = (waves(36, 48, min(seed, 3)).permute(1, 2, 0).numpy() * 255).astype(np.uint8)
            Image.fromarray(pixels).save(folder / file)
        return folder

    return fill


def watch_renames(
    monkeypatch: pytest.MonkeyPatch, name: str, which: int, act: Callable[[], object]
) -> Callable[[], int]:
    """Do something right after a file gets its name for the `which`th time; answers how often it did."""
    count, replace = 0, os.replace

    def replaced(source: Any, target: Any) -> None:
        nonlocal count
        replace(source, target)
        count += Path(target).name == name
        if count == which and Path(target).name == name:
            act()

    monkeypatch.setattr(os, "replace", replaced)
    return lambda: count


def send_from_now_on() -> list[int]:
    """Send signals in turn, at every call and return inside the package, until the command is over."""
    turns, sent = itertools.cycle(NUMBERS), list[int]()

    def send(frame: Any, event: str, argument: Any) -> None:
        if signals._state.ended:
            sys.setprofile(None)
        elif frame.f_code.co_filename.startswith(PACKAGE) and frame.f_code.co_filename != signals.__file__:
            sent.append(next(turns))
            signal.raise_signal(sent[-1])

    sys.setprofile(send)
    return sent


def contents(folder: Path) -> dict[str, bytes]:
    return {
        str(file.relative_to(folder)): file.read_bytes()
        for file in folder.rglob("*")
        if file.is_file() and file.suffix != ".csv" and file.parent.name != ".batch"
    }


def untimed(said: str) -> list[str]:
    return re.sub(r"\d+:\d\d( min)?|[\d.]+ (MiB|GiB|s)\b", "#", said).splitlines()


@pytest.mark.parametrize("command", COMMANDS)
def test_signals_change_nothing_once_the_result_is_there(
    filled: Callable[[str], Path], monkeypatch: pytest.MonkeyPatch, command: str
) -> None:
    words, result = COMMANDS[command]
    peaceful, disturbed = filled("peaceful"), filled("disturbed")
    with monkeypatch.context() as patched:
        renamed = watch_renames(patched, result, -1, lambda: None)
        expected = run_cli(peaceful, *words)
        assert expected.returncode == 0, expected.stderr
        assert renamed() > 0
    sent: list[list[int]] = []
    with monkeypatch.context() as patched:
        watch_renames(patched, result, renamed(), lambda: sent.append(send_from_now_on()))
        try:
            done = run_cli(disturbed, *words)
        finally:
            sys.setprofile(None)
    assert {*sent[0]} == {*NUMBERS}
    assert done.returncode == 0, done.stderr
    assert untimed(done.stderr)[-1:] == untimed(expected.stderr)[-1:]
    assert contents(disturbed) == contents(peaceful)


def test_nor_until_the_interpreter_has_ended(filled: Callable[[str], Path]) -> None:
    code = """
import os, runpy, signal, sys
numbers, replace, sent = [signal.SIGTERM, signal.SIGINT, signal.SIGHUP], os.replace, []
def send(frame, event, argument, raising=signal.raise_signal, numbers=numbers, sent=sent, len=len):
    sent.append(1)
    raising(numbers[len(sent) % 3])
def replaced(source, target):
    replace(source, target)
    if os.path.basename(target) == "out.jpg":
        sys.setprofile(send)
os.replace = replaced
sys.argv = ["tilestyle", "paper", "content.png", "--print", "10x15", "-o", "out.jpg"]
runpy.run_module("tilestyle", run_name="__main__")
"""
    folder = filled("folder")
    done = subprocess.run([sys.executable, "-c", code], cwd=folder, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stderr.splitlines()[0] == "wrote out.jpg"
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize("number", NUMBERS)
def test_a_batch_counts_what_is_written_before_it_ends(
    filled: Callable[[str], Path], monkeypatch: pytest.MonkeyPatch, number: int
) -> None:
    words, folder = COMMANDS["batch"][0], filled("folder")
    with monkeypatch.context() as patched:
        watch_renames(patched, "1-style.png", 1, lambda: signal.raise_signal(number))
        done = run_cli(folder, *words)
    assert done.returncode == 128 + number
    assert "run the same command again (1 of 2 pictures are finished)" in done.stderr.splitlines()[-1]
    assert not (folder / "out" / "2-style.png").exists()
    first = (folder / "out" / "1-style.png").read_bytes()
    again = run_cli(folder, *words)
    assert again.returncode == 0, again.stderr
    assert "1 of 2 pictures were finished before" in again.stderr
    assert (folder / "out" / "1-style.png").read_bytes() == first


@pytest.mark.parametrize("number", NUMBERS)
@pytest.mark.parametrize("panel", [1, 2])
def test_some_panels_are_none(
    filled: Callable[[str], Path], monkeypatch: pytest.MonkeyPatch, panel: int, number: int
) -> None:
    words, folder = COMMANDS["paper in panels"][0], filled("folder")
    before = contents(folder)
    with monkeypatch.context() as patched:
        watch_renames(patched, f"out-panel-{panel}.tif", 1, lambda: signal.raise_signal(number))
        done = run_cli(folder, *words)
    assert done.returncode == 128 + number
    assert done.stderr.splitlines()[-1].endswith("nothing was written")
    assert contents(folder) == before
    assert run_cli(folder, *words).returncode == 0


def test_a_film_of_a_series_still_ends_on_a_signal(
    filled: Callable[[str], Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    words, folder = COMMANDS["drift with a film"][0], filled("folder")
    with monkeypatch.context() as patched:
        at = watch_renames(patched, "0002.png", 1, lambda: None)
        watch_renames(patched, "statistics.json", 2, lambda: signal.raise_signal(signal.SIGTERM))
        done = run_cli(folder, *words)
        assert at() == 1
    assert done.returncode == 143
    assert "to continue: run the same command again" in done.stderr.splitlines()[-1]
    assert not (folder / "f.gif").exists()
    assert run_cli(folder, *words).returncode == 0
    assert (folder / "f.gif").exists()
