"""Sizes by name, and relative to the input."""

from __future__ import annotations

from pathlib import Path

import pytest
from PIL import Image

from tests.support.cli import run_cli
from tilestyle.cli.commands.sheet import sizes_in_pixels
from tilestyle.cli.sizes import in_pixels, parse_any_size
from tilestyle.config.size import format_size, parse_size
from tilestyle.config.toml import load_settings
from tilestyle.errors import SettingError


@pytest.fixture
def content(tmp_path: Path) -> Path:
    """A picture of 120 x 60 pixels."""
    Image.new("RGB", (120, 60), (200, 30, 40)).save(tmp_path / "content.png")
    return tmp_path / "content.png"


@pytest.mark.parametrize(
    ("text", "long_side"),
    [
        *(("2048", 2048), ("2k", 1920), ("4K", 3840), ("8k", 7680)),
        *(
            ("50%", 60),
            ("2x", 240),
            ("0.5 X", 60),
            (".25x", 30),
            ("0.1%", 1),
            ("0.0288MP", 240),
            ("2 mp", 2000),
        ),
    ],
)
def test_with_a_content_a_size_is_its_long_side(content: Path, text: str, long_side: int) -> None:
    assert in_pixels(parse_any_size(text), {"content": content, "style": ["gone.png"]}) == long_side


@pytest.mark.parametrize(("text", "size"), [("50%", "60x30"), ("2x", "240x120"), ("2MP", "2000x1000")])
def test_a_texture_has_the_proportions_of_its_style(content: Path, text: str, size: str) -> None:
    for params in ({"style": [str(content)]}, {"style": content}, {"style": None, "like": content}):
        assert format_size(in_pixels(parse_any_size(text), params)) == size


@pytest.mark.parametrize(
    "text",
    ["3k", "k", "0%", "0x", "-50%", "%", "x", "x2", "2xx", "1e3%", "mp", "12 M", "50%%", "9" * 400 + "x"],
)
def test_wrong_sizes_are_one_line(content: Path, text: str) -> None:
    with pytest.raises(SettingError, match="size") as caught:
        parse_any_size(text)
    assert "\n" not in str(caught.value) and caught.value.hint


def test_sizes_by_name_are_understood_in_files_too() -> None:
    assert parse_size("4K") == 3840


def test_a_size_is_limited_after_it_is_resolved(content: Path) -> None:
    with pytest.raises(SettingError, match="too large"):
        in_pixels(parse_any_size("99999999x"), {"content": content})
    with pytest.raises(SettingError, match="too large"):
        parse_any_size("99999999999999x")


def test_sheets_vary_sizes_of_every_kind(content: Path) -> None:
    params = {"content": content}
    assert sizes_in_pixels("--size=2k,50%,30x20", params) == "--size=1920,60,30x20"
    assert sizes_in_pixels("strength=0.3,0.5", params) == "strength=0.3,0.5"
    assert sizes_in_pixels("size=", params) == "size="
    with pytest.raises(SettingError, match="invalid size"):
        sizes_in_pixels("size=3k", params)


def test_settings_are_saved_in_pixels(content: Path) -> None:
    words = ("render", "content.png", "content.png", "--size", "40%", "--sweeps", "1", "--network", "wavelet")
    done = run_cli(content.parent, *words, "-q", "--save-config", "saved.toml")
    assert done.returncode == 0, done.stderr
    assert load_settings(content.parent / "saved.toml").settings["size"] == 48
    with Image.open(content.parent / "content-content.png") as result:
        assert result.size == (48, 24)
