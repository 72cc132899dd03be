"""`tilestyle help`."""

from __future__ import annotations

from typing import Any

import typer

from tilestyle.cli.help_pages import print_help
from tilestyle.cli.parameters import Values, command, optional_argument
from tilestyle.cli.typer_app import find_command
from tilestyle.errors import SettingError


def _names(context: typer.Context) -> list[str]:
    group: Any = context.find_root().command
    return [name for name in group.commands if name != "help"]


NAMES = optional_argument(
    "names", list[str], "Command to explain, such as render.", metavar="COMMAND", complete=_names
)


@command(NAMES)
def help_command(values: Values) -> None:
    """Show the help of a command."""
    context = values.context.find_root()
    for name in values[NAMES] or []:
        if not hasattr(context.command, "commands"):
            raise SettingError(
                f"{context.command_path} has no command {name!r}", hint=f"see {context.command_path} --help"
            )
        subcommand = find_command(context.command, name, context)
        context = type(context)(subcommand, info_name=name, parent=context)
    print_help(context)
