from __future__ import annotations

from dataclasses import fields
from pathlib import Path
from typing import Any

import pytest
from pytest import MonkeyPatch

from tests.support.cli import commands
from tilestyle.cli import options as opt
from tilestyle.cli.bundled import name_pictures, take_style_of_preset
from tilestyle.cli.config_options import config_of
from tilestyle.cli.inputs import printing_of
from tilestyle.cli.parameters import Values
from tilestyle.cli.positional import merge_arguments
from tilestyle.cli.remembered import remembered_settings
from tilestyle.config.render import RenderConfig
from tilestyle.errors import SettingError
from tilestyle.pictures import STYLES, picture_path
from tilestyle.studio.settings import (
    cells_of,
    command_line,
    command_words,
    preview_options,
    resolve,
    write_toml,
)

RENDERS: tuple[dict[str, Any], ...] = (
    {},
    {"strength": 0.3, "seed": 7, "color": "content", "locality": 0.25, "quality": "draft"},
    {"content_weight": 0.125, "size": 640, "network": "wavelet", "finish": False, "turn_style": True},
    {"size": "640x480", "sweeps": [40, 20, 10], "tileable": "both", "memory": "2GiB", "keep_content": False},
    {"look": "ink", "style_scale": 0.75},
    {"look": "ink", "stroke": "2%"},
    {"paper": "A4-landscape", "dpi": 150, "fit": "contain", "bleed": "3mm", "stroke": "4mm", "depth": 16},
    {"style_layers": {"first_1": 1.0, "color_2": 0.5}, "init": "noise", "strength": None},
)


@pytest.mark.parametrize("options", RENDERS)
def test_the_command_line_makes_the_same(
    options: dict[str, Any], tmp_path: Path, monkeypatch: MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("my photo.jpg").write_bytes(picture_path("coffee").read_bytes())
    styles = [] if "look" in options else ["swirls", "facets"]
    job_settings = resolve("render", options, [1.0, 3.0][: len(styles)])
    words = command_words(job_settings, "my photo.jpg", styles)
    assert command_line(words).startswith("tilestyle render 'my photo.jpg' ")
    values = values_of(words)
    assert config_of(values) == job_settings.config
    assert printing_of(values) == job_settings.printing.options
    assert values[opt.DEPTH] == job_settings.depth
    assert len(values[opt.STYLES]) == max(1, len(styles))


def test_the_file_of_settings_makes_the_same(tmp_path: Path, monkeypatch: MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("photo.jpg").write_bytes(picture_path("coffee").read_bytes())
    job_settings = resolve("render", {"strength": 0.3, "paper": "A4", "stroke": "4mm"}, [0.25, 0.75])
    write_toml(tmp_path / "settings.toml", job_settings, "photo.jpg", ["swirls", "facets"])
    assert remembered_settings(tmp_path / "settings.toml").command == "render"
    values = values_of(["tilestyle", "render", "--config", "settings.toml", "-o", "result.png"])
    assert config_of(values) == job_settings.config
    assert printing_of(values) == job_settings.printing.options
    assert values[opt.CONTENT].name == "photo.jpg" and len(values[opt.STYLES]) == 2


def test_other_commands_are_understood(tmp_path: Path, monkeypatch: MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    texture = resolve("texture", {"size": 640, "tileable": "x", "strength": 0.3}, [1.0])
    words = command_words(texture, None, ["swirls"])
    assert "--strength" not in words and config_of(values_of(words)) == texture.config
    preview = resolve("preview", {"paper": "A3", "crops": 2, "crop_size": 256}, [1.0])
    values_of(command_words(preview, "coffee", ["swirls"]))
    assert preview_options(preview) == {"preview_size": 1024, "crops": 2, "crop_size": 256}
    Path("clip.mp4").write_bytes(b"film")
    video = resolve("video", {"sweeps": 5, "strength": 0.4, "size": 320}, [1.0])
    assert video.video.sweeps == 5 and video.config.sweeps is None
    assert config_of(values_of(command_words(video, "clip.mp4", ["swirls"]))) == video.config


def test_a_look_brings_its_style_unless_there_is_another() -> None:
    assert resolve("render", {"look": "ink"}, []).look_style in STYLES
    assert resolve("render", {"look": "ink"}, [1.0]).look_style == ""
    assert resolve("render", {}, [1.0]).config == RenderConfig()
    assert resolve("render", {"style_blend": [1, 2]}, [1.0, 1.0]).config.style_blend == (1, 2)


@pytest.mark.parametrize(
    ("kind", "options", "message"),
    [
        ("render", {"weights": "a.pth"}, "weights cannot be set in the studio"),
        ("render", {"strenght": 1}, "did you mean 'strength'"),
        ("video", {"paper": "A4"}, "no option"),
        ("video", {"flow": "raft"}, "flow"),
        ("render", {"crops": 1}, "no option"),
        ("preview", {"crops": True}, "crops"),
        ("render", {"paper": "A4", "size": 100}, "give one of them"),
        ("render", {"stroke": "4mm"}, "--print or --dpi"),
    ],
)
def test_what_cannot_be_set_is_refused(kind: str, options: dict[str, Any], message: str) -> None:
    with pytest.raises(SettingError, match=message):
        preview_options(resolve(kind, options, [1.0]))


def test_no_setting_that_names_a_file_can_be_set() -> None:
    for field in fields(RenderConfig):
        with pytest.raises(SettingError):
            resolve("render", {field.name: "/etc/passwd"}, [1.0])


def test_cells_are_all_combinations() -> None:
    assert cells_of({"seed": [1, 2], "color": ["style"]}) == [
        {"seed": 1, "color": "style"},
        {"seed": 2, "color": "style"},
    ]


def values_of(words: list[str]) -> Values:
    """The values that a command line gives its command."""
    name, *rest = words[1:]
    command = commands().commands[name]
    context = command.make_context(name, list(rest))
    take_style_of_preset(context)
    merge_arguments(context)
    name_pictures(context)
    return Values(context, RenderConfig())
