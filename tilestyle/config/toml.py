"""Reading and writing settings as TOML files, presets included.

The keys are the fields of RenderConfig. A missing key stands for None, `{file = "name"}` for a file, relative
to the folder of the TOML file, and "3000x2000" for width and height. (A list as `size` is of an older version:
height and width.) Besides settings there may be the keys `about` (what the settings are for), `source` (where
they come from), `command` (the command they were saved by) and `style` (the bundled picture whose style is used
if none is given), and a table `[run]` with the other options of that command, such as pictures, paper and
format.
"""

from __future__ import annotations

import os
import tomllib
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field, fields
from enum import StrEnum
from pathlib import Path
from types import UnionType
from typing import Any, Union, get_args, get_origin, get_type_hints

import tomli_w

from tilestyle.config.presets import preset_path
from tilestyle.config.render import RenderConfig
from tilestyle.config.reuse import with_current_names
from tilestyle.config.size import parse_size, stored_size
from tilestyle.config.suggestions import did_you_mean
from tilestyle.errors import OutputError, SettingError, excerpt
from tilestyle.files.atomic import atomic_write
from tilestyle.files.paths import regular_file
from tilestyle.pictures import STYLES
from tilestyle.version import __version__

FEW_NAMES = 30  # that fit into a message
TEXT_KEYS = ("about", "source", "command", "style")  # keys that are not settings; their values are text


@dataclass(frozen=True)
class SettingsFile:
    """The content of a settings file.

    Attributes:
        path: The file.
        settings: Fields of RenderConfig by name.
        run: Other options of the command that saved the file.
        about: What the settings are for.
        source: Where they come from, such as a publication.
        command: The command that saved the file.
        style: Name of the bundled picture whose style is used if no other is given.
    """

    path: Path
    settings: dict[str, Any]
    run: dict[str, Any] = field(default_factory=dict)
    about: str = ""
    source: str = ""
    command: str = ""
    style: str = ""


def load_settings(path: Path) -> SettingsFile:
    """Read a settings file.

    Raises:
        SettingError: The file is missing or not TOML, or has an unknown key or a value of the wrong type.
            RenderConfig checks the ranges.
    """
    file = regular_file(path, "settings", SettingError)
    try:
        content = tomllib.loads(file.read_text(encoding="utf-8-sig"))
    except OSError as error:
        raise SettingError(
            f"cannot read settings from {path} ({error.strerror})", hint="check the path"
        ) from error
    except (ValueError, RecursionError) as error:  # invalid TOML or UTF-8, or a number with too many digits
        raise SettingError(
            f"{path} is not valid TOML ({error})", hint="see `tilestyle presets draft` for an example"
        ) from error
    hints = get_type_hints(RenderConfig)
    folder = path.parent
    run = content.pop("run", {})
    words = {name: content.pop(name) for name in TEXT_KEYS if isinstance(content.get(name), str)}
    if words.get("style", STYLES[0]) not in STYLES:
        raise SettingError(
            f"style cannot be {words['style']!r} in {path}", hint=f"give one of {', '.join(STYLES)}"
        )
    settings = {}
    for name, stored in with_current_names(content).items():
        if name not in hints:
            raise unknown_name_error("setting", name, [*hints, *TEXT_KEYS, "run"], f" in {path}")
        settings[name] = _size(stored, path) if name == "size" else _from_toml(stored, folder)
        if not matches_type(settings[name], hints[name]):
            raise SettingError(
                f"{name} cannot be {stored!r} in {path}", hint="see `tilestyle presets draft` for an example"
            )
    return SettingsFile(
        path, settings, {name: _from_toml(value, folder) for name, value in run.items()}, **words
    )


def load_preset(name: str) -> SettingsFile:
    """Load a preset by name; raises SettingError with a similar name if there is none."""
    return load_settings(preset_path(name))


def merge_settings(*layers: Mapping[str, Any]) -> RenderConfig:
    """Merge settings by name into a RenderConfig; later layers override earlier ones."""
    return RenderConfig(**{name: value for layer in layers for name, value in layer.items()})


def save_settings(
    path: Path, config: RenderConfig, command: str = "", run: Mapping[str, Any] | None = None
) -> None:
    """Write all settings to a file that `load_settings` reads back unchanged.

    Args:
        path: The file; an existing one is replaced.
        config: The settings.
        command: The command that they belong to.
        run: Other options of that command, by name.

    Raises:
        SettingError: A value is a picture in memory, or something else that TOML cannot hold.
        OutputError: The file cannot be written.
    """
    folder = path.parent
    settings = {item.name: getattr(config, item.name) for item in fields(config)}
    stored: dict[str, Any] = {"command": command} if command else {}
    stored |= {name: _to_toml(name, value, folder) for name, value in settings.items() if value is not None}
    options = {name: value for name, value in (run or {}).items() if value is not None}
    if options:
        stored["run"] = {name: _to_toml(name, value, folder) for name, value in options.items()}
    text = f"# Settings of tilestyle {__version__}\n\n{tomli_w.dumps(stored)}"
    try:
        with atomic_write(path) as file:
            file.write(text.encode())
    except OSError as error:
        raise OutputError(
            f"cannot write {path} ({error.strerror})", hint="choose another file for --save-config"
        ) from error


def unknown_name_error(kind: str, name: str, known: Collection[str], where: str = "") -> SettingError:
    """Build the error for an unknown name, with a similar one as the hint, or with all if they are few.

    Args:
        kind: What the name stands for, such as "setting".
        name: The unknown name.
        known: All known names, at least one.
        where: Text after the name, such as " in a.toml".
    """
    hint = did_you_mean(name, known, quoted=True).rstrip()
    if not hint:
        few = f"give {', '.join(known)}"
        hint = few if len(known) <= FEW_NAMES else "--save-config FILE writes all of them"
    return SettingError(f"there is no {kind} {excerpt(name)}{where}", hint=hint)


def matches_type(value: Any, hint: Any) -> bool:
    """Whether a value matches the type annotation of a setting. The choices of enums are text here."""
    origin, parts = get_origin(hint), get_args(hint)
    if hint is Any:
        return isinstance(value, os.PathLike)  # pictures: a file can only contain their names
    if origin in (Union, UnionType):
        return any(matches_type(value, part) for part in parts)
    if origin is tuple:
        if not isinstance(value, tuple):
            return False
        item_hints = [parts[0]] * len(value) if parts[-1] is Ellipsis else list(parts)
        return len(item_hints) == len(value) and all(map(matches_type, value, item_hints))
    if origin is dict:
        return isinstance(value, dict) and all(matches_type(item, parts[1]) for item in value.values())
    if isinstance(origin or hint, type) and issubclass(origin or hint, StrEnum):
        return isinstance(value, str)
    if hint is float:
        return isinstance(value, int | float) and not isinstance(value, bool)
    if hint is int:
        return isinstance(value, int) and not isinstance(value, bool)
    return isinstance(value, origin or hint)


def _from_toml(stored: Any, folder: Path) -> Any:
    """Convert a TOML value to a value of a setting: lists become tuples, `{file = ...}` a path."""
    if isinstance(stored, list):
        return tuple(_from_toml(item, folder) for item in stored)
    if isinstance(stored, dict):
        if set(stored) == {"file"} and isinstance(stored["file"], str):
            return Path(os.path.normpath(folder / stored["file"]))
        return {name: _from_toml(value, folder) for name, value in stored.items()}
    return stored


def _size(stored: Any, path: Path) -> Any:
    """Convert a TOML value to a size; text is WIDTHxHEIGHT."""
    if not isinstance(stored, str):
        return _from_toml(stored, path.parent)
    try:
        return parse_size(stored)
    except SettingError as error:
        raise SettingError(f"size cannot be {excerpt(stored)} in {path}", hint=error.hint) from None


def _to_toml(name: str, value: Any, folder: Path) -> Any:
    """Convert a value of a setting to a TOML value; raises SettingError if there is none."""
    if name == "size":
        return stored_size(value)
    if isinstance(value, StrEnum):
        return value.value
    if isinstance(value, bool | int | float | str):
        return value
    if isinstance(value, os.PathLike):
        return {"file": Path(os.path.relpath(value, folder)).as_posix()}
    if isinstance(value, Mapping):
        return {key: _to_toml(name, item, folder) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_to_toml(name, item, folder) for item in value]
    raise SettingError(f"{name} is not a file and cannot be saved with the settings", hint="give a file name")
