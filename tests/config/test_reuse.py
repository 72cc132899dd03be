"""More of a picture that was made before."""

from __future__ import annotations

import json
import sys
from dataclasses import fields
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from tests.conftest import waves
from tests.support.cli import main
from tilestyle.cli.commands import app
from tilestyle.cli.inputs import Inputs
from tilestyle.cli.parsing import StyleFile
from tilestyle.cli.provenance import provenance
from tilestyle.config.enums import Init
from tilestyle.config.presets import preset_path
from tilestyle.config.render import RenderConfig
from tilestyle.config.reuse import (
    NOT_REUSABLE,
    PICTURELESS_INITS,
    REUSABLE,
    look_of,
    with_current_names,
)
from tilestyle.config.stored import stored_settings
from tilestyle.config.toml import load_preset
from tilestyle.errors import SettingError
from tilestyle.images import read_provenance


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with a style, to work in."""
    pixels = (waves(90, 90, 1).permute(1, 2, 0).numpy() * 255).astype(np.uint8)
    Image.fromarray(pixels).save(tmp_path / "style.png")
    monkeypatch.chdir(tmp_path)
    return tmp_path


def made(monkeypatch: pytest.MonkeyPatch, *words: str) -> dict[str, object]:
    """The settings of the texture that a command makes."""
    monkeypatch.setattr(sys, "argv", ["tilestyle", "texture", *words, "-q"])
    with pytest.raises(SystemExit) as ended:
        app()
    assert not ended.value.code
    stored = read_provenance(words[words.index("-o") + 1])
    assert stored is not None
    settings = stored["settings"]
    assert isinstance(settings, dict)
    return dict(settings)


def test_a_texture_goes_on_in_the_look_of_another(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    words = ["--network=wavelet", "--size=64", "--sweeps=3", "--style-scale=0.5", "--style-layer", "color_2=2"]
    first = made(monkeypatch, "style.png", "-o", "wall.png", *words, "--style-layer", "first_1", "--seed", "4")
    settings = made(monkeypatch, "--like", "wall.png", "-o", "more.png", "--size", "96x64")
    # The look is taken over; size and seed are not, nor the scale, which the wall has already.
    look = {"network": "wavelet", "sweeps": 3, "style_layers": first["style_layers"]}
    assert settings == {**look, "size": "96x64", "seed": 0}
    settings = made(
        monkeypatch, "--like", "wall.png", "-o", "b.png", "--size", "64", "--style-layer", "color_1"
    )
    assert settings["style_layers"] == {"color_1": 1.0}
    assert settings["sweeps"] == 3
    stored = read_provenance(folder / "more.png")
    assert stored is not None
    assert stored["style"] == "wall.png"


def test_a_picture_without_settings_is_a_style_as_any_other(
    folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ["texture", "--like", "style.png", "-o", "out.png", "--size", "64", "--sweeps", "1"]
    monkeypatch.setattr(sys, "argv", ["tilestyle", *words])
    with pytest.raises(SystemExit):
        app()
    assert "style.png has no stored settings" in capsys.readouterr().err
    assert (folder / "out.png").exists()


@pytest.mark.parametrize("words", [["style.png", "--like", "style.png"], []])
def test_a_texture_is_of_styles_or_like_a_picture(
    folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], words: list[str]
) -> None:
    monkeypatch.setattr(sys, "argv", ["tilestyle", "texture", *words, "-o", "out.png"])
    with pytest.raises(SystemExit):
        main()
    assert "such as weave, or --like FILE" in capsys.readouterr().err


def test_weights_are_looked_for_beside_the_picture(tmp_path: Path) -> None:
    stored = {"settings": {"network": "vgg19", "weights": "small.safetensors", "scale_odds": [0.9, 0.1]}}
    defaults = vars(RenderConfig())
    with pytest.raises(SettingError, match=r"weights small\.safetensors, which were not found; give --weights"):
        look_of(stored_settings(stored, tmp_path / "wall.png"), defaults)
    look = look_of(stored_settings(stored, tmp_path / "wall.png"), defaults, {"weights"})
    assert "weights" not in look
    assert RenderConfig(**look).scale_odds == (0.9, 0.1)
    (tmp_path / "small.safetensors").touch()
    assert (
        look_of(stored_settings(stored, tmp_path / "wall.png"), defaults)["weights"]
        == tmp_path / "small.safetensors"
    )


def test_every_setting_is_of_the_look_or_apart_from_it() -> None:
    apart = [name for names in NOT_REUSABLE.values() for name in names]
    assert sorted([*REUSABLE, *apart]) == sorted(field.name for field in fields(RenderConfig))


@pytest.mark.parametrize("name", [file.stem for file in sorted(preset_path("draft").parent.glob("*.toml"))])
def test_the_look_of_a_preset_comes_back_whole(name: str, tmp_path: Path) -> None:
    """What is stored in a picture made by a preset gives all that the preset says of a texture."""
    config = RenderConfig(**load_preset(name).settings)
    stored = json.loads(json.dumps(provenance(Inputs([StyleFile(tmp_path / "style.png")]), config, {})))
    look = look_of(stored_settings(stored, tmp_path / "wall.png"), vars(RenderConfig()))
    again = RenderConfig(**look)
    for setting in REUSABLE:
        if setting != "init" or config.init in PICTURELESS_INITS:
            assert getattr(again, setting) == getattr(config, setting), setting
    assert again.init != Init.CONTENT


@pytest.mark.parametrize("setting", REUSABLE)
def test_a_setting_that_is_given_wins_over_the_look(setting: str, tmp_path: Path) -> None:
    """Also together with what the look says of others: nothing contradicts it."""
    others: dict[str, dict[str, Any]] = {
        "network": {"network": "wavelet"},
        "optimizer": {"optimizer": "adam"},
        "sweeps": {"sweeps": 7},
        "quality": {"quality": "draft"},
        "overlap": {"optimizer": "adam", "overlap": 8},
        "sampler": {"optimizer": "adam", "sampler": "windows"},
        "scale_odds": {"optimizer": "adam", "scale_odds": (0.5, 0.5)},
    }
    given = others.get(setting, {setting: getattr(RenderConfig(), setting)})
    made_by = RenderConfig(**load_preset("johnson").settings, history=5, seed=3, pooling_scale=2.0)
    stored = json.loads(json.dumps(provenance(Inputs([StyleFile(tmp_path / "style.png")]), made_by, {})))
    look = look_of(stored_settings(stored, tmp_path / "wall.png"), vars(RenderConfig()), set(given))
    config = RenderConfig(**{**look, **given})
    assert all(getattr(config, name) == value for name, value in given.items())
    if setting == "quality":
        assert config.sweeps is None


def test_what_repeats_says_so(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    settings = made(
        monkeypatch, "style.png", "-o", "tile.png", "--size", "64", "--sweeps", "1", "--tileable", "both"
    )
    assert settings["tileable"] == "both"


def test_the_old_spelling_of_a_stored_setting_is_read(tmp_path: Path) -> None:
    stored: dict[str, Any] = {
        "settings": {"optimiser": "lbfgs", "init": "grey", "style_layers": {"colour_1": 2.0}}
    }
    found = look_of(stored_settings(stored, tmp_path / "wall.png"), vars(RenderConfig()))
    assert found["optimizer"] == "lbfgs"
    assert found["init"] == "gray"
    assert found["style_layers"] == {"color_1": 2.0}


def test_the_size_in_an_older_file_is_height_and_width() -> None:
    assert with_current_names({"settings": {"size": [64, 96]}}) == {"settings": {"size": "96x64"}}
    for size in (64, "96x64", None):
        assert with_current_names({"size": size}) == {"size": size}
