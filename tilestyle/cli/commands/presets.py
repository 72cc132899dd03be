"""`tilestyle presets`."""

from __future__ import annotations

from tilestyle.cli import options as opt
from tilestyle.cli.parameters import Values, command, optional_argument
from tilestyle.cli.terminal import console

NAME = optional_argument("name", str, "Preset to print as a TOML file of settings.")


@command(NAME, opt.DEBUG)
def presets(values: Values) -> None:
    """List the presets for --preset, or print one."""
    from rich.table import Table

    from tilestyle.config.presets import preset_names, preset_path
    from tilestyle.config.toml import load_preset

    name = values[NAME]
    if name is not None:
        print(preset_path(name).read_text(encoding="utf-8"), end="")
        return
    table = Table(box=None, padding=(0, 2, 0, 0))
    for heading in ("preset", "what", "source"):
        table.add_column(heading, no_wrap=heading == "preset", overflow="fold")
    for each in preset_names():
        stored = load_preset(each)
        table.add_row(each, stored.about, stored.source)
    console().print(table)
