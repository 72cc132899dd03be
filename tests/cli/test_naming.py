"""Outputs without a name, styles without a flag, and files that are there already."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

import tilestyle
from tests.conftest import waves
from tests.support.cli import run_cli
from tilestyle.cli import display, viewer
from tilestyle.cli.naming import automatic_name, numbered, with_options
from tilestyle.config.enums import Format
from tilestyle.recipes import comparison

QUICK = ("--size", "32", "--sweeps", "1", "--network", "wavelet", "--patch", "64")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A photo and two paintings."""
    for seed, name in enumerate(("photo.png", "painting.png", "ink.png")):
        pixels = waves(40, 40, seed).permute(1, 2, 0).numpy()
        Image.fromarray((pixels * 255).astype(np.uint8)).save(tmp_path / name)
    return tmp_path


@pytest.fixture
def stopped(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[], Any]]:
    """A context in which commands are stopped as soon as they ask."""

    @contextlib.contextmanager
    def stopping(**_: object) -> Iterator[Callable[[], bool]]:
        yield lambda: True

    @contextlib.contextmanager
    def patched() -> Iterator[None]:
        with monkeypatch.context() as patch:
            patch.setattr(display, "stop_on_interrupt", stopping)
            yield

    yield patched


def names(folder: Path) -> set[str]:
    """What is in the folder besides the inputs."""
    return {path.name for path in folder.iterdir()} - {"photo.png", "painting.png", "ink.png"}


def ran(folder: Path, *words: str) -> str:
    """What a command says that succeeds."""
    done = run_cli(folder, *words)
    assert done.returncode == 0, done.stderr
    return done.stderr


def refused(folder: Path, *words: str) -> str:
    """The one line of a command that is refused and changes nothing."""
    before = {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}
    done = run_cli(folder, *words)
    assert done.returncode == 2, done.stderr
    assert {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()} == before
    return done.stderr.splitlines()[-1]


# --- names ---


@pytest.mark.parametrize(
    ("command", "params", "name"),
    [
        ("render", {"content": "a/photo.jpg", "style": ["b/painting.jpg"]}, "photo-painting.png"),
        ("render", {"content": "photo.jpg", "style": ["a.jpg", "b.jpg:#ff0000"]}, "photo-a-b.png"),
        ("render", {"content": "p.jpg", "style": ["a.jpg"], "form": Format.TIFF}, "p-a.tif"),
        ("texture", {"style": ["fabric.png"]}, "fabric-texture.png"),
        ("texture", {"style": None, "like": "wall.png"}, "wall-texture.png"),
        ("invert", {"content": "photo.jpg"}, "photo-invert.png"),
        ("upscale", {"low": "small.png", "reference": "alike.jpg"}, "small-upscale.png"),
        ("preview", {"content": None, "style": ["a.jpg"]}, "a-preview.png"),
        ("sheet", {"content": "photo.jpg", "style": "a.jpg"}, "photo-a-sheet.png"),
        ("video", {"clip": "clip.webm", "style": "a.jpg"}, "clip-a.webm"),
        ("video", {"clip": "clip.avi", "style": "a.jpg"}, "clip-a.mp4"),
        ("drift", {"start": "photo.jpg", "style": ["a.jpg", "b.jpg"]}, "photo-a-b-drift"),
        ("zoom", {"style": "a.jpg", "start": "photo.jpg"}, "a-zoom"),
        ("render", {"content": ".photo.jpg", "style": ["-a.jpg"]}, "photo-a.png"),
    ],
)
def test_the_name_says_what_the_result_is_made_of(command: str, params: dict[str, Any], name: str) -> None:
    params = {key: Path(value) if type(value) is str else value for key, value in params.items()}
    assert automatic_name(command, params) == Path(name)


def test_long_names_are_cut_to_what_a_file_system_takes(tmp_path: Path) -> None:
    name = automatic_name("render", {"content": Path(f"{'ü' * 100}.jpg"), "style": [f"{'b' * 200}.jpg"]})
    (tmp_path / f"{name}.work-and-a-number").touch()


def test_numbers_follow_the_name() -> None:
    following = numbered(Path("x/a.png"))
    assert [next(following) for _ in range(3)] == [Path("x/a.png"), Path("x/a-2.png"), Path("x/a-3.png")]


def test_options_go_before_the_end_of_options() -> None:
    assert with_options(["render", "--", "-a.png"], "--quiet") == ["render", "--quiet", "--", "-a.png"]
    assert with_options(["render"], "--quiet") == ["render", "--quiet"]


# --- arguments ---


def test_two_words_are_enough_and_nothing_is_replaced(folder: Path) -> None:
    words = ("render", "photo.png", "painting.png", *QUICK)
    assert "output: photo-painting.png" in ran(folder, *words)
    before = (folder / "photo-painting.png").read_bytes()
    (folder / "photo-painting-2.png").write_text("mine")
    assert "wrote photo-painting-3.png" in ran(folder, *words)
    assert (folder / "photo-painting.png").read_bytes() == before
    assert (folder / "photo-painting-2.png").read_text() == "mine"
    ran(folder, *words, "--overwrite", "--seed", "3")
    assert (folder / "photo-painting.png").read_bytes() != before
    assert names(folder) == {"photo-painting.png", "photo-painting-2.png", "photo-painting-3.png"}


def test_arguments_come_before_the_option(folder: Path) -> None:
    words = ("photo.png", "painting.png", "-s", "ink.png", "-q", *QUICK, "--save-config", "saved.toml")
    ran(folder, "render", *words)
    ran(folder, "render", "photo.png", "-s", "painting.png", "-s", "ink.png", "-q", *QUICK, "-o", "other.png")
    assert np.array_equal(
        np.asarray(Image.open(folder / "photo-painting-ink.png")), np.asarray(Image.open(folder / "other.png"))
    )
    # An argument replaces the styles of a file of settings, as the option does.
    ran(folder, "render", "photo.png", "ink.png", "--config", "saved.toml", "-q")
    assert "photo-ink.png" in names(folder)


@pytest.mark.parametrize("command", ["render", "sheet", "preview", "drift", "video", "upscale"])
def test_a_missing_style_is_one_line(folder: Path, command: str) -> None:
    kind = "reference" if command == "upscale" else "style"
    assert refused(folder, command, "photo.png").startswith(f"tilestyle: no {kind} image; give it after the ")


@pytest.mark.parametrize("command", ["sheet", "video", "upscale"])
def test_one_style_is_the_most_for_some(folder: Path, command: str) -> None:
    flag = "--reference" if command == "upscale" else "--style"
    for words in (("painting.png", "ink.png"), ("painting.png", flag, "ink.png")):
        assert f"{command} takes one {flag[2:]} image, not 2" in refused(folder, command, "photo.png", *words)


# --- files that are there already ---


def test_a_named_output_that_exists_is_kept(folder: Path) -> None:
    (folder / "out.png").write_text("mine")
    (folder / "made.mp4").write_text("mine")
    (folder / "new-crop-1.png").write_text("mine")
    cases = {
        "out.png": ("render", "photo.png", "painting.png", "-o", "out.png"),
        "made.mp4": ("render", "photo.png", "painting.png", "-o", "new.png", "--film", "made.mp4"),
        "new-crop-1.png": ("preview", "photo.png", "painting.png", "-o", "new.png"),
    }
    for name, words in cases.items():
        line = refused(folder, *words)
        assert f"{name} exists; give another name, or --overwrite to replace it" in line
    assert "out.png" in refused(folder, "upscale", "photo.png", "painting.png", "--sheet", "out.png")


def test_an_input_is_not_replaced_by_overwriting(folder: Path) -> None:
    words = ("render", "photo.png", "painting.png", "-o", "photo.png", "--overwrite")
    assert "would replace an input" in refused(folder, *words)


def test_missing_folders_are_created_and_removed_if_nothing_is_written(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    words = ("texture", "painting.png", "-q", *QUICK, "-o")
    ran(folder, *words, "a/b/out.png")
    assert names(folder / "a" / "b") == {"out.png"}
    assert run_cli(folder, *words, "c/d/out.png", "--memory", "1KiB").returncode == 2
    assert not (folder / "c").exists()
    assert "not a folder" in refused(folder, *words, "photo.png/out.png")


def test_a_file_that_appears_meanwhile_is_kept(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def slow(*inputs: Any, **how: Any) -> object:
        (folder / "out.png").write_text("mine")
        return original(*inputs, **how)

    original = tilestyle.texture
    monkeypatch.setattr(tilestyle, "texture", slow)
    said = ran(folder, "texture", "painting.png", "-o", "out.png", *QUICK)
    assert "writing out-2.png" in said and "wrote out-2.png" in said
    assert (folder / "out.png").read_text() == "mine"


# --- interrupted ---


def test_the_same_command_resumes_under_its_own_name(folder: Path, stopped: Callable[[], Any]) -> None:
    (folder / "photo-painting.png").write_text("mine")
    words = ("render", "photo.png", "painting.png", *QUICK)
    with stopped():
        done = run_cli(folder, *words)
    assert "stopped early" in done.stderr, done.stderr
    assert names(folder) == {"photo-painting.png", "photo-painting-2.png", "photo-painting-2.png.work"}
    # Another render of the same files has its own name, and so has one that is stopped.
    ran(folder, *words, "--seed", "5")
    assert "photo-painting-3.png" in names(folder)
    said = ran(folder, *words, "--checkpoint-every", "3")
    assert "wrote photo-painting-2.png" in said and "stopped" not in said
    assert names(folder) == {"photo-painting.png", "photo-painting-2.png", "photo-painting-3.png"}
    assert (folder / "photo-painting.png").read_text() == "mine"


def test_resume_and_a_given_work_folder_know_the_name(folder: Path, stopped: Callable[[], Any]) -> None:
    (folder / "photo-painting.png").write_text("mine")
    words = ("render", "photo.png", "painting.png", "-q", "--work-dir", "kept", *QUICK)
    with stopped():
        run_cli(folder, *words)
        run_cli(folder, *words)  # stopped again
    assert names(folder) == {"photo-painting.png", "photo-painting-2.png", "kept"}
    ran(folder, "resume", "kept")
    assert names(folder) == {"photo-painting.png", "photo-painting-2.png"}


def test_what_was_put_in_place_of_an_unfinished_picture_is_kept(
    folder: Path, stopped: Callable[[], Any]
) -> None:
    words = ("render", "photo.png", "painting.png", "-o", "out.png", "-q", *QUICK)
    with stopped():
        run_cli(folder, *words)
    (folder / "out.png").write_bytes((folder / "ink.png").read_bytes())
    assert "out.png exists" in refused(folder, *words)
    ran(folder, *words, "--overwrite")
    assert names(folder) == {"out.png"}


def test_a_sheet_resumes_under_its_own_name(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    words = ("sheet", "photo.png", "painting.png", "--vary", "seed=1,2", *QUICK)

    @contextlib.contextmanager
    def in_the_second_cell(**_: object) -> Iterator[Callable[[], bool]]:
        yield lambda: (folder / "photo-painting-sheet.png.work" / "cells.json").exists()

    with monkeypatch.context() as patch:
        patch.setattr(display, "stop_on_interrupt", in_the_second_cell)
        assert run_cli(folder, *words).returncode == 130
    assert names(folder) == {"photo-painting-sheet.png.work"}
    ran(folder, "sheet", "photo.png", "ink.png", "-q", *QUICK)
    rendered = []
    render_cell = comparison._render_cell

    def counted(*arguments: Any) -> Any:
        rendered.append(arguments)
        return render_cell(*arguments)

    monkeypatch.setattr(comparison, "_render_cell", counted)
    ran(folder, *words)
    assert len(rendered) == 1  # the other was finished
    assert names(folder) == {"photo-ink-sheet.png", "photo-painting-sheet.png"}


def test_a_series_resumes_in_its_own_folder(folder: Path) -> None:
    words = ("drift", "photo.png", "painting.png", "-q", *QUICK, "--cycles")
    (folder / "photo-painting-drift").mkdir()
    (folder / "photo-painting-drift" / "notes.txt").write_text("mine")
    ran(folder, *words, "1")
    ran(folder, *words, "2")
    ran(folder, *words, "1", "--seed", "4")
    found = {path.name: len(list(path.glob("0*.png"))) for path in folder.glob("photo-painting-drift*")}
    assert found == {"photo-painting-drift": 0, "photo-painting-drift-2": 2, "photo-painting-drift-3": 1}


# --- the viewer ---


def test_the_result_is_shown_and_a_failure_is_a_warning(
    folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("DISPLAY", ":0")
    shown: list[str] = []

    def launched(path: str) -> int:
        shown.append(path)
        return 0

    monkeypatch.setattr("tilestyle.cli.viewer.typer.launch", launched)
    ran(folder, "texture", "painting.png", "-q", "--open", *QUICK)
    assert shown == [os.path.join(folder, "painting-texture.png")]

    def fails(path: str) -> int:
        raise OSError("gone")

    for launch in (fails, lambda path: 3):
        monkeypatch.setattr("tilestyle.cli.viewer.typer.launch", launch)
        viewer.show(Path("x.png"))
        assert capsys.readouterr().err.count("x.png cannot be shown") == 1


def test_without_a_display_nothing_is_started(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.delenv("DISPLAY", raising=False)
    monkeypatch.delenv("WAYLAND_DISPLAY", raising=False)
    monkeypatch.setattr("tilestyle.cli.viewer.sys.platform", "linux")
    monkeypatch.setattr("tilestyle.cli.viewer.typer.launch", lambda path: pytest.fail("started"))
    viewer.show(Path("x.png"))
    assert "there is no display" in capsys.readouterr().err
