"""A command that Ctrl-C stopped says so, marks what it wrote, and exits with 130."""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from pathlib import Path
from typing import Any
from unittest import mock

import numpy as np
import pytest
from PIL import Image

from tests.conftest import waves
from tests.support.cli import run_cli
from tilestyle.images import read_provenance

TINY = ("--size", "48", "--sweeps", "2", "--network", "wavelet", "--precision", "fp32")
FAST = ("--sweeps", "2", "--network", "wavelet", "--precision", "fp32")
STYLE_LAYER = ("--style-layer", "first_1")
LAYERS = (*STYLE_LAYER, "--content-layer", "contour_1")
LOOK = ("--style", "style.png", *TINY, *LAYERS)

RENDERS: dict[str, tuple[str, ...]] = {
    "render": ("render", "content.png", *LOOK, "-o", "out.png"),
    "texture": ("texture", "style.png", *TINY, *STYLE_LAYER, "-o", "out.png"),
    "invert": ("invert", "content.png", *TINY, "--layer", "contour_1", "-o", "out.png"),
    "upscale": (
        *("upscale", "content.png", "--reference", "style.png", "--factor", "2", *FAST),
        *("-o", "out.png", "--sheet", "sheet.png"),
    ),
}
SERIES: dict[str, tuple[str, ...]] = {
    "drift": ("drift", "content.png", "-s", "style.png", *TINY, "-o", "out", "--cycles", "3"),
    "zoom": ("zoom", "style.png", *TINY, "-o", "out", "--start", "content.png", "--steps", "3"),
    "video": ("video", "clip", "--style", "style.png", "--size", "48", *FAST, "-o", "out"),
}


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with two pictures and a clip."""
    monkeypatch.setattr("tilestyle.pipeline.run.estimate_seconds", lambda job: 1.0)
    (tmp_path / "clip").mkdir()
    for seed, name in enumerate(("content.png", "style.png", "clip/1.png", "clip/2.png", "clip/3.png")):
        pixels = (waves(36, 48, min(seed, 2)).permute(1, 2, 0).numpy() * 255).astype(np.uint8)
        Image.fromarray(pixels).save(tmp_path / name)
    return tmp_path


def stopped(folder: Path, after: int, *words: str) -> Any:
    """The command, stopped when this many patches are done."""
    patches = 0

    def stop() -> bool:
        nonlocal patches
        patches += 1
        return patches > after

    with mock.patch("tilestyle.cli.display.stop_on_interrupt", lambda **_: contextlib.nullcontext(stop)):
        return run_cli(folder, *words)


def last(done: Any) -> str:
    line: str = done.stderr.splitlines()[-1]
    return line


@pytest.mark.parametrize("quiet", [(), ("--quiet",)])
@pytest.mark.parametrize("command", RENDERS)
def test_a_stopped_picture_is_marked_until_it_is_finished(
    folder: Path, command: str, quiet: tuple[str, ...]
) -> None:
    done = stopped(folder, 1, *RENDERS[command], *quiet)
    assert done.returncode == 130, done.stderr
    assert last(done).startswith("stopped at level 1 of ")
    assert last(done).endswith("out.png is unfinished; to continue: tilestyle resume out.png.work")
    assert not (folder / "sheet.png").exists()  # compares finished pictures
    made = read_provenance(folder / "out.png")
    assert made is not None
    assert str(made["stopped"]).startswith("at level 1 of ")
    again = run_cli(folder, "resume", "out.png.work")
    assert again.returncode == 0, again.stderr
    finished = read_provenance(folder / "out.png")
    assert finished is not None
    assert "stopped" not in finished
    assert finished["settings"] == made["settings"]


def test_info_shows_the_mark_and_others_read_the_picture(folder: Path) -> None:
    stopped(folder, 1, *RENDERS["texture"])
    shown = run_cli(folder, "info", "out.png", "--network", "wavelet")
    assert shown.returncode == 0, shown.stderr
    assert "made: stopped" in shown.stdout and "at level 1 of" in shown.stdout
    more = run_cli(folder, "texture", "--like", "out.png", "-o", "more.png", "--size", "48", "--sweeps", "1")
    assert more.returncode == 0, more.stderr
    assert "out.png is unfinished (stopped at level 1 of" in more.stderr
    made = read_provenance(folder / "more.png")
    assert made is not None and "stopped" not in made


@pytest.mark.parametrize("command", SERIES)
def test_a_stopped_series_says_what_is_there(folder: Path, command: str) -> None:
    done = stopped(folder, 2, *SERIES[command])
    assert done.returncode == 130, done.stderr
    count = len(list((folder / "out").glob("[0-9]*.png")))
    assert count < 3
    assert last(done) == f"stopped: out: {count} of 3 pictures; to continue: run the same command again"
    if command != "video":  # whose first frame takes many sweeps
        again = run_cli(folder, *SERIES[command])
        assert again.returncode == 0, again.stderr
        assert last(again) == "out: 3 of 3 pictures"


def test_a_stopped_sheet_says_what_is_there(folder: Path) -> None:
    words = ("sheet", "content.png", *LOOK, "--vary", "strength=0.3,0.5,0.7", "-o", "out.png")
    done = stopped(folder, 0, *words)
    assert done.returncode == 130, done.stderr
    expected = "stopped: no cell is finished, out.png was not written; to continue: run the same command again"
    assert last(done) == expected
    patches = 3  # of the first cell, and one of the second
    done = stopped(folder, patches, *words)
    assert done.returncode == 130, done.stderr
    assert last(done).startswith("stopped: ") and "of 3 cells are in out.png.work" in last(done)
    assert not (folder / "out.png").exists()


PREVIEW = (
    *("preview", "content.png", *FAST, *LAYERS, "--style", "style.png", "-o", "out.png", "--size", "128"),
    *("--preview-size", "64", "--crop-size", "32", "--at", "0.2,0.2", "--at", "0.8,0.8"),
)


def stopping_in(render: int) -> Callable[..., Any]:
    """Stops in the render of this number, of a preview."""
    from tilestyle.pipeline.run import render_job

    count = 0

    def rendered(job: Any, watch: Any, stop: Any) -> Any:
        nonlocal count
        count += 1
        return render_job(job, watch, (lambda: True) if count > render else stop)

    return rendered


@pytest.mark.parametrize("render", [0, 1])
def test_a_stopped_preview_shows_finished_crops_only(folder: Path, render: int) -> None:
    with mock.patch("tilestyle.recipes.preview.render_job", stopping_in(render)):
        done = run_cli(folder, *PREVIEW)
    assert done.returncode == 130, done.stderr
    where = "crop 1 of 2" if render else "the whole image"
    assert last(done).startswith(f"stopped at {where}: out.png is unfinished, with 0 of 2 crops")
    made = read_provenance(folder / "out.png")
    assert made is not None and made["stopped"] == f"at {where}"
    assert not list(folder.glob("out-crop-*"))


def test_a_stopped_demo_says_what_is_missing(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tilestyle.pictures.picture_path", lambda name: folder / "content.png")
    done = stopped(folder, 0, "demo", "--out", "demo", "--size", "48", "--device", "cpu")
    assert done.returncode == 130, done.stderr
    assert last(done) == (
        "stopped: 0 of 3 pictures in demo are finished, raccoon-swirls.png is unfinished, "
        "pagoda-impasto.png and texture-mosaic.png missing; run the same command again to make them"
    )
    made = read_provenance(folder / "demo" / "raccoon-swirls.png")
    assert made is not None and "stopped" in made
