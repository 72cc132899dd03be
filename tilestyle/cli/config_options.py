"""Settings of a command: its options, over a file of settings, over a preset, over the command's defaults."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields
from enum import Enum
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

from tilestyle.cli.file_checks import check_files
from tilestyle.cli.sizes import in_pixels
from tilestyle.config.render import RenderConfig
from tilestyle.config.settings import REPLACES
from tilestyle.errors import SettingError
from tilestyle.pictures import bundled_name

if TYPE_CHECKING:
    from tilestyle.cli.parameters import Values

NOT_SAVED = ("out", "preset", "config_file")
"""Parameters that --save-config leaves out, besides settings and what does not affect the result."""


SERIES = ("drift", "zoom", "video")
"""Commands that store no settings: a file is of another command, and only settings and style are used."""


@dataclass(frozen=True)
class SaveRequest:
    """What --save-config writes besides the settings, and where."""

    file: Path
    command: str
    run: Mapping[str, Any]


def config_of(values: Values) -> RenderConfig:
    """The settings of a command; raises TilestyleError for those that are wrong, or name a file that is."""
    from tilestyle.cli.remembered import remembered_settings
    from tilestyle.config.stored import DECIDED_BY
    from tilestyle.config.toml import load_preset

    words, context = {}, values.context
    for each in values.parameters:
        if each.field is not None:
            words[each.field] = each, in_pixels(each.parse(values[each]), context.params)
    settings: dict[str, Any] = {}
    if name := context.params.get("preset"):
        settings |= load_preset(name).settings
    if file := context.params.get("config_file"):
        stored = remembered_settings(file).settings
        if "strength" in stored:
            settings.pop("content_weight", None)
        settings |= stored
    given_settings = {field: value for field, (each, value) in words.items() if values.given(each)}
    if {"strength", "content_weight"} <= given_settings.keys():
        raise SettingError("--strength and --content-weight cannot be combined", hint="give one of them")
    typed = {each.name for each in values.parameters if values.given(each)}
    replaced = {*(REPLACES.get(field) for field in given_settings)}
    replaced |= {field for name in typed for field in DECIDED_BY.get(name, ())}
    settings = {field: value for field, value in settings.items() if field not in replaced}
    settings |= given_settings
    defaults = {each.name: getattr(values.base, each.name) for each in fields(RenderConfig)}
    defaults |= {field: value for field, (_, value) in words.items()}
    if "strength" in settings:
        defaults["content_weight"] = None
    config = RenderConfig(**{**defaults, **settings})
    check_files(context, config)
    return config


def settings_given(values: Values) -> set[str]:
    """The fields of RenderConfig whose options were given."""
    return {each.field for each in values.parameters if each.field is not None and values.given(each)}


def load_config_file(context: typer.Context, path: Path | None) -> Path | None:
    """Let the [run] table of a file of settings stand in for options and arguments that are not given."""
    if path is None or context.resilient_parsing:
        return path
    from tilestyle.cli.remembered import remembered_settings
    from tilestyle.config.toml import unknown_name_error

    stored, command = remembered_settings(path), context.command.name
    if command in SERIES:
        words = [option_words(each) for each in _style_pictures(stored.run)]
        context.default_map = {**(context.default_map or {}), **_for_style(context, words, path)}
        return path
    if stored.command and stored.command != command and stored.run:
        raise SettingError(f"{path} was saved by 'tilestyle {stored.command}'", hint="use it with that command")
    known = [parameter.name or "" for parameter in context.command.params]
    for name in stored.run:
        if name not in known:
            raise unknown_name_error("option", name, known, f" under [run] in {path}")
    context.default_map = {**(context.default_map or {}), **{k: option_words(v) for k, v in stored.run.items()}}
    return path


def _style_pictures(run: Mapping[str, Any]) -> list[Any]:
    """The pictures of the styles in a [run] table, without their masks."""
    styles = run.get("style") or ()
    styles = styles if isinstance(styles, list | tuple) else [styles]
    return [each["picture"] if isinstance(each, Mapping) else each for each in styles]


def _for_style(context: typer.Context, words: list[Any], path: Path) -> dict[str, Any]:
    """The default of the parameter for the style, which may take one or several."""
    from tilestyle.cli.parameters import parameters_of

    takes_many = any(each.name == "style" and each.is_list for each in parameters_of(context.command.callback))
    if not words or takes_many:
        return {"style": words} if words else {}
    if len(words) > 1:
        raise SettingError(f"{path} has {len(words)} styles", hint=f"{context.command.name} takes one: give it")
    return {"style": words[0]}


def save_request(values: Values) -> SaveRequest | None:
    """What --save-config was asked to write; None if it was not given."""
    file = values.context.params.get("save_config")
    if file is None:
        return None
    return SaveRequest(file, values.context.command.name or "", run_options(values))


def run_options(values: Values) -> dict[str, Any]:
    """The options of a command that are not settings and affect the result, such as inputs and paper."""
    run = {}
    for each in values.parameters:
        value = values[each]
        saved = each.field is None and each.affects_result and each.name not in NOT_SAVED
        if saved and value not in (None, [], ()):
            is_list = isinstance(value, list | tuple)
            run[each.name] = _styles(value) if each.name == "style" and is_list else _plain(value)
    return run


def option_words(value: Any) -> Any:
    """A value as a command line has it."""
    if isinstance(value, Mapping) and "picture" in value:
        return ":".join(str(value[name]) for name in ("picture", "mask") if name in value)
    if isinstance(value, Mapping):
        return {name: option_words(each) for name, each in value.items()}
    if isinstance(value, tuple):
        return [option_words(each) for each in value]
    return value if isinstance(value, bool) else str(value)


def _plain(value: Any) -> Any:
    if isinstance(value, Path) and (name := bundled_name(value)):
        return name  # another installation has it elsewhere
    return value.value if isinstance(value, Enum) else value


def _styles(words: list[str]) -> list[dict[str, Any]]:
    """Styles with their masks or colors, by their files."""
    from tilestyle.cli.parsing import parse_styles

    entries = ({"picture": _plain(style.path), "mask": style.mask} for style in parse_styles(words))
    return [{name: value for name, value in style.items() if value is not None} for style in entries]
