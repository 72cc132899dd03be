"""More of a picture that was made before."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from tests.conftest import waves
from tilestyle.cli.app import main
from tilestyle.cli.commands import app
from tilestyle.errors import SettingError
from tilestyle.images import read_provenance
from tilestyle.look import look_of


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
    words = ["--size", "64", "--sweeps", "3", "--style-scale", "0.5", "--style-layer", "colour_2=2"]
    first = made(monkeypatch, "style.png", "-o", "wall.png", *words, "--style-layer", "first_1", "--seed", "4")
    settings = made(monkeypatch, "--like", "wall.png", "-o", "more.png", "--size", "96x64")
    # The look is taken over; size and seed are not, nor the scale, which the wall has already.
    assert settings == {"size": [64, 96], "seed": 0, "sweeps": 3, "style_layers": first["style_layers"]}
    settings = made(
        monkeypatch, "--like", "wall.png", "-o", "b.png", "--size", "64", "--style-layer", "colour_1"
    )
    assert settings["style_layers"] == {"colour_1": 1.0}
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
    assert "no settings are stored in style.png" in capsys.readouterr().err
    assert (folder / "out.png").exists()


@pytest.mark.parametrize("words", [["style.png", "--like", "style.png"], []])
def test_a_texture_is_of_styles_or_like_a_picture(
    folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], words: list[str]
) -> None:
    monkeypatch.setattr(sys, "argv", ["tilestyle", "texture", *words, "-o", "out.png"])
    with pytest.raises(SystemExit):
        main()
    assert "a texture is of a style" in capsys.readouterr().err


def test_weights_are_looked_for_beside_the_picture(tmp_path: Path) -> None:
    stored = {"settings": {"network": "vgg19", "weights": "small.safetensors", "scale_odds": [0.9, 0.1]}}
    with pytest.raises(SettingError, match=r"weights small\.safetensors, which are not here; give --weights"):
        look_of(stored, tmp_path / "wall.png")
    assert look_of(stored, tmp_path / "wall.png", {"weights"}) == {"network": "vgg19", "scale_odds": (0.9, 0.1)}
    (tmp_path / "small.safetensors").touch()
    assert look_of(stored, tmp_path / "wall.png")["weights"] == tmp_path / "small.safetensors"


def test_what_repeats_says_so(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    settings = made(
        monkeypatch, "style.png", "-o", "tile.png", "--size", "64", "--sweeps", "1", "--tileable", "both"
    )
    assert settings["tileable"] == "both"
