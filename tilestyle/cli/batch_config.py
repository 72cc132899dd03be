"""Settings of a picture or a render, for a batch: `batch photos --config result.png`."""

from __future__ import annotations

from pathlib import Path

import typer

from tilestyle.cli.config_options import option_words
from tilestyle.errors import SettingError

SINGLE_PICTURE_ONLY = ("content", "out", "save_config", "frames", "film", "work_dir", "preview")


def load_render_settings(context: typer.Context, path: Path | None) -> Path | None:
    """Take options that are not given to the batch from those of a stored render, except its photo."""
    if path is None or context.resilient_parsing:
        return path
    from tilestyle.cli.remembered import remembered_settings

    stored = remembered_settings(path)
    if stored.command not in ("", "render", "batch") and stored.run:
        raise SettingError(
            f"{path} was saved by 'tilestyle {stored.command}'", hint="give settings or a picture of a render"
        )
    known = {parameter.name for parameter in context.command.params} - {*SINGLE_PICTURE_ONLY}
    words = {name: option_words(value) for name, value in stored.run.items() if name in known}
    context.default_map = {**(context.default_map or {}), **words}
    return path
