"""Killed, interrupted and gone on with, from the command line."""

from __future__ import annotations

import signal
from pathlib import Path

import pytest

from tests.support.cli import run_cli
from tests.support.signals import CHECKPOINT, run_with_signal
from tilestyle.pictures import picture_path

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
    assert (tmp_path / "out.tif").read_bytes() == peaceful
    assert [file.name for file in tmp_path.iterdir()] == ["out.tif"]


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
    assert (tmp_path / "out.tif").read_bytes() == peaceful


def test_there_is_nothing_to_resume(tmp_path: Path) -> None:
    for folder, message in [("none", "there is no folder none"), (".", "is not a work folder")]:
        done = run_cli(tmp_path, "resume", folder)
        assert done.returncode == 2
        assert message in done.stderr
        assert done.stderr.count("\n") == 1
    assert not list(tmp_path.iterdir())
