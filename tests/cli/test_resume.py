"""Killed, interrupted and gone on with, from the command line."""

from __future__ import annotations

import re
import signal
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from tests.support.cli import run_cli
from tests.support.signals import CHECKPOINT, run_with_signal
from tilestyle.cli.output_options import Output
from tilestyle.cli.render_to_file import RenderRecord, report
from tilestyle.pictures import picture_path
from tilestyle.pipeline.events import Finished, Resumed

RENDER = (
    *(
        "render",
        str(picture_path("coffee")),
        "--style",
        str(picture_path("swirls")),
        "--size",
        "96",
        "--patch",
        "64",
    ),
    *(
        "--sweeps",
        "2,4",
        "--network=wavelet",
        "--style-layer",
        "first_1",
        "--style-layer",
        "color_2",
        "--content-layer",
        "contour_1",
    ),
    *("-o", "out.tif", "--checkpoint-every", "0"),
)


@pytest.fixture(scope="module")
def peaceful(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    """The file of a render that nothing happened to."""
    folder = tmp_path_factory.mktemp("peaceful")
    done = run_cli(folder, *RENDER)
    assert done.returncode == 0, done.stderr
    assert [file.name for file in folder.iterdir()] == ["out.tif"]
    return (folder / "out.tif").read_bytes()


def test_a_killed_render_is_resumed_to_the_same_file(tmp_path: Path, peaceful: bytes) -> None:
    killed = run_with_signal(tmp_path, signal.SIGKILL, CHECKPOINT, 6, *RENDER)
    assert killed.returncode == -signal.SIGKILL, killed.stderr
    assert not (tmp_path / "out.tif").exists()
    done = run_cli(tmp_path, "resume", "out.tif.work")
    assert done.returncode == 0, done.stderr
    assert "continuing at level" in done.stderr
    assert re.search(
        r"wrote .*: 96 x \d+, [0-9.:]+ (s|min) in all, [0-9.:]+ (s|min) since it was continued", done.stderr
    )
    assert (tmp_path / "out.tif").read_bytes() == peaceful
    assert [file.name for file in tmp_path.iterdir()] == ["out.tif"]


def test_the_time_of_a_continued_render_is_that_of_all_its_runs(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    level: Any = SimpleNamespace(index=0)
    record = RenderRecord(size=(8, 8), file=tmp_path / "out.png")
    record(Resumed(level, 1, 3, 3600.0))
    record(Finished(True, 12.0))
    report(Output(tmp_path / "out.png"), record, 0)
    assert "out.png: 8 x 8, 1:00:12 h in all, 12 s since it was continued" in capsys.readouterr().err


def test_an_interrupted_render_is_written_and_gone_on_with(tmp_path: Path, peaceful: bytes) -> None:
    said = run_with_signal(tmp_path, signal.SIGINT, CHECKPOINT, 6, *RENDER).stderr
    assert "stopped at level" in said
    assert "to continue: tilestyle resume out.tif.work" in said
    assert (tmp_path / "out.tif").exists()
    other = run_cli(tmp_path, *RENDER, "--seed", "3")
    assert other.returncode == 2
    assert other.stderr.startswith(
        "tilestyle: out.tif.work was left by another render (seed); change that back"
    )
    assert "run the command of the render with --restart to start over" in other.stderr
    assert other.stderr.count("\n") == 1
    done = run_cli(tmp_path, *RENDER)  # the same command again
    assert done.returncode == 0, done.stderr
    assert "continuing at level" in done.stderr
    assert re.search(
        r"wrote .*: 96 x \d+, [0-9.:]+ (s|min) in all, [0-9.:]+ (s|min) since it was continued", done.stderr
    )
    assert (tmp_path / "out.tif").read_bytes() == peaceful


def test_there_is_nothing_to_resume(tmp_path: Path) -> None:
    for folder, message in [("none", "there is no folder none"), (".", "is not a work folder")]:
        done = run_cli(tmp_path, "resume", folder)
        assert done.returncode == 2
        assert message in done.stderr
        assert done.stderr.count("\n") == 1
    assert not list(tmp_path.iterdir())
