"""Commands whose files are checked before they begin, and whose mistakes are reported in one line.

Usage errors, which typer would print in a box, become errors of our own.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import typer
from typer.core import TyperCommand, TyperGroup

from tilestyle.cli.file_checks import check_files
from tilestyle.cli.parameters import parameters_of
from tilestyle.errors import SettingError

# Of click, which some versions of typer bundle.
UsageError: type[Exception] = typer.BadParameter.__mro__[1]
HELP = "NoArgsIsHelp"  # not an error: it shows the help


class Command(TyperCommand):
    """A command whose files are checked before it begins."""

    def make_parser(self, ctx: Any) -> Any:
        """A parser that understands the hidden spellings of options, too."""
        parser: Any = super().make_parser(ctx)
        aliases = {each.name: each.aliases for each in parameters_of(self.callback) if each.aliases}
        for parameter in self.params:
            if parameter.name in aliases:
                parser.add_option(obj=parameter, opts=list(aliases[parameter.name]), dest=parameter.name)
        return parser

    def invoke(self, ctx: Any) -> Any:
        """Check the files, then run it."""
        check_files(ctx)
        return super().invoke(ctx)


class Group(TyperGroup):
    """Commands whose usage errors become SettingError."""

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
    """Turn a usage error of typer into a SettingError."""
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
