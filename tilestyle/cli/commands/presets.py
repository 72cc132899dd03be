"""`tilestyle presets`."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tilestyle.cli import options as opt
from tilestyle.cli.parameters import Values, command, optional_argument
from tilestyle.cli.terminal import console
from tilestyle.config.presets import preset_names

if TYPE_CHECKING:
    from rich.table import Table

NAME = optional_argument(
    "name",
    str,
    "Preset to print, as a file of settings for --config (TOML).",
    complete=lambda _: preset_names(),
)


@command(NAME, opt.DEBUG)
def presets(values: Values) -> None:
    """List the looks and other presets for --preset, or print the settings of one."""
    from tilestyle.config.presets import look_names, preset_path

    name = values[NAME]
    if name is not None:
        print(preset_path(name).read_text(encoding="utf-8"), end="")
        return
    looks = look_names()
    others = [each for each in preset_names() if each not in looks]
    shown = console()
    shown.print(_table(("look", "what one sees", "style"), looks))
    shown.print()
    shown.print(_table(("settings", "what", "source"), others))


def _table(headings: tuple[str, str, str], names: list[str]) -> Table:
    """A table of presets; those that are a look show their style, the others where their settings are from."""
    from rich.table import Table

    from tilestyle.config.toml import load_preset

    table = Table(box=None, padding=(0, 2, 0, 0))
    for heading in headings:
        table.add_column(heading, no_wrap=heading == headings[0], overflow="fold")
    for each in names:
        stored = load_preset(each)
        table.add_row(each, stored.about, stored.style or stored.source)
    return table
