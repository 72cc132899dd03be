"""Prints and previews from the command line: files as a printer takes them, mistakes in one line."""

from __future__ import annotations

import os
import re
import sys
from pathlib import Path

import numpy as np
import pytest
import pyvips
import tifffile
from PIL import Image

from tests.conftest import waves
from tests.support.cli import main
from tilestyle.cli.parsing import parse_positions
from tilestyle.config.enums import SUFFIXES, Format
from tilestyle.errors import SettingError
from tilestyle.images import inspect_picture, open_proof, read_picture, read_provenance, with_format_suffix
from tilestyle.images.color_management import srgb_profile


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where a command runs: with a content, a style, and a press."""
    for name, pixels in (("content.png", waves(60, 80)), ("style.png", waves(90, 70, 1))):
        Image.fromarray((pixels.permute(1, 2, 0).numpy() * 255).astype(np.uint8)).save(tmp_path / name)
    (tmp_path / "press.icc").write_bytes(bytes(pyvips.Operation.call("profile_load", "cmyk")))
    (tmp_path / "srgb.icc").write_bytes(srgb_profile())
    monkeypatch.chdir(tmp_path)
    return tmp_path


def run(monkeypatch: pytest.MonkeyPatch, *words: str) -> int:
    """The exit code of a command."""
    monkeypatch.setattr(sys, "argv", ["tilestyle", *words])
    with pytest.raises(SystemExit) as ended:
        main()
    return int(ended.value.code or 0)


RENDER = ("render", "content.png", "-s", "style.png", "--sweeps", "1", "-q", "-o")


def test_a_print_is_as_large_as_its_paper(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    words = ["--print", "40x30mm", "--dpi", "72", "--bleed", "3mm", "--stroke", "1mm", "--depth", "16"]
    words += ["--compression", "zstd", "--proof", "press.icc", "--intent", "perceptual"]
    assert run(monkeypatch, *RENDER, "o.tif", *words) == 0
    found = inspect_picture("o.tif")
    assert (found.width, found.height, found.depth, found.dpi) == (113 + 18, 85 + 18, 16, (72, 72))
    with tifffile.TiffFile("o.tif") as file:
        assert file.pages.first.compression == tifffile.COMPRESSION.ZSTD
    pixels = read_picture("o.tif").pixels
    again = open_proof("press.icc")(pixels)
    assert np.abs(again - pixels).mean() < 0.01  # what is printable already stays
    made = read_provenance("o.tif")
    assert made is not None and isinstance(made["settings"], dict)
    assert made["settings"]["enlarge_style"] is True
    assert "--bleed 3mm" in str(made["command"])


def test_what_the_paper_crops_is_told(
    folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ("render", "content.png", "style.png", "--sweeps", "1", "--network", "wavelet", "--dpi", "40")
    lines = {
        "30x40mm": r"30x40mm crops 4\d % of the picture: give --print 40x30mm to turn the paper, or",
        "40x20mm": r"40x20mm crops 3\d % of the picture: give --fit contain to keep all of it",
        "40x30mm": None,  # as it is
    }
    for paper, line in lines.items():
        assert run(monkeypatch, *words, "--print", paper) == 0
        said = capsys.readouterr().err
        assert re.search(line, said) if line else ("crops" not in said)


def test_strokes_are_told(
    folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ["texture", "style.png", "-o", "o.png", "--size", "64", "--sweeps", "1", "--stroke", "30%"]
    assert run(monkeypatch, *words) == 0
    assert "strokes of 30%: style scale" in capsys.readouterr().err
    assert run(monkeypatch, "info", "style.png") == 0
    assert "of the long side" in capsys.readouterr().out


def test_deep_zoom_by_its_name_alone(
    folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(monkeypatch, *RENDER, "poster", "--format", "dzi", "--size", "64") == 0
    assert (folder / "poster.dzi").exists() and (folder / "poster_files").is_dir()
    assert run(monkeypatch, "info", "poster.dzi") == 0
    shown = capsys.readouterr().out
    assert "64 x 48" in shown and "tiles" in shown and "made: command" in shown
    assert "would require" not in shown


def test_names_and_formats() -> None:
    assert with_format_suffix("a.b", Format.TIFF) == Path("a.b.tif")
    assert with_format_suffix("a", None) == Path("a")
    assert with_format_suffix("x/a.jpeg", Format.JPEG) == Path("x/a.jpeg")
    assert {with_format_suffix("a", form).suffix for form in Format} <= set(SUFFIXES)


def test_transparency_is_kept_without_what_it_hid(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    y, x = np.mgrid[:60, :80]
    seen = np.hypot(y - 30, x - 40) < 25
    pixels = np.asarray(Image.open("content.png")).copy()
    pixels[...] = (200, 180, 160)
    outputs = []
    for hidden in (0, 255):  # what is hidden must not matter
        pixels[~seen] = hidden
        Image.fromarray(np.dstack([pixels, (255 * seen).astype(np.uint8)])).save("content.png")
        assert run(monkeypatch, *RENDER, "o.png", "--overwrite", "--size", "160") == 0
        outputs.append(read_picture("o.png"))
    assert outputs[0].alpha is not None
    assert outputs[0].alpha[60, 80] == 1 and outputs[0].alpha[0, 0] == 0
    np.testing.assert_array_equal(outputs[0].pixels, outputs[1].pixels)
    assert outputs[0].pixels[0, 0].min() > 0.2  # no black under what is hidden


def test_a_preview_is_a_sheet_and_crops(
    folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ["--style", "style.png", "-o", "o.png", "--print", "40x30mm", "--dpi", "100", "--sweeps", "1"]
    words += ["--preview-size", "96", "--crop-size", "40", "--at", "0.5,0.5", "--at", "0.1,0.9"]
    assert run(monkeypatch, "preview", "content.png", *words) == 0
    shown = capsys.readouterr().err
    assert "wrote o-crop-2.png: 40 x 40 at 0,78" in shown
    for number in (1, 2):
        crop = inspect_picture(f"o-crop-{number}.png")
        assert (crop.width, crop.height) == (40, 40)
        assert crop.dpi is not None and round(crop.dpi[0]) == 100
    assert inspect_picture("o.png").height == 72 + 12 + 40
    assert run(monkeypatch, "preview", *words, "-q", "--overwrite") == 0  # a texture
    assert capsys.readouterr().err == ""


def test_a_picture_three_pixels_high(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert run(monkeypatch, *RENDER, "o.png", "--size", "200x3") == 0
    assert inspect_picture("o.png").height == 3


def test_a_strip_of_a_hundred_thousand_pixels(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    strip = np.random.default_rng(0).integers(0, 256, (40, 1000, 3), dtype=np.uint8).repeat(100, axis=1)
    Image.fromarray(strip).save("content.png")
    assert run(monkeypatch, *RENDER, "o.png", "--print", "40x30mm", "--dpi", "60") == 0
    assert inspect_picture("o.png").width == 94
    assert run(monkeypatch, *RENDER, "o.png", "--overwrite", "--size", "300") == 0
    assert (inspect_picture("o.png").width, inspect_picture("o.png").height) == (300, 1)


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ([*RENDER, "o.png", "--print", "A4", "--size", "90"], "print and size both"),
        ([*RENDER, "o.png", "--print", "A11"], "invalid print size 'A11'"),
        ([*RENDER, "o.png", "--print", "A4", "--bleed", "3"], "invalid bleed '3'"),
        ([*RENDER, "o.png", "--bleed", "3mm"], "give --print"),
        ([*RENDER, "o.png", "--stroke", "4mm"], "give --print or --dpi"),
        ([*RENDER, "o.png", "--stroke", "1%", "--style-scale", "2"], "give one of them"),
        ([*RENDER, "o.png", "--proof", "srgb.icc"], "give one for CMYK"),
        ([*RENDER, "o.png", "--proof", "content.png"], "not an ICC profile"),
        ([*RENDER, "o.jpg", "--print", "600x10cm"], "exceed the limit of JPEG, 65500 pixels per side"),
        ([*RENDER, "o.jpg", "--format", "tiff"], "is not that of TIFF"),
        ([*RENDER, "o.jpg", "--depth", "16"], "JPEG cannot hold 16 bits"),
        ([*RENDER, "o.tif", "--depth", "16", "--compression", "jpeg"], "use zstd or deflate"),
        ([*RENDER, "o.png", "--dpi", "0"], "out of range"),
        (["render", "cut.tif", "-s", "style.png", "-o", "o.png"], "cut.tif"),
        (["render", "content.png", "-s", "cut.tif", "-o", "o.png"], "cut.tif"),
        (["render", "x.dzi", "-s", "style.png", "-o", "o.png"], "there is no file"),
        (["render", "tiles.dzi", "-s", "style.png", "-o", "o.png"], "cannot be used as an input"),
        (["preview", "content.png", "-s", "style.png", "-o", "o.png", "--at", "middle"], "invalid position"),
        (["preview", "content.png", "-s", "style.png", "-o", "o.png", "--at", "2,0"], "outside the picture"),
        (["preview", "content.png", "-s", "style.png", "-o", "o.png", "--crops", "99"], "99 crops"),
        (["preview", "content.png", "-s", "style.png", "-o", "content.png/o.png"], "not a folder"),
    ],
)
def test_a_mistake_gets_one_line(
    folder: Path,
    words: list[str],
    message: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    tifffile.imwrite("whole.tif", np.zeros((300, 400, 3), np.uint8), photometric="rgb", tile=(64, 64))
    content = Path("whole.tif").read_bytes()
    Path("cut.tif").write_bytes(content[: len(content) // 2])
    Path("tiles.dzi").write_text(
        '<Image xmlns="http://schemas.microsoft.com/deepzoom/2008" TileSize="254" Overlap="1" Format="jpg">'
        '<Size Width="90" Height="80"/></Image>'
    )
    assert run(monkeypatch, *words) == 2
    shown = capsys.readouterr().err
    assert shown.startswith("tilestyle: ") and message in shown
    assert shown.count("\n") == 1
    assert not list(folder.glob("o.*"))


@pytest.mark.skipif(os.name != "posix" or os.geteuid() == 0, reason="root may write anywhere")
def test_a_folder_that_may_only_be_read(
    folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (folder / "closed").mkdir(mode=0o500)
    assert run(monkeypatch, *RENDER, "closed/o.png") == 2
    assert "choose a folder you may write to" in capsys.readouterr().err


def test_places() -> None:
    assert parse_positions(["0.25,0.5", "1,0"]) == ((0.5, 0.25), (0.0, 1.0))
    assert parse_positions(None) == ()
    for wrong in ("0.5", "a,b", "1,2,3"):
        with pytest.raises(SettingError, match="invalid position"):
            parse_positions([wrong])


def test_a_preview_shows_the_colors_of_the_file_on_the_screen(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    Image.new("RGB", (80, 60), (0, 0, 255)).save("blue.png")
    words = ["preview", "blue.png", "blue.png", "--sweeps", "1", "-q", "--size", "96", "--crops", "1"]
    words += ["--preview-size", "64", "--crop-size", "64"]
    assert run(monkeypatch, *words, "-o", "plain.png") == 0
    assert run(monkeypatch, *words, "-o", "print.png", "--profile", "press.icc") == 0
    assert run(monkeypatch, *words, "-o", "wide.png", "--profile", "display-p3") == 0
    for name in ("print-crop-1.png", "print.png"):
        assert inspect_picture(name).profile == inspect_picture("plain.png").profile
        plain = read_picture(name.replace("print", "plain")).pixels
        printed = read_picture(name).pixels
        assert np.abs(printed - open_proof("press.icc")(plain)).max() < 2 / 255
        assert np.abs(printed - plain).max() > 0.1  # no press prints that blue
        wide = read_picture(name.replace("print", "wide")).pixels
        assert np.abs(wide - plain).max() < 2 / 255  # all of sRGB is in it


def test_a_dry_run_of_a_preview_takes_the_profile_of_a_press(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    words = ["preview", "content.png", "style.png", "-o", "o.png", "--profile", "press.icc", "--dry-run"]
    assert run(monkeypatch, *words) == 0
