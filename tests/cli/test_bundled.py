"""Bundled pictures and looks on the command line, and the commands that show and copy them."""

from __future__ import annotations

import contextlib
from pathlib import Path
from unittest import mock

import numpy as np
import pytest

from tests.support.cli import commands, run_cli
from tilestyle.cli.bundled import shown_name, with_bundled
from tilestyle.cli.file_roles import DEMO
from tilestyle.config.presets import look_names, preset_names
from tilestyle.config.toml import load_preset, load_settings
from tilestyle.errors import PictureError, SettingError
from tilestyle.images import read_picture, read_provenance, write_picture
from tilestyle.pictures import CREDIT_OF, NAMES, STYLES, bundled_name, file_name, picture_path

TINY = ("--size", "32", "--sweeps", "1", "-q")


def test_a_name_is_the_bundled_picture_unless_there_is_a_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    swirls = picture_path("swirls")
    (tmp_path / "swirls").mkdir()  # such as of a zoom: a folder is not a picture
    assert with_bundled(Path("swirls"), "style") == swirls
    assert with_bundled("swirls", "style") == str(swirls)
    assert with_bundled("swirls:#00ff00", "style") == f"{swirls}:#00ff00"
    (tmp_path / "mask.png").touch()
    assert with_bundled("swirls:mask.png", "style") == f"{swirls}:mask.png"
    (tmp_path / "facets").touch()
    assert with_bundled(Path("facets"), "style") == Path("facets")
    assert with_bundled(Path("photo.jpg"), "content") == Path("photo.jpg")
    assert (
        with_bundled("woodcut:woodcut-mask", "style")
        == f"{picture_path('woodcut')}:{picture_path('woodcut-mask')}"
    )
    assert with_bundled("noise", "init") == "noise"
    assert with_bundled("raccoon", "init") == str(picture_path("raccoon"))
    with pytest.raises(PictureError, match=r"style: there is no file swirl, .*did you mean swirls"):
        with_bundled(Path("swirl"), "style")
    with pytest.raises(
        PictureError, match=r"style: there is no file xyzzy, .* name; tilestyle pictures lists them"
    ):
        with_bundled("xyzzy", "style")
    assert with_bundled(Path("xyzzy"), "content", stored=True) == Path("xyzzy")
    assert with_bundled("xyzzy", "init") == "xyzzy"  # which may be a misspelled kind of start
    assert shown_name(swirls) == bundled_name(swirls) == "swirls"
    assert shown_name(Path("swirls.jpg")) == "swirls.jpg"


def test_a_look_has_its_style_and_can_be_repeated_elsewhere(tmp_path: Path) -> None:
    done = run_cli(
        tmp_path, "render", "coffee", "--preset", "ink", *TINY, "-o", "a.png", "--save-config", "a.toml"
    )
    assert done.returncode == 0, done.stderr
    made = read_provenance(tmp_path / "a.png")
    assert made is not None
    assert (made["content"], made["style"]) == ("coffee.jpg", "inkwash.jpg")
    assert str(picture_path("coffee").parent) not in (tmp_path / "a.toml").read_text()
    assert load_settings(tmp_path / "a.toml").run["content"] == "coffee"
    done = run_cli(tmp_path, "render", "--config", "a.toml", "-q", "-o", "b.png")
    assert done.returncode == 0, done.stderr
    (tmp_path / "look.toml").write_text(run_cli(tmp_path, "presets", "ink").stdout)
    done = run_cli(tmp_path, "render", "coffee", "--config", "look.toml", *TINY, "-o", "c.png")
    assert done.returncode == 0, done.stderr
    done = run_cli(tmp_path, "render", "coffee", "--preset", "ink", "--style", "swirls", *TINY, "-o", "d.png")
    assert done.returncode == 0, done.stderr
    pixels = {name: read_picture(tmp_path / f"{name}.png").pixels for name in "abcd"}
    assert np.array_equal(pixels["a"], pixels["b"])
    assert np.array_equal(pixels["a"], pixels["c"])
    assert not np.array_equal(pixels["a"], pixels["d"])


@pytest.mark.parametrize("command", ["render", "preview", "sheet", "video"])
def test_a_missing_style_is_one_line(tmp_path: Path, command: str) -> None:
    done = run_cli(tmp_path, command, *(["coffee"] if command != "preview" else []), "-o", "a.png")
    assert done.returncode == 2
    assert done.stderr.startswith("tilestyle: no style image")
    assert "tilestyle looks" in done.stderr
    assert len(done.stderr.splitlines()) == 1


def test_every_look_is_listed_and_has_a_bundled_style(tmp_path: Path) -> None:
    assert 5 <= len(look_names()) <= 8
    assert set(look_names()) < set(preset_names())
    shown = run_cli(tmp_path, "presets").stdout
    for name in look_names():
        assert load_preset(name).style in STYLES
        assert not {"size", "quality", "sweeps", "seed"} & load_preset(name).settings.keys()
        assert shown.index(name) < shown.index("gatys")
    (tmp_path / "mine.toml").write_text('style = "swirl"')
    with pytest.raises(SettingError, match="style cannot be 'swirl'"):
        load_settings(tmp_path / "mine.toml")


def test_the_bundled_pictures_are_listed_and_copied(tmp_path: Path) -> None:
    assert set(CREDIT_OF) == set(NAMES)
    shown = run_cli(tmp_path, "pictures").stdout
    assert all(name in shown for name in NAMES)
    done = run_cli(tmp_path, "pictures", "--to", "new/folder")
    assert done.returncode == 0, done.stderr
    folder = tmp_path / "new" / "folder"
    assert {file.name for file in folder.iterdir()} == {*map(file_name, NAMES), "CREDITS.md"}
    (folder / "weave.jpg").unlink()
    assert "copied 1 file to" in run_cli(tmp_path, "pictures", "--to", "new/folder").stderr
    (folder / "weave.jpg").unlink()
    (folder / "coffee.jpg").write_bytes(b"mine")
    done = run_cli(tmp_path, "pictures", "--to", "new/folder")
    assert done.returncode == 2
    assert "coffee.jpg exists and is not the included picture" in done.stderr
    assert (folder / "coffee.jpg").read_bytes() == b"mine"
    assert not (folder / "weave.jpg").exists()


def test_a_stopped_sheet_of_looks_shows_what_there_is_and_is_continued(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tilestyle.recipes.looks.look_names", lambda: ["ink"])
    monkeypatch.setattr("tilestyle.recipes.looks.STYLES", ("swirls", "facets"))
    begun = 0

    def asked() -> bool:
        nonlocal begun
        begun += 1
        return begun > 2

    words = ["looks", "coffee", *TINY[:4]]
    with mock.patch("tilestyle.cli.display.stop_on_interrupt", lambda **_: contextlib.nullcontext(asked)):
        stopped = run_cli(tmp_path, *words)
    assert stopped.returncode == 130, stopped.stderr
    assert "stopped: coffee-looks.png shows 2 of 3 looks" in stopped.stderr
    partial = read_picture(tmp_path / "coffee-looks.png").pixels
    done = run_cli(tmp_path, *words)
    assert done.returncode == 0, done.stderr
    assert read_picture(tmp_path / "coffee-looks.png").pixels.mean() < partial.mean()  # less white
    assert [file.name for file in tmp_path.iterdir()] == ["coffee-looks.png"]


def test_one_style_is_shown_in_several_strengths() -> None:
    from tilestyle.config.render import RenderConfig
    from tilestyle.recipes.looks import one_style

    sheet = one_style(picture_path("coffee"), picture_path("swirls"), RenderConfig(size=32))
    settings = {(cell.config.strength, cell.config.style_scale) for cell in sheet.cells()}
    assert len(settings) == len(sheet.looks) >= 6
    assert sheet.looks[0].words == f"--strength {sheet.looks[0].config.strength:g}"
    assert all("--style-scale" in look.words for look in sheet.looks if look.config.style_scale != 1)
    pictures = [read_picture(picture_path("coffee"))] * 3
    assert sheet.sheet(pictures, "title").height > 2 * pictures[0].height


def test_the_sheet_of_the_demo_shows_what_was_made(tmp_path: Path) -> None:
    from tilestyle.cli.commands import demo

    names = [f"{content}-{style}" for content, style in demo.RENDERS] + [f"texture-{demo.TEXTURE}"]
    for name in names:
        write_picture(tmp_path / f"{name}.png", np.zeros((20, 30, 3), np.float32))
    demo.write_sheet(tmp_path)
    assert all(DEMO.fullmatch(file.name) for file in tmp_path.iterdir())
    assert read_picture(tmp_path / demo.SHEET).width > 2 * demo.SHEET_SIDE
    for words in demo.NEXT:  # they can be typed as they are
        command, picture, *_ = words.split()
        assert command in commands().commands and picture in NAMES


def test_every_option_that_takes_a_picture_takes_a_name(tmp_path: Path) -> None:
    quick = ("--size", "48", "--sweeps", "1", "--network", "wavelet", "-q")
    for words in (
        ("render", "coffee", "swirls:#0000ff", "--mask", "coffee-mask", "--init", "raccoon", "-o", "a.png"),
        ("texture", "woodcut:woodcut-mask", "--mask=landscape-mask", "--style-scale=0.1", "-o", "b.png"),
        ("texture", "facets", "swirls", "--blend-map", "ramp", "--style-scale", "0.1", "-o", "c.png"),
    ):
        done = run_cli(tmp_path, *words, *quick)
        assert done.returncode == 0, done.stderr
    stored = read_provenance(tmp_path / "a.png")
    assert stored is not None
    assert stored["settings"]["mask"] == "coffee-mask.png"  # type: ignore[index, call-overload]
    done = run_cli(tmp_path, "again", "a.png", "-q", "-o", "d.png")
    assert done.returncode == 0, done.stderr
    done = run_cli(tmp_path, "render", "coffee", "swirls:#0000ff", "--mask", "cofee-mask", "-o", "e.png")
    assert "did you mean coffee-mask" in done.stderr
