"""Commands as all of ours are: their files are checked before they begin, and a mistake is one line.

What typer would print in a box, with its usage above, becomes our own error: the line that all others get.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import typer
from typer.core import TyperCommand, TyperGroup

from tilestyle.cli.guarding import check_files
from tilestyle.errors import SettingError

# Of click, which typer takes from elsewhere or brings along, by version.
UsageError: type[Exception] = typer.BadParameter.__mro__[1]
HELP = "NoArgsIsHelp"  # one that is no mistake: it shows the help


class Command(TyperCommand):
    """A command whose files are checked before it begins."""

    def invoke(self, ctx: Any) -> Any:
        """Check the files, then run it."""
        check_files(ctx)
        return super().invoke(ctx)


class Group(TyperGroup):
    """Commands whose wrong words become SettingError."""

    def make_context(self, *args: Any, **extra: Any) -> Any:
        """Read the words before the command's name."""
        with one_line():
            return super().make_context(*args, **extra)

    def invoke(self, ctx: Any) -> Any:
        """Find the command, read its words, run it."""
        with one_line():
            return super().invoke(ctx)


class Commands(typer.Typer):
    """An app of such commands."""

    def __init__(self, **settings: Any) -> None:
        super().__init__(cls=Group, **settings)

    def command(self, name: str | None = None, **settings: Any) -> Callable[[Any], Any]:
        """Register a command."""
        return super().command(name, cls=Command, **settings)


@contextmanager
def one_line() -> Iterator[None]:
    """Make one line of a word that typer does not understand."""
    try:
        yield
    except UsageError as error:
        if type(error).__name__.startswith(HELP):
            raise
        context: Any = getattr(error, "ctx", None)
        said = " ".join(error.format_message().split())  # type: ignore[attr-defined]
        said = re.sub(r"^Invalid value for (.+?): (Value error, )?", r"\1: ", said).rstrip(".")
        hint = f"see {context.command_path} --help" if context else "see tilestyle --help"
        raise SettingError(said[:1].lower() + said[1:], hint=hint) from error
