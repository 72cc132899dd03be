"""`tilestyle presets`."""

from __future__ import annotations

from typing import Annotated

import typer

from tilestyle.cli import options as option
from tilestyle.cli.terminal import console


def presets(
    name: Annotated[
        str | None, typer.Argument(help="Preset to print, as a file of settings.", show_default=False)
    ] = None,
    debug: option.Debug = False,
) -> None:
    """List the presets: what --preset knows; or print one."""
    from rich.table import Table

    from tilestyle.config.presets import names, path_of
    from tilestyle.config.toml import preset

    if name is not None:
        print(path_of(name).read_text(encoding="utf-8"), end="")
        return
    table = Table(box=None, padding=(0, 2, 0, 0))
    for heading in ("preset", "what", "source"):
        table.add_column(heading, no_wrap=heading == "preset", overflow="fold")
    for each in names():
        stored = preset(each)
        table.add_row(each, stored.about, stored.source)
    console().print(table)
