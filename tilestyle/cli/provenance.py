"""What is stored in a written picture: the version, the command and the settings that made it."""

from __future__ import annotations

import sys
from dataclasses import fields
from os import PathLike
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tilestyle.cli import options
from tilestyle.config.render import RenderConfig
from tilestyle.version import __version__

if TYPE_CHECKING:
    from tilestyle.cli.inputs import Inputs
    from tilestyle.images import Json


def provenance(inputs: Inputs, config: RenderConfig) -> dict[str, Json]:
    """What made a picture, as JSON; file names without their folders."""
    defaults = RenderConfig()
    styles: list[Json] = [each.path.name for each in inputs.styles]
    settings = {
        field.name: _plain(getattr(config, field.name))
        for field in fields(config)
        if getattr(config, field.name) != getattr(defaults, field.name) or field.name == "seed"
    }
    return {
        "version": __version__,
        "command": " ".join(["tilestyle", *map(_bare, affecting_result(sys.argv[1:]))]),
        "content": None if inputs.content is None else inputs.content.name,
        "style": styles[0] if len(styles) == 1 else styles or None,
        "settings": settings,
    }


def affecting_result(words: list[str]) -> list[str]:
    """The words of a command that have a say in its result."""
    without = {name: each.takes_value for each in options.ALL if not each.affects_result for name in each.names}
    found, rest = [], iter(words)
    for word in rest:
        name, equals, _ = word.partition("=")
        if without.get(name) and not equals:
            next(rest, None)
        elif name not in without:
            found.append(word)
    return found


def _bare(word: str) -> str:
    """A word of the command line without folders, also behind --option=."""
    option, equals, value = word.rpartition("=")
    return option + equals + ":".join(Path(part).name or part for part in value.split(":"))


def _plain(value: Any) -> Json:
    """A setting as JSON has it."""
    if isinstance(value, tuple):
        return list(value)
    from tilestyle.images import ImageSource

    value = Path(value.name) if isinstance(value, ImageSource) else value
    return Path(value).name if isinstance(value, PathLike) else value
