"""What is stored in a written picture: the version, the command and the settings that made it."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from tilestyle.cli import options
from tilestyle.config.render import RenderConfig
from tilestyle.config.stored import RUN
from tilestyle.pipeline import provenance as library

if TYPE_CHECKING:
    from tilestyle.cli.inputs import Inputs
    from tilestyle.images import Json


def provenance(inputs: Inputs, config: RenderConfig, run: Mapping[str, Json]) -> dict[str, Json]:
    """What made a picture, as JSON; file names without their folders.

    Args:
        inputs: The pictures.
        config: The settings.
        run: The other options of the command (config/stored.py).
    """
    command = " ".join(["tilestyle", *map(_without_folder, affecting_result(sys.argv[1:]))])
    content = None if inputs.content is None else inputs.content.name
    names = [each.path.name for each in inputs.styles]
    return library.provenance(config, content, names, command) | {RUN: dict(run)}


def affecting_result(words: list[str]) -> list[str]:
    """The words of a command that affect its result."""
    ignored = {name: each.takes_value for each in options.ALL if not each.affects_result for name in each.names}
    affecting, rest = [], iter(words)
    for word in rest:
        name, equals, _ = word.partition("=")
        if ignored.get(name) and not equals:
            next(rest, None)
        elif name not in ignored:
            affecting.append(word)
    return affecting


def _without_folder(word: str) -> str:
    """A word of the command line without folders, also behind --option=."""
    option, equals, value = word.rpartition("=")
    return option + equals + ":".join(Path(part).name or part for part in value.split(":"))
