"""Settings in files: TOML whose keys are the fields of RenderConfig, and the presets that come along.

What has no words in TOML is said so: no value is no key, a file is `{file = "name"}`, seen from the folder of
the file of settings. Besides settings a file may say what it is `about`, its `source`, which `command` it is
of, and under `[run]` what else was asked of that: pictures, paper, format.
"""

from __future__ import annotations

import difflib
import os
import tomllib
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field, fields
from enum import StrEnum
from pathlib import Path
from types import UnionType
from typing import Any, Union, get_args, get_origin, get_type_hints

import tomli_w

from tilestyle.config.presets import path_of
from tilestyle.config.render import RenderConfig
from tilestyle.errors import OutputError, SettingError
from tilestyle.files.atomic import replacing
from tilestyle.files.paths import ordinary_file
from tilestyle.version import __version__

WORDS = ("about", "source", "command")  # beside settings, all of them text


@dataclass(frozen=True)
class Stored:
    """What a file of settings says."""

    path: Path
    settings: dict[str, Any]
    run: dict[str, Any] = field(default_factory=dict)  # what else was asked of the command
    about: str = ""
    source: str = ""
    command: str = ""


def load(path: Path) -> Stored:
    """Read a file of settings; raises SettingError where it says what cannot be."""
    file = ordinary_file(path, "settings", SettingError)
    try:
        found = tomllib.loads(file.read_text(encoding="utf-8-sig"))
    except OSError as error:
        raise SettingError(
            f"cannot read settings from {path} ({error.strerror})", hint="check the path"
        ) from error
    except (ValueError, RecursionError) as error:  # of TOML, of UTF-8, and of a number of thousands of digits
        raise SettingError(f"{path} is no TOML ({error})", hint="see `tilestyle presets draft`") from error
    hints = get_type_hints(RenderConfig)
    folder = path.parent
    run = found.pop("run", {})
    words = {name: found.pop(name) for name in WORDS if isinstance(found.get(name), str)}
    settings = {}
    for name, stored in found.items():
        if name not in hints:
            raise unknown("setting", name, [*hints, *WORDS, "run"], f" in {path}")
        settings[name] = _meant(stored, folder)
        if not fits(settings[name], hints[name]):
            raise SettingError(f"{name} cannot be {stored!r} in {path}", hint="see `tilestyle presets draft`")
    return Stored(path, settings, {name: _meant(value, folder) for name, value in run.items()}, **words)


def preset(name: str) -> Stored:
    """The preset of this name; raises SettingError, suggesting the nearest."""
    return load(path_of(name))


def config_of(*layers: Mapping[str, Any]) -> RenderConfig:
    """Settings laid over each other, the last on top."""
    return RenderConfig(**{name: value for layer in layers for name, value in layer.items()})


def save(path: Path, config: RenderConfig, command: str = "", run: Mapping[str, Any] | None = None) -> None:
    """Write all settings, so that `load` gives the same. Raises OutputError, or SettingError."""
    folder = path.parent
    settings = {each.name: getattr(config, each.name) for each in fields(config)}
    stored: dict[str, Any] = {"command": command} if command else {}
    stored |= {name: _storable(name, value, folder) for name, value in settings.items() if value is not None}
    asked = {name: value for name, value in (run or {}).items() if value is not None}
    if asked:
        stored["run"] = {name: _storable(name, value, folder) for name, value in asked.items()}
    text = f"# Settings of tilestyle {__version__}\n\n{tomli_w.dumps(stored)}"
    try:
        with replacing(path) as file:
            file.write(text.encode())
    except OSError as error:
        raise OutputError(
            f"cannot write {path} ({error.strerror})", hint="give another --save-config"
        ) from error


def unknown(kind: str, name: str, known: Collection[str], where: str = "") -> SettingError:
    """The error for a name that is not known, suggesting the nearest."""
    nearest = difflib.get_close_matches(name, known, n=1, cutoff=0.0)
    return SettingError(f"there is no {kind} {name!r}{where}", hint=f"did you mean {nearest[0]!r}?")


def fits(value: Any, hint: Any) -> bool:
    """Whether a value is of a type, as far as types of settings go; names of choices are text."""
    origin, parts = get_origin(hint), get_args(hint)
    if hint is Any:
        return isinstance(value, os.PathLike)  # pictures, of which a file has only names
    if origin in (Union, UnionType):
        return any(fits(value, part) for part in parts)
    if origin is tuple:
        if not isinstance(value, tuple):
            return False
        wanted = [parts[0]] * len(value) if parts[-1] is Ellipsis else list(parts)
        return len(wanted) == len(value) and all(map(fits, value, wanted))
    if origin is dict:
        return isinstance(value, dict) and all(fits(each, parts[1]) for each in value.values())
    if isinstance(origin or hint, type) and issubclass(origin or hint, StrEnum):
        return isinstance(value, str)
    if hint is float:
        return isinstance(value, int | float) and not isinstance(value, bool)
    if hint is int:
        return isinstance(value, int) and not isinstance(value, bool)
    return isinstance(value, origin or hint)


def _meant(stored: Any, folder: Path) -> Any:
    """A value as settings have it."""
    if isinstance(stored, list):
        return tuple(_meant(each, folder) for each in stored)
    if isinstance(stored, dict):
        if set(stored) == {"file"} and isinstance(stored["file"], str):
            return Path(os.path.normpath(folder / stored["file"]))
        return {name: _meant(value, folder) for name, value in stored.items()}
    return stored


def _storable(name: str, value: Any, folder: Path) -> Any:
    """A value as TOML has it."""
    if isinstance(value, StrEnum):
        return value.value
    if isinstance(value, bool | int | float | str):
        return value
    if isinstance(value, os.PathLike):
        return {"file": Path(os.path.relpath(value, folder)).as_posix()}
    if isinstance(value, Mapping):
        return {key: _storable(name, each, folder) for key, each in value.items()}
    if isinstance(value, list | tuple):
        return [_storable(name, each, folder) for each in value]
    raise SettingError(
        f"{name} is no file, and cannot be kept with the settings", hint="give the name of a file"
    )
