"""Settings of the studio as those of the library: what a job makes, its command line, and its file of settings.

Options have the names of the command line, with underscores. Those that name files are refused: the studio
reads only what was uploaded.
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields, replace
from enum import StrEnum
from itertools import product
from math import prod
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tilestyle.config.enums import FlowName, Init, Quality
from tilestyle.config.paper import DPI, Fit, Paper, check_dpi, parse_length, parse_paper, stroke_pixels
from tilestyle.config.presets import look_names
from tilestyle.config.render import FILE_FIELDS, RenderConfig, VideoConfig
from tilestyle.config.settings import with_settings
from tilestyle.config.toml import load_preset, save_settings, unknown_name_error
from tilestyle.config.validation import setting_error
from tilestyle.errors import SettingError

if TYPE_CHECKING:
    from tilestyle.recipes.printing import PrintOptions

MAX_SIDE = 200_000  # pixels; a gigapixel print has far less
ALLOWED_FILES = ("init",)  # of the settings that may be files, what may be a choice as well
NEVER = ("max_input_pixels", "deterministic")
PRINTING = ("paper", "dpi", "fit", "bleed", "stroke")
PREVIEW = {"preview_size": 1024, "crops": 3, "crop_size": 512}
VIDEO = {"sweeps": VideoConfig().sweeps, "anchor_weight": VideoConfig().anchor_weight, "flow": "dis"}
OUTPUT = {"depth": 8}
# What `tilestyle video` has besides these.
VIDEO_SETTINGS = (
    *("size", "strength", "content_weight", "content_loss", "style_scale", "seed", "quality", "network"),
    *("device", "precision", "patch", "memory"),
)
DECIDED_BY = {"paper": ("size",), "stroke": ("style_scale", "enlarge_style")}  # as on the command line
_DEVICE = re.compile(r"auto|(cpu|cuda|mps)(:\d{1,2})?")
# Options for a photograph, which a texture ignores: the page may have set them before.
FOR_A_CONTENT = (
    *("strength", "content_weight", "content_loss", "content_layers", "color", "keep_content", "fit"),
    "keep_faces",
)
FLAGS = {"paper": "--print", "look": "--preset"}
SWITCHES = {
    "finish": ("--finish", "--no-finish"),
    "turn_style": ("--turn-style", "--upright-style"),
    "keep_content": ("--keep-content", "--recompute-content"),
}
LAYERS = {"style_layers": "--style-layer", "content_layers": "--content-layer"}


@dataclass(frozen=True)
class Printing:
    """Paper and strokes, as `recipes.printing.PrintOptions`, which needs torch."""

    paper: Paper | None = None
    dpi: float | None = None
    fit: Fit = Fit.COVER
    bleed: float = 0.0
    stroke: str | None = None

    @property
    def options(self) -> PrintOptions:
        """The same as the library takes it."""
        from tilestyle.recipes.printing import PrintOptions

        return PrintOptions(self.paper, self.dpi, self.fit, self.bleed, self.stroke)


@dataclass(frozen=True)
class JobSettings:
    """What a job makes, resolved.

    Attributes:
        kind: "render", "texture", "preview" or "video".
        config: The settings.
        printing: Paper and strokes.
        look: Name of the look; "" without one.
        look_style: The included style that the look has, if no style was chosen; "" otherwise.
        options: The options as they were given.
        video: Settings of the frames after the first.
        depth: Bits per channel of the result.
    """

    kind: str
    config: RenderConfig
    printing: Printing
    look: str = ""
    look_style: str = ""
    options: Mapping[str, Any] = field(default_factory=dict)
    video: VideoConfig = field(default_factory=VideoConfig)
    depth: int = 8


def resolve(kind: str, options: Mapping[str, Any], weights: Sequence[float]) -> JobSettings:
    """Return what options mean.

    Args:
        kind: Of the job.
        options: By their names; None is as if it were not there.
        weights: Of the styles that were chosen.

    Raises:
        SettingError: An option is unknown, cannot be set here, or has a value that is not allowed.
    """
    given_options = {name: value for name, value in options.items() if value is not None}
    _check_names(kind, given_options)
    if kind == "texture":
        given_options = {name: value for name, value in given_options.items() if name not in FOR_A_CONTENT}
    look, preset = given_options.get("look", ""), None
    base = RenderConfig()
    if look != "":
        if look not in look_names():
            raise unknown_name_error("look", str(look), look_names())
        preset = load_preset(look)
        base = replace(base, **_undecided(preset.settings, given_options))
    settings = {name: _setting(name, value) for name, value in given_options.items() if name in _config_names()}
    videos: dict[str, Any] = {}
    if kind == "video":
        videos = {
            name: settings.pop(name, None) or given_options.get(name) for name in VIDEO if name in given_options
        }
        if "flow" in videos and videos["flow"] != FlowName.DIS:
            raise SettingError("the studio has only one way to measure motion, dis", hint="leave flow out")
    if len(set(weights)) > 1 and "style_blend" not in settings:
        settings["style_blend"] = tuple(weights)
    config = with_settings(base, settings)
    _check_limits(config)
    printing = _printing(given_options, kind)
    _check_printing(printing, config)
    return JobSettings(
        kind,
        config,
        printing,
        look,
        preset.style if preset is not None and not weights else "",
        given_options,
        VideoConfig(**videos),
        _depth(given_options),
    )


def _undecided(settings: Mapping[str, Any], options: Mapping[str, Any]) -> dict[str, Any]:
    """Return the settings of a look without those that an option says in another way."""
    decided = {name for option in DECIDED_BY if option in options for name in DECIDED_BY[option]}
    return {name: value for name, value in settings.items() if name not in decided}


def preview_options(job_settings: JobSettings) -> dict[str, int]:
    """Return sizes and number of the details of a preview."""
    values = {}
    for name, default in PREVIEW.items():
        value = job_settings.options.get(name, default)
        if not isinstance(value, int) or isinstance(value, bool) or not 0 <= value <= 4096:
            raise setting_error(name, value, "a whole number, at most 4096")
        values[name] = value
    return values


def command_words(job_settings: JobSettings, content: str | None, styles: Sequence[str]) -> list[str]:
    """Return the command that makes the same picture.

    Args:
        job_settings: What is made.
        content: File or name of the content.
        styles: Files or names of the styles.
    """
    out = "-".join(Path(name).stem for name in ([content] if content else []) + list(styles)) or "result"
    suffix = ".mp4" if job_settings.kind == "video" else ".tif" if job_settings.depth == 16 else ".png"
    words = ["tilestyle", job_settings.kind, *([_word(content)] if content else [])]
    if job_settings.kind == "texture" and not job_settings.look:
        words += [_word(name) for name in styles]
    else:
        words += [part for name in styles for part in ("--style", name)]
    words += ["-o", f"{out}{'-texture' if job_settings.kind == 'texture' else ''}{suffix}"]
    blend = () if "style_blend" in job_settings.options else job_settings.config.style_blend
    if len(styles) > 1 and blend:
        words += ["--style-blend", ",".join(f"{weight:g}" for weight in blend)]
    for name, value in sorted(job_settings.options.items()):
        words += _option_words(name, value, job_settings)
    return words


def command_line(words: Sequence[str]) -> str:
    """Return words as they are typed in a shell."""
    return shlex.join(words)


def run_options(job_settings: JobSettings, content: str | None, styles: Sequence[str]) -> dict[str, Any]:
    """Return the options of the command that are not settings, as files of settings and pictures keep them."""
    run: dict[str, Any] = {}
    if content is not None:
        run["clip" if job_settings.kind == "video" else "content"] = _file(content)
    if job_settings.kind == "video":
        run |= {"style": _file(styles[0])} if styles else {}
    else:
        run["style"] = [{"picture": _file(name)} for name in styles]
    run |= {name: job_settings.options[name] for name in (*PRINTING, *OUTPUT) if name in job_settings.options}
    if job_settings.kind == "preview":
        run |= {name: value for name, value in job_settings.options.items() if name in PREVIEW}
    return run


def write_toml(path: Path, job_settings: JobSettings, content: str | None, styles: Sequence[str]) -> None:
    """Write a file of settings for --config."""
    run = run_options(job_settings, content, styles)
    save_settings(path, job_settings.config, job_settings.kind, _with_paths(run, path.parent))


def _with_paths(value: Any, folder: Path) -> Any:
    if isinstance(value, Mapping) and set(value) == {"file"}:
        return folder / value["file"]
    if isinstance(value, Mapping):
        return {name: _with_paths(each, folder) for name, each in value.items()}
    return [_with_paths(each, folder) for each in value] if isinstance(value, list) else value


def _file(name: str) -> Any:
    """A picture as files of settings name it: included ones by their names alone."""
    return {"file": name} if Path(name).suffix or "." in name else name


def _word(name: str) -> str:
    return f"./{name}" if name.startswith("-") else name


def _config_names() -> set[str]:
    return {each.name for each in fields(RenderConfig)}


def _check_names(kind: str, options: Mapping[str, Any]) -> None:
    known = {*_config_names(), *PRINTING, *OUTPUT, "look"}
    if kind == "preview":
        known |= PREVIEW.keys()
    if kind == "video":
        known = {*VIDEO_SETTINGS, *VIDEO, "look"}
    forbidden = {*(FILE_FIELDS - set(ALLOWED_FILES)), *NEVER}
    for name in options:
        if name in forbidden:
            raise SettingError(f"{name} cannot be set in the studio", hint="use the command line for it")
        if name not in known:
            raise unknown_name_error("option", name, sorted(known - forbidden))


def _setting(name: str, value: Any) -> Any:
    if name == "init" and value not in list(Init):
        raise setting_error("init", value, f"one of {', '.join(Init)}")
    if name == "device" and not (isinstance(value, str) and _DEVICE.fullmatch(value)):
        raise setting_error("device", value, "auto, cpu, cuda, cuda:1 or mps")
    if isinstance(value, list):
        return tuple(value)
    return value


def _check_limits(config: RenderConfig) -> None:
    sides = config.size if isinstance(config.size, tuple) else (config.size or 1,)
    if max(sides) > MAX_SIDE:
        raise setting_error("size", config.size, f"at most {MAX_SIDE} pixels a side")


def _printing(options: Mapping[str, Any], kind: str) -> Printing:
    texts = {name: options[name] for name in ("paper", "fit", "bleed", "stroke") if name in options}
    for name, text in texts.items():
        if not isinstance(text, str) or len(text) > 60:
            raise setting_error(name, text, "a short text")
    if "fit" in texts and texts["fit"] not in list(Fit):
        raise setting_error("fit", texts["fit"], f"one of {', '.join(Fit)}")
    dpi = options.get("dpi")
    if dpi is not None:
        if isinstance(dpi, bool) or not isinstance(dpi, int | float):
            raise setting_error("dpi", dpi, "a number")
        check_dpi(dpi)  # without a paper, too: the file keeps it
    return Printing(
        paper=parse_paper(texts["paper"]) if "paper" in texts else None,
        dpi=None if dpi is None else float(dpi),
        fit=Fit(texts.get("fit", Fit.EXACT if kind == "texture" else Fit.COVER)),
        bleed=parse_length(texts.get("bleed", "0mm"), "bleed"),
        stroke=texts.get("stroke"),
    )


def _check_printing(printing: Printing, config: RenderConfig) -> None:
    """Refuse at once what contradicts itself, as the library does (recipes/printing.py)."""
    if printing.paper is None and printing.bleed:
        raise SettingError("a bleed needs a paper", hint="choose one")
    if printing.paper is not None and config.size is not None:
        raise SettingError("paper and size both set the size of the picture", hint="give one of them")
    if printing.stroke is not None:
        stroke_pixels(printing.stroke, MAX_SIDE, printing.dpi or (DPI if printing.paper else None))
        if config.style_scale != RenderConfig().style_scale:
            raise SettingError(
                "stroke width (stroke) and stroke size (style_scale) both set the size of strokes",
                hint="give one of them",
            )


def _depth(options: Mapping[str, Any]) -> int:
    depth = options.get("depth", 8)
    if depth not in (8, 16) or isinstance(depth, bool):
        raise setting_error("depth", depth, "8 or 16")
    return int(depth)


def _option_words(name: str, value: Any, job_settings: JobSettings) -> list[str]:
    if name in SWITCHES:
        return [SWITCHES[name][0 if value else 1]]
    if name in LAYERS:
        return [word for layer, weight in value.items() for word in (LAYERS[name], f"{layer}={weight:g}")]
    if isinstance(value, bool):
        return [f"--{name.replace('_', '-')}"] if value else []
    if name == "size":
        size = job_settings.config.size
        text = "x".join(map(str, size)) if isinstance(size, tuple) else str(size)
        return ["--size", text]
    if isinstance(value, StrEnum):
        text = value.value
    elif isinstance(value, list | tuple):
        text = ",".join(f"{each:g}" for each in value)
    else:
        text = f"{value:g}" if isinstance(value, float) and float(f"{value:g}") == value else str(value)
    return [FLAGS.get(name, f"--{name.replace('_', '-')}"), text]


def draft_settings(config: RenderConfig) -> RenderConfig:
    """Return the settings of a draft, without what only matters for time and memory of the result."""
    return replace(
        config,
        size=None,
        sweeps=None,
        quality=Quality.DRAFT,
        memory=None,
        host_memory=None,
        patch=None,
        keep_content=None,
        overlap=0,
    )


def cell_count(vary: Mapping[str, Sequence[Any]]) -> int:
    """Return the number of cells of a sheet, which may be far too many to list."""
    return prod(len(values) for values in vary.values())


def cells_of(vary: Mapping[str, Sequence[Any]]) -> list[dict[str, Any]]:
    """Return the options of every cell of a sheet."""
    return [dict(zip(vary, values, strict=True)) for values in product(*vary.values())]
