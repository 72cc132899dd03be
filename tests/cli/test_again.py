"""Pictures made again from the settings that are stored in them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from tests.conftest import FEW, waves
from tests.support.cli import run_cli
from tilestyle import render
from tilestyle.cli.remembered import remembered_settings
from tilestyle.config.render import RenderConfig
from tilestyle.config.reuse import find_file
from tilestyle.errors import SettingError
from tilestyle.images import read_provenance
from tilestyle.pictures import picture_path

QUICK = ("--network=wavelet", "--style-layer=color_2", "--content-layer=contour_2", "--sweeps=1", "--quiet")


def save(path: Path, height: int, width: int, seed: int) -> None:
    pixels = (waves(height, width, seed).permute(1, 2, 0).numpy() * 255).astype(np.uint8)
    Image.fromarray(pixels).save(path)


def pixels(path: Path) -> Any:
    with Image.open(path) as image:
        return np.asarray(image)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    save(tmp_path / "my photo.png", 40, 48, 0)
    save(tmp_path / "style.png", 48, 40, 1)
    return tmp_path


def made(folder: Path, *words: str) -> str:
    done = run_cli(folder, *words)
    assert done.returncode == 0, done.stderr
    return done.stderr


def test_the_same_picture_again_and_larger(folder: Path) -> None:
    made(folder, "render", "my photo.png", "style.png", "-o", "first.png", "--size=32", "--seed=7", *QUICK)
    made(folder, "again", "first.png", "-o", "second.png", "--quiet")
    assert np.array_equal(pixels(folder / "first.png"), pixels(folder / "second.png"))
    made(folder, "again", "second.png", "-o", "large.png", "--size", "48", "--quiet")
    assert pixels(folder / "large.png").shape == (40, 48, 3)
    stored = read_provenance(folder / "large.png")
    first = read_provenance(folder / "first.png")
    assert stored is not None and first is not None
    assert stored["settings"] == {**first["settings"], "size": 48}  # type: ignore[dict-item]
    assert stored["run"] == first["run"]


def test_a_picture_is_a_file_of_settings(folder: Path) -> None:
    made(folder, "render", "my photo.png", "style.png", "-o", "first.png", "--size=32", "--seed=7", *QUICK)
    save(folder / "other.png", 32, 32, 5)
    made(folder, "render", "other.png", "--config", "first.png", "-o", "other-out.png", "--quiet")
    stored = read_provenance(folder / "other-out.png")
    assert stored is not None
    assert (stored["content"], stored["style"]) == ("other.png", "style.png")
    assert stored["settings"]["seed"] == 7  # type: ignore[index, call-overload]


def test_paper_and_strokes_are_measured_again(folder: Path) -> None:
    words = ("--print=8x6mm", "--dpi=120", "--stroke=5%", "--depth=16")
    made(folder, "render", "my photo.png", "style.png", "-o", "first.png", *words, *QUICK)
    stored = remembered_settings(folder / "first.png")
    assert "size" not in stored.settings and "style_scale" not in stored.settings
    assert stored.run["paper"] == "8x6mm"
    made(folder, "again", "first.png", "-o", "turned.png", "--print", "6x8mm", "--quiet")
    assert pixels(folder / "turned.png").shape[:2] == pixels(folder / "first.png").shape[1::-1]
    made(folder, "again", "first.png", "-o", "sized.png", "--size=24", "--quiet")
    assert pixels(folder / "sized.png").shape[:2] == (20, 24)
    made(folder, "again", "first.png", "-o", "scaled.png", "--style-scale=0.5", "--quiet")


def test_what_python_saved_is_made_again(folder: Path) -> None:
    settings: dict[str, Any] = {"size": 32, "sweeps": 1, "seed": 3, **FEW}
    render(folder / "my photo.png", folder / "style.png", **settings).save(folder / "first.png")
    made(folder, "again", "first.png", "-o", "second.png", "--quiet")
    assert np.array_equal(pixels(folder / "first.png"), pixels(folder / "second.png"))


def test_a_missing_file_is_named(folder: Path) -> None:
    made(folder, "render", "my photo.png", "style.png", "-o", "first.png", "--size=32", *QUICK)
    (folder / "my photo.png").unlink()
    done = run_cli(folder, "again", "first.png")
    assert done.returncode == 2
    assert "my photo.png" in done.stderr
    assert done.stderr.count("\n") == 1


@pytest.mark.parametrize(
    ("role", "missing", "option"), [("content", "my photo.png", ""), ("style", "style.png", "--style ")]
)
def test_a_picture_whose_photograph_or_style_lies_elsewhere_says_how_to_give_it(
    folder: Path, role: str, missing: str, option: str
) -> None:
    """Pictures store names without folders."""
    made(folder, "render", "my photo.png", "style.png", "-o", "first.png", "--size=32", *QUICK)
    (folder / "elsewhere").mkdir()
    (folder / missing).rename(folder / "elsewhere" / missing)
    stderr = run_cli(folder, "again", "first.png").stderr
    place = f"'FOLDER/{missing}'" if " " in missing else f"FOLDER/{missing}"
    assert stderr == (
        f"tilestyle: {role}: there is no file {missing}; pictures store no folders; "
        f"give its folder: tilestyle again first.png {option}{place}\n"
    )
    assert "check the path" in run_cli(folder, "again", "first.png", *option.split(), missing).stderr
    made(folder, "again", "first.png", *option.split(), f"elsewhere/{missing}", "-o", "second.png", "--quiet")
    assert np.array_equal(pixels(folder / "first.png"), pixels(folder / "second.png"))


@pytest.mark.parametrize(
    "words", [("again",), ("again", "--size=4"), ("again", "style.png"), ("again", "no.png")]
)
def test_what_cannot_be_made_again_is_one_line(folder: Path, words: tuple[str, ...]) -> None:
    done = run_cli(folder, *words)
    assert done.returncode == 2
    assert done.stderr.count("\n") == 1


def test_a_wrong_option_is_refused_by_the_command_it_is_for(folder: Path) -> None:
    made(folder, "render", "my photo.png", "style.png", "-o", "first.png", "--size=32", *QUICK)
    done = run_cli(folder, "again", "first.png", "--sise=40")
    assert done.returncode == 2
    assert "--size" in done.stderr


def test_unknown_settings_are_named(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    stored = {"command": "tilestyle render a.png", "settings": {"sed": 3}}
    monkeypatch.setattr("tilestyle.images.read_provenance", lambda path: stored)
    with pytest.raises(SettingError, match="did you mean 'seed'"):
        remembered_settings(folder / "style.png")


def test_every_stored_setting_is_read_back(folder: Path) -> None:
    """Settings that differ from the defaults survive the way into a picture and back."""
    from tilestyle.images import WriteOptions, as_source, picture_from, write_picture
    from tilestyle.pipeline.provenance import provenance

    config = RenderConfig(
        size=(64, 48), sweeps=(3, 2), seed=4, style_layers={"color_2": 2.0}, tileable="both", init="gray"
    )
    path = folder / "made.png"
    picture = picture_from(folder / "style.png")
    assert as_source(picture).height == 48
    options = WriteOptions(provenance=provenance(config, None, ["style.png"], "tilestyle texture style.png"))
    write_picture(path, picture, options=options)
    assert RenderConfig(**remembered_settings(path).settings) == config


def test_files_are_found_beside_the_picture_or_in_the_package(
    folder: Path, monkeypatch: pytest.MonkeyPatch, tmp_path_factory: pytest.TempPathFactory
) -> None:
    monkeypatch.chdir(tmp_path_factory.mktemp("elsewhere"))
    assert find_file("style.png", folder / "out.png") == folder / "style.png"
    assert find_file("swirls.jpg", folder / "out.png") == picture_path("swirls")
    assert find_file("/gone/nowhere.png", folder / "out.png") == Path("nowhere.png")


def test_help_with_a_picture_is_that_of_the_command_that_made_it(folder: Path) -> None:
    made(folder, "texture", "style.png", "-o", "first.png", "--size=32", *QUICK[:2], "--sweeps=1", "--quiet")
    done = run_cli(folder, "again", "first.png", "--help-all")
    assert done.returncode == 0
    assert done.stdout.splitlines()[0] == "Usage: tilestyle again first.png [OPTIONS]"
    assert "tilestyle texture" in done.stdout and "--tileable" in done.stdout
    assert "Arguments" not in done.stdout and "Required" not in done.stdout
    assert "again PICTURE --help-all" in " ".join(run_cli(folder, "again", "--help-all").stdout.split())
