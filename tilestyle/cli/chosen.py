"""What a command was asked for: its options, over a file of settings, over a preset, over the defaults."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields
from enum import Enum
from pathlib import Path
from typing import Any

import typer

from tilestyle.cli.guarding import check_files
from tilestyle.config.render import RenderConfig
from tilestyle.errors import SettingError

# A choice that is given takes the place of what a preset says in another way.
INSTEAD = {"quality": "sweeps", "strength": "content_weight"}
# Options that say how a render is kept and watched, not what it is of; and those that are kept as settings.
APART = {
    *("out", "preset", "config_file", "save_config", "preview", "work_dir", "checkpoint_every"),
    *("keep", "restart", "yes", "overwrite_input", "quiet", "debug", "film", "fps", "codec", "film_step"),
}


@dataclass(frozen=True)
class Kept:
    """Where the settings of a command go, and what else it was asked for."""

    file: Path
    command: str
    run: Mapping[str, Any]


def chosen(context: typer.Context, **options: Any) -> RenderConfig:
    """The settings of a command; `options` are what its own come to, by the fields of RenderConfig."""
    from tilestyle.config.toml import load, preset

    settings: dict[str, Any] = {}
    if context.params.get("preset"):
        settings |= preset(context.params["preset"]).settings
    if context.params.get("config_file"):
        stored = load(context.params["config_file"]).settings
        if "strength" in stored:
            settings.pop("content_weight", None)
        settings |= stored
    asked = given(context)
    if {"strength", "content_weight"} <= asked:
        raise given_twice()
    for name, value in options.items():
        if name in asked:
            settings[name] = value
            settings.pop(INSTEAD.get(name, ""), None)
    config = RenderConfig(**{**options, **settings})
    check_files(context, config)
    return config


def given_twice() -> SettingError:
    """The error for two options that say the same."""
    return SettingError("--strength and --content-weight are two ways to say the same", hint="give one of them")


def take_up(context: typer.Context, path: Path | None) -> Path | None:
    """Let what a file of settings says beside them stand in for options and arguments that are not given."""
    if path is None or context.resilient_parsing:
        return path
    from tilestyle.config.toml import load, unknown

    stored, command = load(path), context.command.name
    if stored.command and stored.command != command and stored.run:
        raise SettingError(f"{path} is of tilestyle {stored.command}", hint="give it to that command")
    known = [parameter.name or "" for parameter in context.command.params]
    for name in stored.run:
        if name not in known:
            raise unknown("option", name, known, f" under [run] in {path}")
    context.default_map = {**(context.default_map or {}), **{k: _words(v) for k, v in stored.run.items()}}
    return path


def kept(context: typer.Context, file: Path | None) -> Kept | None:
    """What a command was asked for besides settings, to be kept with them; None without a file."""
    if file is None:
        return None
    settings = {each.name for each in fields(RenderConfig)}
    run = {
        name: _styles(value) if name == "style" else _plain(value)
        for name, value in context.params.items()
        if name not in APART and not {name, f"{name}s"} & settings and value not in (None, [], ())
    }
    return Kept(file, context.command.name or "", run)


def given(context: typer.Context) -> set[str]:
    """The settings whose options were given, by their names; of layers there is one option each."""
    # By name: typer brings a click of its own along, or takes another's.
    sources = {name: context.get_parameter_source(name) for name in context.params}
    names = {
        name for name, source in sources.items() if source and source.name in ("COMMANDLINE", "ENVIRONMENT")
    }
    return names | {f"{name}s" for name in names}


def _plain(value: Any) -> Any:
    return value.value if isinstance(value, Enum) else value


def _styles(words: list[str]) -> list[dict[str, Any]]:
    """Styles with their masks or colours, by their files."""
    from tilestyle.cli.parsing import parsed_styles

    found = ({"picture": style.path, "mask": style.mask} for style in parsed_styles(words))
    return [{name: value for name, value in style.items() if value is not None} for style in found]


def _words(value: Any) -> Any:
    """A value as a command line has it."""
    if isinstance(value, Mapping) and "picture" in value:
        return ":".join(str(value[name]) for name in ("picture", "mask") if name in value)
    if isinstance(value, Mapping):
        return {name: _words(each) for name, each in value.items()}
    if isinstance(value, tuple):
        return [_words(each) for each in value]
    return value if isinstance(value, bool) else str(value)
