"""Settings in files come back as they went, options win, and what cannot be is said in one line."""

from __future__ import annotations

import dataclasses
import sys
from enum import StrEnum
from pathlib import Path
from typing import Any, get_args, get_type_hints

import numpy as np
import pytest
from PIL import Image

from tests.conftest import waves
from tests.support.cli import main
from tilestyle.config.render import RenderConfig
from tilestyle.config.toml import load_settings, matches_type, merge_settings, save_settings
from tilestyle.errors import OutputError, SettingError
from tilestyle.images import read_provenance

# What makes a field's example possible, or is one where its type suggests none.
BESIDE: dict[str, dict[str, Any]] = {
    "history": {"optimizer": "lbfgs"},
    "pooling_scale": {"network": "vgg19"},
    "input_scaling": {"network": "vgg19"},
    "feature_scale": {"network": "vgg19"},
    "trust": {"anchor": Path("anchor.png").absolute()},
}
EXAMPLES: dict[str, list[Any]] = {
    "size": [700, (300, 400)],
    "sweeps": [7, (9, 4, 1)],
    "scale_odds": [(0.75, 0.25)],
    "style_blend": [(0.3, 0.7)],
    "mask": [Path("mask.png")],
    "anchor": [Path("anchor.png")],
    "trust": [Path("trust.png")],
    "blend_map": [Path("map.png")],
    "content_map": [Path("soft.png")],
    "weights": [Path("weights/vgg.safetensors"), "random"],
    "init": ["noise", Path("start.png")],
    "memory": ["2GiB", 10**9],
    "host_memory": ["3GiB"],
    "style_layers": [{"first_1": 0.1, "color_2": 3.0}],
    "content_layers": [{"contour_1": 1.0}],
    "keep_content": [True, False],
    "device": ["cpu"],
    "level_ratio": [1.75],
}


def guesses(field: dataclasses.Field[Any]) -> list[Any]:
    """Values of a field that are not its default, by its type."""
    hint = get_type_hints(RenderConfig)[field.name]
    kinds = [part for part in (get_args(hint) or (hint,)) if isinstance(part, type)]
    default = field.default
    found: list[Any] = []
    for kind in kinds:
        if issubclass(kind, StrEnum):
            found += [each for each in kind if each != default]
        elif kind is bool:
            found.append(not default)
        elif kind is int:
            found.append((default if isinstance(default, int) else 0) + 3)
        elif kind is float:
            found.append((default if isinstance(default, float) else 0.0) + 1 / 3)
        elif kind is str:
            found.append("a word")
    return found


@pytest.mark.parametrize("field", dataclasses.fields(RenderConfig), ids=lambda field: str(field.name))
def test_every_setting_comes_back_as_it_went(field: dataclasses.Field[Any], tmp_path: Path) -> None:
    examples = EXAMPLES.get(field.name) or guesses(field)
    assert examples, f"give an example of {field.name}"
    for value in examples:
        value = tmp_path / value if isinstance(value, Path) else value
        config = RenderConfig(**{field.name: value, **BESIDE.get(field.name, {})})
        save_settings(tmp_path / "settings.toml", config)
        again = merge_settings(load_settings(tmp_path / "settings.toml").settings)
        assert again == config != RenderConfig()
        assert type(getattr(again, field.name)) is type(getattr(config, field.name)) or isinstance(value, Path)


def test_files_are_told_from_the_folder_of_the_settings(tmp_path: Path) -> None:
    (tmp_path / "kept").mkdir()
    file = tmp_path / "kept" / "run.toml"
    save_settings(
        file, RenderConfig(init=tmp_path / "start.png"), "render", {"style": tmp_path / "s.jpg", "depth": 16}
    )
    assert str(tmp_path) not in file.read_text()
    (tmp_path / "elsewhere").mkdir()
    moved = file.rename(tmp_path / "elsewhere" / "run.toml")
    stored = load_settings(moved)
    assert stored.settings["init"] == tmp_path / "start.png"
    assert stored.run == {"style": tmp_path / "s.jpg", "depth": 16}
    assert stored.command == "render"
    with pytest.raises(OutputError, match="cannot write"):
        save_settings(tmp_path / "nowhere" / "run.toml", RenderConfig())
    with pytest.raises(SettingError, match="init is not a file"):
        save_settings(file, RenderConfig(init=waves(4, 4)))  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("x = 2", "no setting 'x' in .*; --save-config FILE writes all of them"),
        ("styel_weight = 2", "no setting 'styel_weight'.*did you mean 'style_weight'"),
        ("style_weight = 'much'", "style_weight cannot be 'much'"),
        ("seed = true", "seed cannot be True"),
        ("sweeps = [3, 'four']", "sweeps cannot be"),
        ("size = [1, 2, 3]", "size cannot be"),
        ("size = '40 x 30 cm'", "size cannot be '40 x 30 cm' in .*wrong.toml; give a long side"),
        ("seed = ", "is not valid TOML"),
    ],
)
def test_what_cannot_be_is_said(text: str, message: str, tmp_path: Path) -> None:
    file = tmp_path / "wrong.toml"
    file.write_text(text)
    with pytest.raises(SettingError, match=message):
        load_settings(file)
    with pytest.raises(SettingError, match="there is no file"):
        load_settings(tmp_path / "none.toml")


@pytest.mark.parametrize("text", ['"400x300"', "[300, 400]"], ids=["text", "list of an older version"])
def test_sizes_in_files_are_width_by_height(text: str, tmp_path: Path) -> None:
    file = tmp_path / "settings.toml"
    file.write_text(f"size = {text}")
    config = merge_settings(load_settings(file).settings)
    assert config.size == (400, 300)
    save_settings(file, config)
    assert 'size = "400x300"' in file.read_text()


def test_types_of_settings() -> None:
    assert matches_type((1, 2), int | tuple[int, int] | None)
    assert not matches_type((1, 2, 3), int | tuple[int, int] | None)
    assert matches_type({"a": 1}, dict[str, float])
    assert not matches_type({"a": "1"}, dict[str, float])
    assert matches_type(1, float)
    assert not matches_type(1.5, int)


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with a content and a style, to work in."""
    for name, pixels in (("content.png", waves(60, 80)), ("style.png", waves(90, 70, 1))):
        Image.fromarray((pixels.permute(1, 2, 0).numpy() * 255).astype(np.uint8)).save(tmp_path / name)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def tilestyle(monkeypatch: pytest.MonkeyPatch, *words: str) -> None:
    monkeypatch.setattr(sys, "argv", ["tilestyle", *words])
    with pytest.raises(SystemExit) as ended:
        main()
        sys.exit(0)
    assert ended.value.code in (0, None)


def settings_of(name: str) -> dict[str, Any]:
    made = read_provenance(Path(name))
    assert made is not None
    found = made["settings"]
    assert isinstance(found, dict)
    return found


RENDER = ["render", "content.png", "-s", "style.png", "-q"]
QUICK = ["--size", "64", "--sweeps", "2"]


def test_styles_and_their_masks_are_kept(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (folder / "kept").mkdir()
    Image.new("RGB", (40, 40), "#ff0000").save("mask.png")
    words = ["-s", "style.png:mask.png", "-s", "content.png:#ff0000", "--mask", "mask.png", *QUICK]
    command = ["render", "content.png", "-q", *words, "-o", "one.png"]
    tilestyle(monkeypatch, *command, "--save-config", "kept/run.toml")
    monkeypatch.chdir(folder / "kept")
    tilestyle(monkeypatch, "render", "--config", "run.toml", "-o", "two.png", "-q")
    one, two = Image.open(folder / "one.png"), Image.open("two.png")
    assert one.tobytes() == two.tobytes()


def test_a_run_that_was_kept_is_made_again(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (folder / "kept").mkdir()
    words = [
        *QUICK,
        "--network",
        "wavelet",
        "--seed",
        "9",
        "--depth",
        "16",
        "--style-layer",
        "first_1=0.5",
        "--style-layer",
        "color_1",
    ]
    tilestyle(monkeypatch, *RENDER, *words, "-o", "one.png", "--save-config", "kept/run.toml")
    assert str(folder) not in (folder / "kept" / "run.toml").read_text()
    monkeypatch.chdir(folder / "kept")
    tilestyle(monkeypatch, "render", "--config", "run.toml", "-o", "two.png", "-q")
    one, two = Image.open(folder / "one.png"), Image.open(folder / "kept" / "two.png")
    assert one.mode == two.mode
    assert one.tobytes() == two.tobytes()
    # Options that are given win, files among them.
    tilestyle(monkeypatch, "render", "--config", "run.toml", "-o", "three.png", "-q", "--seed", "3")
    assert Image.open("three.png").tobytes() != two.tobytes()
    assert settings_of("three.png")["seed"] == 3
    assert settings_of("three.png")["style_layers"] == {"first_1": 0.5, "color_1": 1.0}


def test_options_win_over_a_file_and_a_file_over_a_preset(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (folder / "mine.toml").write_text("tv_weight = 0.5\nseed = 5\n")
    preset = ["--preset", "poster", "--config", "mine.toml"]
    tilestyle(monkeypatch, *RENDER, *QUICK, "-o", "one.png", *preset, "--seed", "6")
    assert settings_of("one.png") == {"size": 64, "sweeps": 2, "tv_weight": 0.5, "seed": 6}
    # A quality that is asked for says how many sweeps.
    few = ["--size", "32", "--network", "wavelet", "--style-layer", "first_1", "--content-layer", "contour_1"]
    tilestyle(monkeypatch, *RENDER, *few, "-o", "two.png", "--preset", "poster", "--quality", "draft")
    assert "sweeps" not in settings_of("two.png")


@pytest.mark.parametrize(
    ("words", "text", "message"),
    [
        (["--preset", "gaty"], "", "did you mean 'gatys'"),
        (["--config", "mine.toml"], "contet_weight = 1", "did you mean 'content_weight'"),
        (["--config", "mine.toml"], "[run]\npaperr = 'A4'", "did you mean 'paper'"),
        (
            ["--config", "mine.toml"],
            "command = 'texture'\n[run]\ndepth = 8",
            "was saved by 'tilestyle texture'",
        ),
        (["--config", "none.toml"], "", "settings: there is no file"),
        (["--history", "4"], "", "history is a setting of L-BFGS"),
    ],
)
def test_mistakes_get_one_line(
    words: list[str],
    text: str,
    message: str,
    folder: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    (folder / "mine.toml").write_text(text)
    monkeypatch.setattr(sys, "argv", ["tilestyle", *RENDER, "-o", "o.png", *words])
    with pytest.raises(SystemExit) as ended:
        main()
    shown = capsys.readouterr().err
    assert ended.value.code == 2
    assert message in shown
    assert shown.count("\n") == 1


def test_presets_are_listed_and_printed(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    tilestyle(monkeypatch, "presets")
    shown = capsys.readouterr().out
    assert all(name in shown for name in ("gatys", "spst", "poster"))
    tilestyle(monkeypatch, "presets", "surma")
    shown = capsys.readouterr().out
    assert "block5_conv3" in shown
    assert "source" in shown


def test_the_old_spelling_of_a_setting_is_read(tmp_path: Path) -> None:
    (tmp_path / "old.toml").write_text('optimizer = "lbfgs"\n')  # now optimizer
    assert load_settings(tmp_path / "old.toml").settings == {"optimizer": "lbfgs"}
