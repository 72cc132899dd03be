"""Comparison sheets, and settings varied by text."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from tests.conftest import waves
from tests.support.cli import run_cli
from tilestyle.config.enums import Color, NetworkName, Precision
from tilestyle.config.render import RenderConfig
from tilestyle.config.variations import parse_variation
from tilestyle.errors import LayerError, SettingError, WorkError
from tilestyle.images import CaptionedRow, Picture, draw_captioned_rows, read_provenance
from tilestyle.pipeline import api
from tilestyle.pipeline.workdir import Work
from tilestyle.recipes.comparison import Comparison, discard_cells, render_cells

CONFIG = RenderConfig(
    size=64,
    sweeps=3,
    margin=8,
    coarsest=64,
    precision=Precision.FP32,
    network=NetworkName.WAVELET,
    style_layers={"color_1": 1},
)


@pytest.fixture
def files(tmp_path: Path) -> tuple[Path, Path]:
    """A content and a style."""
    paths = tmp_path / "content.png", tmp_path / "style.png"
    for seed, path in enumerate(paths):
        pixels = (waves(60, 80, seed).permute(1, 2, 0).numpy() * 255).astype(np.uint8)
        Image.fromarray(pixels).save(path)
    return paths


@pytest.mark.parametrize(
    ("text", "setting", "values"),
    [
        ("content-weight=0.03,3", "content_weight", [0.03, 3.0]),
        (
            "style-layer=first_1,first_2=0.5+color_1",
            "style_layers",
            [{"first_1": 1}, {"first_2": 0.5, "color_1": 1}],
        ),
        ("network=vgg19,wavelet", "network", [NetworkName.VGG19, NetworkName.WAVELET]),
        ("sweeps=40,20+10", "sweeps", [40, (20, 10)]),
        ("scale-odds=1,0.9+0.1", "scale_odds", [(1.0,), (0.9, 0.1)]),
        ("tileable=none,x", "tileable", [None, "x"]),
        ("keep-content=yes,no", "keep_content", [True, False]),
        ("turn-style=true,False,on,off", "turn_style", [True, False, True, False]),
        ("--color=luminance", "color", [Color.LUMINANCE]),
        ("init=noise,start.png", "init", ["noise", "start.png"]),
        ("content-map=none,soft.png", "content_map", [None, "soft.png"]),
        ("anchor=none,low.png", "anchor", [None, "low.png"]),
        ("size=64,300x400", "size", [64, (300, 400)]),
    ],
)
def test_every_kind_of_setting_is_read(text: str, setting: str, values: list[Any]) -> None:
    found = parse_variation(text)
    assert found.setting == setting
    assert [value for _, value in found.values] == values
    assert getattr(found.apply(RenderConfig(), 0), setting) == values[0]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("x=1", "no setting 'x' to vary; give an option of a render, such as"),
        ("contnt-weight=1", "no setting 'contnt-weight' to vary; did you mean 'content-weight'"),
        ("color=sepia", "color cannot be 'sepia'; give one of style, content, luminance"),
        ("seed=one", "seed cannot be 'one'; give a number"),
        ("turn-style=maybe", "turn-style cannot be 'maybe'; give yes or no"),
        ("seed", "no values in 'seed'; give values, such as seed=1,2"),
        ("seed=1,,2", "no values in"),
        ("size=300+400", "invalid size '300\\+400'; give a long side such as 2048 or 4k"),
    ],
)
def test_what_cannot_be_varied_is_refused(text: str, message: str) -> None:
    with pytest.raises(SettingError, match=message):
        parse_variation(text)


def test_a_sheet_has_captions_and_every_picture_whole() -> None:
    black, gray = (Picture(np.full((40, 60, 3), value, np.float32)) for value in (0, 0.5))
    plain = draw_captioned_rows([CaptionedRow([("", gray), ("", gray)])])
    rows = [CaptionedRow([("one", gray), ("two", gray)]), CaptionedRow([("", gray)], "label")]
    sheet = draw_captioned_rows(rows)
    assert (plain.height, plain.width) == (40 + 24, 2 * 60 + 36)
    assert sheet.width > plain.width and sheet.height > 2 * 40 + 36
    levels = (np.abs(sheet.pixels - 0.5) < 0.01).all(2).sum()
    assert levels >= 3 * gray.height * gray.width
    assert (sheet.pixels < 0.3).any()  # letters
    assert not (plain.pixels < 0.3).any()
    assert (draw_captioned_rows([CaptionedRow([("", black)])]).pixels == 0).all(
        2
    ).sum() == black.height * black.width


def test_a_grid_has_a_cell_for_every_pair(files: tuple[Path, Path], tmp_path: Path) -> None:
    variations = [parse_variation("content-weight=0.1,1,3"), parse_variation("seed=1,2")]
    task = Comparison(*files, CONFIG, variations)
    assert [(each.content_weight, each.seed) for each in task.configs()] == [
        (weight, seed) for seed in (1, 2) for weight in (0.1, 1, 3)
    ]
    found = render_cells(task, tmp_path / "work")
    assert len(found) == 6
    assert not np.array_equal(found[0].pixels, found[2].pixels)
    sheet = task.sheet(found)
    assert sheet.width > 3 * 64 and sheet.height > 3 * 48
    assert Comparison(*files, CONFIG).sheet(found[:1]).width > 3 * 64


def test_finished_cells_are_kept(
    files: tuple[Path, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    task = Comparison(*files, CONFIG, [parse_variation("seed=1,2,3")])
    begun: list[int] = []

    def begin(number: int, count: int) -> None:
        begun.append(number)

    folder = tmp_path / "work"
    assert len(render_cells(task, folder, begin, lambda: len(begun) > 1)) == 1
    first = render_cells(task, folder, begin)
    assert begun == [1, 2, 2, 3]
    monkeypatch.setattr("tilestyle.pipeline.api.render", None)
    again = render_cells(task, folder, begin)
    assert all(np.array_equal(one.pixels, other.pixels) for one, other in zip(first, again, strict=True))
    (folder / "else").touch()
    (folder / "cell-of-a-person.png").touch()
    discard_cells(folder)
    assert sorted(os.listdir(folder)) == ["cell-of-a-person.png", "else"]


@pytest.mark.parametrize("damage", ["cut", "swap", "list", "gone"])
def test_a_damaged_cell_is_rendered_again(files: tuple[Path, Path], tmp_path: Path, damage: str) -> None:
    task, begun = Comparison(*files, CONFIG, [parse_variation("seed=1,2")]), list[int]()
    first = render_cells(task, tmp_path / "work")
    one, other = sorted((tmp_path / "work").glob("cell-*.png"))
    if damage == "cut":
        one.write_bytes(one.read_bytes()[:100])
    elif damage == "swap":
        one.write_bytes(other.read_bytes())
    elif damage == "list":
        (tmp_path / "work" / "cells.json").write_text("[[[")
    else:
        one.unlink()
    again = render_cells(task, tmp_path / "work", lambda number, count: begun.append(number))
    assert len(begun) == (2 if damage == "list" else 1)
    assert all(np.array_equal(a.pixels, b.pixels) for a, b in zip(first, again, strict=True))


def test_a_folder_with_anything_else_is_refused(files: tuple[Path, Path], tmp_path: Path) -> None:
    task = Comparison(*files, CONFIG)
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "cell-1.png").write_bytes(b"mine")
    for call in (lambda: render_cells(task, tmp_path / "mine"), lambda: discard_cells(tmp_path / "mine")):
        with pytest.raises(WorkError, match="not a work folder"):
            call()
    api.render(files[0], files[1], CONFIG, work=Work(tmp_path / "work", keep=True))
    before = sorted(os.listdir(tmp_path / "work"))
    for call in (lambda: render_cells(task, tmp_path / "work"), lambda: discard_cells(tmp_path / "work")):
        with pytest.raises(WorkError, match="another command"):
            call()
    assert sorted(os.listdir(tmp_path / "work")) == before


def test_what_cannot_be_rendered_is_refused_before_anything_is(files: tuple[Path, Path]) -> None:
    with pytest.raises(LayerError, match="no layer 'frist_1'"):
        Comparison(*files, CONFIG, [parse_variation("style-layer=first_1,frist_1")])
    with pytest.raises(SettingError, match="content-weight cannot be -1"):
        Comparison(*files, CONFIG, [parse_variation("content-weight=1,-1")])
    with pytest.raises(SettingError, match="one or two settings"):
        Comparison(*files, CONFIG, [parse_variation("seed=1,2"), parse_variation("seed=3,4")])


def test_the_command_writes_one_file(files: tuple[Path, Path], tmp_path: Path) -> None:
    words = [
        "sheet",
        "content.png",
        "--style",
        "style.png",
        "-o",
        "sheet.png",
        "--vary",
        "content-weight=0.1,1",
    ]
    ended = run_cli(tmp_path, *words, "--size", "64", "--sweeps", "1", "--preset", "draft")
    assert ended.returncode == 0, ended.stderr
    assert "wrote sheet.png" in ended.stderr
    assert sorted(os.listdir(tmp_path)) == ["content.png", "sheet.png", "style.png"]
    made = read_provenance(tmp_path / "sheet.png")
    assert made is not None
    assert isinstance(made["settings"], dict)
    assert (made["settings"]["quality"], made["settings"]["size"]) == ("draft", 64)
