"""The settings that a picture stores, as if they were in a file of settings.

Presets, `--config`, `--like` and `tilestyle again` all read a SettingsFile: of TOML (toml.py), or of what a
picture stores. `reuse.look_of` takes from it what belongs to a look.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, get_type_hints

from tilestyle.config.enums import Init
from tilestyle.config.render import FILE_FIELDS, RenderConfig
from tilestyle.config.reuse import RANDOM_WEIGHTS, find_file, with_current_names
from tilestyle.config.size import parse_size
from tilestyle.config.toml import SettingsFile, matches_type, unknown_name_error
from tilestyle.errors import SettingError

RUN = "run"
"""Where a picture stores the options of its command that are not settings, such as its inputs and its paper."""

DECIDED_BY = {"paper": ("size",), "stroke": ("style_scale", "enlarge_style")}
"""Options that decide settings, which are decided again when the picture is made again."""


def stored_settings(provenance: Mapping[str, Any] | None, picture: Path) -> SettingsFile:
    """Return the settings of a picture that tilestyle made.

    Files that made the picture are looked for in the working directory, beside the picture, and among the
    pictures of the package. One that is not there keeps its name, so that the command says what is missing.

    Args:
        provenance: What is stored in the picture (see images.read_provenance).
        picture: Its file.

    Raises:
        SettingError: Nothing is stored, or settings that this version does not know.
    """
    stored = with_current_names(provenance)
    if not isinstance(stored, dict) or not isinstance(stored.get("settings"), dict):
        raise SettingError(
            f"{picture} has no stored settings",
            hint="give a picture that tilestyle made, as tilestyle saved it",
        )
    run = _run(stored, picture)
    decided = {name for option in run for name in DECIDED_BY.get(option, ())}
    settings = {
        name: _setting(name, value, picture)
        for name, value in stored["settings"].items()
        if name not in decided
    }
    return SettingsFile(picture, settings, run, command=_command(stored))


def portable_run(run: Mapping[str, Any]) -> dict[str, Any]:
    """Return the options of a command as JSON, with the names of files without their folders."""
    return {name: _portable(value) for name, value in run.items()}


def _portable(value: Any) -> Any:
    if isinstance(value, Path):
        return {"file": value.name}
    if isinstance(value, Mapping):
        return {name: _portable(each) for name, each in value.items()}
    return [_portable(each) for each in value] if isinstance(value, list | tuple) else value


def _command(stored: Mapping[str, Any]) -> str:
    """The command that made a picture; "" if it is not known."""
    words = str(stored.get("command", "")).split()
    return words[1] if len(words) > 1 else ""


def _run(stored: Mapping[str, Any], picture: Path) -> dict[str, Any]:
    """The options that are not settings. A picture made from Python stores its inputs alone."""
    if isinstance(stored.get(RUN), dict):
        return {name: _located(value, picture) for name, value in stored[RUN].items()}
    styles = stored.get("style") or []
    styles = styles if isinstance(styles, list) else [styles]
    inputs = {
        "content": stored.get("content"),
        "style": tuple({"picture": find_file(str(name), picture)} for name in styles),
    }
    if inputs["content"]:
        inputs["content"] = find_file(str(inputs["content"]), picture)
    return {name: value for name, value in inputs.items() if value}


def _located(value: Any, picture: Path) -> Any:
    """A stored option, with the paths of its files."""
    if isinstance(value, dict) and set(value) == {"file"}:
        return find_file(str(value["file"]), picture)
    if isinstance(value, dict):
        return {name: _located(each, picture) for name, each in value.items()}
    return tuple(_located(each, picture) for each in value) if isinstance(value, list) else value


def _setting(name: str, value: Any, picture: Path) -> Any:
    """A stored setting as RenderConfig has it.

    Raises:
        SettingError: There is no such setting, or it cannot have this value.
    """
    hints = get_type_hints(RenderConfig)
    if name not in hints:
        raise unknown_name_error("setting", name, list(hints), f" in {picture}")
    if name == "size":
        value = parse_size(None if value is None else str(value))
    elif name in FILE_FIELDS and isinstance(value, str) and value not in (RANDOM_WEIGHTS, *Init):
        value = find_file(value, picture)
    elif isinstance(value, list):
        value = tuple(value)
    if not matches_type(value, hints[name]):
        raise SettingError(f"{name} cannot be {value!r} in {picture}", hint=f"give --{name.replace('_', '-')}")
    return value
