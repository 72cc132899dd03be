"""Options of the command line: declared once, understood alike by every command."""

import re
from collections.abc import Iterator
from enum import StrEnum
from pathlib import Path
from typing import Any, get_args
from unittest import mock

import pytest
from PIL import Image

import tilestyle
from tests.cli.test_files import COMMANDS, filled
from tests.conftest import FEW
from tests.support.cli import commands, run_cli
from tilestyle.cli import options
from tilestyle.cli.config_options import config_of
from tilestyle.cli.parameters import Parameter, Values, parameters_of
from tilestyle.config.enums import Color, Init, Optimizer, Precision
from tilestyle.config.render import DRIFT_DEFAULTS, UPSCALE_DEFAULTS, ZOOM_DEFAULTS, RenderConfig
from tilestyle.errors import SettingError
from tilestyle.pipeline.workdir import Work

CALLS = {
    "render": ("content.png", "-s", "style.png", "-o", "out.png"),
    "texture": ("style.png", "-o", "out.png"),
    "invert": ("content.png", "-o", "out.png"),
    "preview": ("content.png", "-s", "style.png", "-o", "out.png"),
    "sheet": ("content.png", "-s", "style.png", "-o", "out.png"),
    "drift": ("start.png", "-s", "style.png", "-o", "out"),
    "zoom": ("style.png", "-o", "out"),
    "upscale": ("low.png", "--reference", "style.png", "-o", "out.png"),
    "video": ("clip", "-s", "style.png", "-o", "out"),
}


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with pictures for all commands, which is the current one."""
    monkeypatch.chdir(filled(tmp_path))
    return tmp_path


def context_of(command: str, *words: str) -> Any:
    return commands().commands[command].make_context(command, [*CALLS[command], *words])


def settings(command: str, *words: str, base: RenderConfig | None = None) -> RenderConfig:
    """The settings that a command comes to."""
    return config_of(Values(context_of(command, *words), base or RenderConfig()))


def every_parameter() -> Iterator[tuple[str, Parameter[Any]]]:
    for command, callback in COMMANDS.items():
        for parameter in parameters_of(callback):
            yield command, parameter


def test_other_spellings_are_understood_and_not_shown(folder: Path) -> None:
    for words in (("--optimizer", "lbfgs"), ("--optimiser", "lbfgs"), ("--optimiser=lbfgs",)):
        assert settings("render", *words).optimizer is Optimizer.LBFGS
    for words in (("--color", "content"), ("--colour", "content")):
        assert settings("render", *words).color is Color.CONTENT
    for word in ("gray", "grey"):
        assert settings("texture", "--init", word).init is Init.GRAY
    assert "optimiser" not in run_cli(folder, "render", "--help").stdout
    done = run_cli(folder, "sheet", *CALLS["sheet"], "--vary", "optimiser=adams", "--vary", "init=grey")
    assert "optimizer cannot be 'adams'" in done.stderr


def test_help_names_every_choice_in_words_that_do_not_break() -> None:
    for command, parameter in every_parameter():
        kind = get_args(parameter.kind)[0] if get_args(parameter.kind) else parameter.kind
        if isinstance(kind, type) and issubclass(kind, StrEnum):
            words = re.split(r"[\s.,;:()]+", parameter.help)
            for choice in kind:
                assert choice in words, f"{choice} is not in the help of --{parameter.name} of {command}"


def test_an_option_is_one_declaration() -> None:
    for parameter in options.ALL:
        assert parameter.help.endswith("."), parameter.name
        assert all(flag.startswith("-") for flag in parameter.names)
        assert parameter.field is None or parameter.field in RenderConfig.__dataclass_fields__


@pytest.mark.parametrize(
    ("command", "base"),
    [
        ("drift", DRIFT_DEFAULTS),
        ("zoom", ZOOM_DEFAULTS),
        ("upscale", UPSCALE_DEFAULTS),
        ("video", RenderConfig()),
    ],
)
def test_presets_and_files_change_the_settings_of_a_command(
    folder: Path, command: str, base: RenderConfig
) -> None:
    assert settings(command, base=base) == base
    (folder / "mine.toml").write_text('network = "wavelet"\nseed = 7\ntv_weight = 0.5\n')
    file = ("--config", "mine.toml")
    assert settings(command, *file, base=base) == RenderConfig(
        **{**vars_of(base), "network": "wavelet", "seed": 7, "tv_weight": 0.5}
    )
    given = settings(command, *file, "--preset", "texture", "--seed", "3", base=base)
    assert (given.seed, given.tv_weight) == (3, 0.5)
    assert settings(command, "--preset", "gatys", base=base).style_loss == "gram"
    (folder / "strong.toml").write_text("strength = 0.25\n")
    strong = settings(command, "--config", "strong.toml", base=base)
    assert (strong.strength, strong.content_weight) == (0.25, None)


def test_strength_replaces_the_content_weight_of_a_drift(folder: Path) -> None:
    assert settings("drift", base=DRIFT_DEFAULTS).content_weight == DRIFT_DEFAULTS.content_weight
    assert settings("drift", "--strength", "0.3", base=DRIFT_DEFAULTS).content_weight is None
    with pytest.raises(SettingError, match="cannot be combined"):
        settings("drift", "--strength", "0.3", "--content-weight", "1", base=DRIFT_DEFAULTS)


def test_a_command_of_another_kind_takes_a_preset(folder: Path) -> None:
    (folder / "mine.toml").write_text('network = "wavelet"\nsweeps = 1\nstyle_layers = { first_1 = 1.0 }\n')
    for command, words in {
        "invert": ("--size", "40"),
        "upscale": ("--factor", "2"),
        "drift": ("--size", "40", "--cycles", "1"),
        "zoom": ("--size", "40", "--steps", "1"),
    }.items():
        call = [f"{command}-out.png" if word.startswith("out") else word for word in CALLS[command]]
        done = run_cli(folder, command, *call, *words, "--config", "mine.toml")
        assert done.returncode == 0, (command, done.stderr)


def vars_of(config: RenderConfig) -> dict[str, Any]:
    return {name: getattr(config, name) for name in RenderConfig.__dataclass_fields__}


def test_inputs_are_opened_once_and_strokes_measured_once(folder: Path) -> None:
    from tilestyle import images
    from tilestyle.recipes import printing
    from tilestyle.recipes.stroke_width import stroke_width

    words = ("--size", "40", "--sweeps", "1", "--network", "wavelet", "--stroke", "5%")
    with (
        mock.patch.object(images, "open_source", wraps=images.open_source) as opened,
        mock.patch.object(printing, "stroke_width", wraps=stroke_width) as measured,
    ):
        done = run_cli(folder, "render", *CALLS["render"], *words)
    assert done.returncode == 0, done.stderr
    assert "strokes of 5%: style scale" in done.stderr
    assert [Path(call.args[0]).name for call in opened.call_args_list] == ["content.png", "style.png"]
    assert measured.call_count == 1


def test_the_picture_is_saved_before_its_work_folder_is_removed(folder: Path) -> None:
    config = RenderConfig(size=32, sweeps=1, precision=Precision.FP32, **FEW)
    work = Work(folder / "work")
    saved: list[bytes] = []

    def fail(picture: tilestyle.Picture) -> None:
        raise OSError("no room")

    def save(picture: tilestyle.Picture) -> None:
        assert work.path.is_dir()
        saved.append(picture.pixels.tobytes())

    with pytest.raises(OSError, match="no room"):
        tilestyle.render("content.png", "style.png", config, work=work, save=fail)
    assert work.path.is_dir()
    events: list[tilestyle.Event] = []
    made = tilestyle.render("content.png", "style.png", config, work=work, save=save, observer=events.append)
    assert any(isinstance(event, tilestyle.Resumed) for event in events)
    assert saved == [made.pixels.tobytes()]
    assert not work.path.exists()


def test_a_source_is_converted_into_a_work_folder_and_let_go_of(folder: Path) -> None:
    from tilestyle.images import open_source

    with Image.open("content.png") as image:
        image.convert("RGB").save("content.jpg")
    with open_source("content.jpg") as source:
        before = source.window(0, 0, 8, 8).pixels
        with source.converting_into(folder / "converted"):
            assert source.conversion_bytes() > 0
            assert (source.window(0, 0, 8, 8).pixels == before).all()
            assert len(list((folder / "converted").glob("source-*.tif"))) == 1
        (next((folder / "converted").glob("source-*.tif"))).unlink()
        assert (source.window(0, 0, 8, 8).pixels == before).all()


def test_a_series_takes_settings_and_style_of_a_picture(folder: Path) -> None:
    quick = ("--size", "40", "--sweeps", "1", "--network", "wavelet", "-q")
    assert run_cli(folder, "render", *CALLS["render"], *quick, "--seed", "5").returncode == 0
    for words in (
        ("drift", "start.png", "--cycles=1", "-o", "drifted"),
        ("zoom", "--steps=1", "--start=start.png", "-o", "zoomed"),
        ("zoom", "--preset=ink", "--steps=1", "--start=start.png", "-o", "inked"),
    ):
        done = run_cli(folder, *words, *(() if "--preset=ink" in words else ("--config", "out.png")), *quick)
        assert done.returncode == 0, done.stderr
        assert (folder / words[-1] / "0001.png").exists()
    done = run_cli(folder, "zoom", "--steps=1", *quick)
    assert (done.returncode, done.stderr.count("\n")) == (2, 1)
    assert "no style image" in done.stderr
