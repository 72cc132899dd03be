"""What only watches a render may fail in any way: the render goes on to the same picture."""

from __future__ import annotations

import errno
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from tests.conftest import FEW, waves
from tests.motion.test_film import decoded
from tests.support.cli import run_cli
from tilestyle import images
from tilestyle.cli.inputs import Inputs
from tilestyle.cli.parsing import StyleFile
from tilestyle.config.enums import Precision
from tilestyle.config.render import RenderConfig
from tilestyle.config.variations import parse_variation
from tilestyle.errors import OutputError
from tilestyle.motion.drift import SeriesCallbacks, drift
from tilestyle.motion.film import VideoWriter
from tilestyle.pipeline.api import render
from tilestyle.pipeline.events import Event, Finished, LevelStarted, Started, SweepDone
from tilestyle.pipeline.observers import guard_callback
from tilestyle.recipes.comparison import Comparison, render_cells
from tilestyle.recipes.preview import PreviewRequest, preview

FAILURES: list[Exception] = [
    OSError(errno.ENOSPC, os.strerror(errno.ENOSPC)),
    PermissionError(errno.EACCES, os.strerror(errno.EACCES), "now.jpg"),
    BrokenPipeError(errno.EPIPE, os.strerror(errno.EPIPE)),
    OutputError("the drive is gone", hint="look for it"),
    ValueError("I/O operation on closed file."),
    RuntimeError("out of memory"),
    MemoryError(),
    KeyError("x"),
    AssertionError(),
    UnicodeEncodeError("ascii", "…", 0, 1, "ordinal not in range"),
]
CONTENT, STYLE = waves(48, 64, 1), waves(60, 60, 2)
CONFIG = RenderConfig(size=64, sweeps=2, patch=64, precision=Precision.FP32, **FEW)


def failing(error: BaseException) -> Callable[..., Any]:
    """A function that does nothing but fail."""

    def fail(*arguments: Any, **named: Any) -> Any:
        raise error

    return fail


@pytest.fixture(scope="module")
def expected() -> bytes:
    """The picture that nobody watches."""
    return render(CONTENT, STYLE, CONFIG).pixels.tobytes()


@pytest.mark.parametrize("error", FAILURES, ids=lambda error: type(error).__name__)
@pytest.mark.parametrize("again", [False, True])
def test_a_failure_is_reported_once_in_one_line(error: Exception, again: bool) -> None:
    calls: list[int] = []
    said: list[str] = []

    def watch(number: int) -> None:
        calls.append(number)
        raise error

    tell = guard_callback(watch, "the preview", said.append, retry=again)
    for number in range(3):
        tell(number)
    assert calls == ([0, 1, 2] if again else [0])
    (line,) = said
    assert line.startswith("the preview failed (")
    assert line.endswith("the render continues")
    assert "\n" not in line
    assert "()" not in line


@pytest.mark.parametrize("error", [KeyboardInterrupt(), SystemExit(3), GeneratorExit()], ids=repr)
def test_what_is_meant_to_end_the_program_ends_it(error: BaseException) -> None:
    with pytest.raises(type(error)):
        render(CONTENT, STYLE, CONFIG, observer=failing(error))


@pytest.mark.parametrize(
    ("error", "kind"),
    [(error, SweepDone) for error in FAILURES]
    + [(FAILURES[0], kind) for kind in (Started, LevelStarted, Finished)],
    ids=lambda value: value.__name__ if isinstance(value, type) else type(value).__name__,
)
def test_an_observer_in_python(error: Exception, kind: type, expected: bytes) -> None:
    seen: list[Event] = []

    def watch(event: Event) -> None:
        seen.append(event)
        if isinstance(event, kind):
            raise error

    with pytest.warns(RuntimeWarning, match=r"the observer failed \(.*the render continues") as warned:
        found = render(CONTENT, STYLE, CONFIG, observer=watch)
    assert found.pixels.tobytes() == expected
    assert len(warned) == 1
    assert isinstance(seen[-1], kind)
    assert sum(isinstance(event, kind) for event in seen) == 1  # it is not called again


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder with two pictures."""
    for name, pixels in (("content.png", CONTENT), ("style.png", STYLE)):
        values = (pixels.permute(1, 2, 0).numpy() * 255).astype(np.uint8)
        Image.fromarray(values).save(tmp_path / name)
    return tmp_path


SMALL = ("--size=64", "--sweeps=3", "--precision=fp32", "--memory=1GiB", "--network=wavelet", "-o", "out.png")
TEXTURE = ("texture", "style.png", *SMALL, "--style-layer", "first_1")
INVERT = ("invert", "content.png", *SMALL)
# Who fails, in which command and where, and what the line calls it.
OBSERVERS: dict[str, tuple[str, tuple[str, ...], str]] = {
    "progress": ("tilestyle.cli.display.loss_summary", TEXTURE, "the progress display"),
    "preview": ("tilestyle.images.write_picture", (*TEXTURE, "--preview", "now.png"), "the preview now.png"),
    "settings": (
        "tilestyle.config.toml.save_settings",
        (*TEXTURE, "--save-config", "s.toml"),
        "writing s.toml",
    ),
    "film": ("tilestyle.motion.film.VideoWriter.add", (*TEXTURE, "--film", "f.mp4"), "the film f.mp4"),
    "PNG film": ("tilestyle.motion.film.FrameFolderWriter.add", (*TEXTURE, "--film", "f"), "the film f"),
    "film's part": (
        "tilestyle.motion.film.VideoWriter.finish",
        (*TEXTURE, "--film", "f.mp4"),
        "ending the film f.mp4",
    ),
    "film's end": (
        "tilestyle.motion.film_parts.join_parts",
        (*TEXTURE, "--film", "f.mp4"),
        "ending the film f.mp4",
    ),
    "frames": (
        "tilestyle.motion.snapshots.SnapshotRecorder._save",
        (*INVERT, "--frames", "f"),
        "writing frames into f",
    ),
}


@pytest.fixture(autouse=True)
def _no_estimate(monkeypatch: pytest.MonkeyPatch) -> None:
    """How long a render takes is not asked: that renders a little, too."""
    monkeypatch.setattr("tilestyle.pipeline.run.estimate_seconds", lambda job: 1.0)


@pytest.mark.parametrize("error", FAILURES[2:5], ids=lambda error: type(error).__name__)
@pytest.mark.parametrize("watching", OBSERVERS)
def test_an_observer_of_a_command(
    folder: Path, monkeypatch: pytest.MonkeyPatch, watching: str, error: Exception
) -> None:
    place, words, what = OBSERVERS[watching]
    if "film" in watching:
        pytest.importorskip("av")
    monkeypatch.setattr("tilestyle.cli.display.SECONDS_BETWEEN_PREVIEWS", 0.0)
    monkeypatch.setattr(place, failing(error))
    done = run_cli(folder, *words)
    assert done.returncode == 0, done.stderr
    (line,) = (line for line in done.stderr.splitlines() if "failed" in line)
    assert line.startswith(f"tilestyle: {what} failed (")
    assert "\nwrote out.png: " in done.stderr
    assert (folder / "out.png").exists()
    assert not (folder / "out.png.work").exists()


def first_calls(function: Callable[..., Any], good: int, bad: int) -> Callable[..., Any]:
    """The function, but after `good` calls `bad` of them fail."""
    calls = 0

    def wrapped(*arguments: Any, **named: Any) -> Any:
        nonlocal calls
        calls += 1
        if good < calls <= good + bad:
            raise OSError(errno.EIO, os.strerror(errno.EIO))
        return function(*arguments, **named)

    return wrapped


def test_a_preview_whose_place_comes_back_is_written_again(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tilestyle.cli.display.SECONDS_BETWEEN_PREVIEWS", 0.0)
    monkeypatch.setattr(images, "write_picture", first_calls(images.write_picture, 0, 1))
    done = run_cli(folder, *TEXTURE, "--preview", "now.png")
    assert done.returncode == 0, done.stderr
    assert done.stderr.count("the preview now.png failed (Input/output error); it will be tried again") == 1
    assert (folder / "now.png").exists()


def test_a_film_that_fails_is_kept_as_far_as_it_got(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("av")
    monkeypatch.setattr(VideoWriter, "add", first_calls(VideoWriter.add, 3, 1))
    done = run_cli(folder, *TEXTURE, "--film", "f.mp4", "--film-step", "0.001")
    assert done.returncode == 0, done.stderr
    assert done.stderr.count("the film f.mp4 failed (Input/output error)") == 1
    assert len(decoded(folder / "f.mp4")) == 3


@pytest.mark.parametrize("command", ["drift", "sheet", "preview"])
def test_callbacks_of_series_and_comparisons(
    folder: Path, monkeypatch: pytest.MonkeyPatch, command: str
) -> None:
    look = RenderConfig(size=64, sweeps=1, precision=Precision.FP32, coarsest=64, **FEW)
    content, style, tell = folder / "content.png", folder / "style.png", failing(FAILURES[0])
    with pytest.warns(RuntimeWarning, match="the observer failed") as warned:
        if command == "drift":
            watch = SeriesCallbacks(failing(FAILURES[4]), tell)
            assert drift(content, [style], folder / "out", look, 2, watch).count == 2
        elif command == "sheet":
            comparison = Comparison(content, style, look, [parse_variation("seed=1,2")])
            assert len(render_cells(comparison, folder / "cells", tell)) == 2
        else:
            with Inputs([StyleFile(style)], content).opened(look) as found:
                assert preview(found, PreviewRequest(64, 64, ()), tell).height == 48
    assert len(warned) == (2 if command == "drift" else 1)  # of a drift, two callbacks
