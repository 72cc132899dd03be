"""Commands whose files are checked before they begin, and whose mistakes are reported in one line.

Usage errors, which typer would print in a box, become errors of our own. Help is that of help_pages.py.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import typer
from typer.core import TyperCommand, TyperGroup

from tilestyle.cli.bundled import name_pictures, take_style_of_preset
from tilestyle.cli.conversion import allowed
from tilestyle.cli.file_checks import check_files
from tilestyle.cli.naming import name_output
from tilestyle.cli.parameters import HELP_ALL, parameters_of
from tilestyle.cli.positional import merge_arguments
from tilestyle.config.suggestions import did_you_mean
from tilestyle.errors import SettingError, excerpt
from tilestyle.files.paths import is_regular_file

# Of click, which some versions of typer bundle.
UsageError: type[Exception] = typer.BadParameter.__mro__[1]
HELP = "NoArgsIsHelp"  # not an error: it shows the help


class Command(TyperCommand):
    """A command whose files are checked before it begins."""

    allow_extra_args = True  # they are refused below, in words of our own

    def make_parser(self, ctx: Any) -> Any:
        """A parser that understands the hidden spellings of options, too."""
        parser: Any = super().make_parser(ctx)
        own = {each.name: each for each in parameters_of(self.callback)}
        for parameter in self.params:
            if parameter.name in own and own[parameter.name].aliases:
                parser.add_option(obj=parameter, opts=list(own[parameter.name].aliases), dest=parameter.name)
        return parser

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Read the words of the command."""
        if not ctx.resilient_parsing:
            check_dashes(args, flags_of(self), ctx)
        try:
            rest = super().parse_args(ctx, args)
        except UsageError as error:
            error.ctx = ctx  # type: ignore[attr-defined]  # the parser leaves it out
            raise
        if rest and not ctx.resilient_parsing:
            labels = [each.label for each in parameters_of(self.callback) if not each.flags]
            rule = f"takes only {' and '.join(labels)} before its options" if labels else "takes only options"
            raise SettingError(
                f"unexpected argument {excerpt(rest[0])}", hint=f"{ctx.command_path} {rule}, {see(ctx)}"
            )
        return rest

    def invoke(self, ctx: Any) -> Any:
        """Make it ready, then run it."""
        check_working_directory()
        make_ready(ctx)
        return super().invoke(ctx)

    def format_help(self, ctx: Any, formatter: Any) -> None:
        """Print the help, as typer does, too."""
        from tilestyle.cli.help_pages import print_help

        print_help(ctx)


def make_ready(context: Any) -> None:
    """Complete the inputs of a command, name the output if it has no name, and check the files."""
    take_style_of_preset(context)
    merge_arguments(context)
    name_pictures(context)
    name_output(context)
    check_files(context)


def check_working_directory() -> None:
    """Raise SettingError if it is gone: torch's libraries then end the process while they are loaded."""
    try:
        os.getcwd()
    except OSError as error:
        raise SettingError(
            f"the working directory cannot be found ({error.strerror}): it may have been removed",
            hint="change to another folder (cd)",
        ) from error


class ForwardingCommand(Command):
    """A command that hands the words after its argument on to another command, in `context.args`."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Read the argument, and the options that this command has itself."""
        first = [] if not args or args[0].startswith("-") else args[:1]
        flags = {*flags_of(self), *ctx.help_option_names}
        if first:  # then it is about the options of the other command
            flags -= set(HELP_ALL.flags)
        own = [word for word in args[len(first) :] if word.partition("=")[0] in flags]
        super().parse_args(ctx, [*first, *own])
        ctx.args = [word for word in args[len(first) :] if word not in own]
        return list(ctx.args)


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

    def resolve_command(self, ctx: Any, args: list[str]) -> Any:
        """Find the command; raises SettingError with the nearest one."""
        if not ctx.resilient_parsing:
            find_command(self, args[0], ctx)
        return super().resolve_command(ctx, args)

    def format_help(self, ctx: Any, formatter: Any) -> None:
        """Print the help, as typer does, too."""
        from tilestyle.cli.help_pages import print_help

        print_help(ctx)


class Commands(typer.Typer):
    """An app of such commands."""

    def __init__(self, **settings: Any) -> None:
        super().__init__(cls=Group, **settings)

    def command(self, name: str | None = None, **settings: Any) -> Callable[[Any], Any]:
        """Register a command."""
        return super().command(name, **{"cls": Command} | settings)


def find_command(group: Any, name: str, context: Any) -> Any:
    """A command of a group, by its name."""
    if name in group.commands:
        return group.commands[name]
    hint = f"{did_you_mean(name, group.commands, f'{context.command_path} ')}{see(context)}"
    raise SettingError(f"there is no command {excerpt(name)}", hint=hint)


def flags_of(command: Any, *, with_hidden: bool = True) -> list[str]:
    """Every flag of a command, with or without its hidden spellings."""
    flags = [flag for each in command.params for flag in (*each.opts, *each.secondary_opts) if flag[0] == "-"]
    hidden = [flag for each in parameters_of(command.callback) for flag in each.aliases] if with_hidden else []
    return [*flags, *hidden, "--help"]


def see(context: Any) -> str:
    """The end of a hint."""
    return f"see {context.command_path} --help"


def check_dashes(words: list[str], flags: list[str], context: Any) -> None:
    """Raise SettingError for a word that is not read as it looks.

    `-size` would be `-s ize`, and `-o=out.png` a file named "=out.png".
    """
    for word in words[: words.index("--")] if "--" in words else words:
        name, equals, value = word.partition("=")
        if name[0:1] == "-" and name not in flags and is_regular_file(word):
            raise SettingError(f"{excerpt(word)} looks like an option", hint=f"give ./{word} for the file")
        if name.startswith("--"):
            continue
        if len(name) > 2 and f"-{name}" in flags:
            raise SettingError(f"unknown option {name}", hint=f"did you mean -{name}? {see(context)}")
        if equals and len(name) == 2 and name in flags:
            raise SettingError(f"{name} takes no =", hint=f"give {name} {value}, {see(context)}")


@contextmanager
def one_line() -> Iterator[None]:
    """Turn a usage error of typer into a SettingError."""
    try:
        yield
    except UsageError as error:
        kind = type(error).__name__
        if kind.startswith(HELP):
            raise
        raise _setting_error(kind, error) from error


def _setting_error(kind: str, error: Any) -> SettingError:
    """The error in our own words. Classes go by name: typer brings a click of its own, or uses another."""
    context = getattr(error, "ctx", None)
    where = see(context) if context else "see tilestyle --help"
    own = {each.name: each for each in parameters_of(context.command.callback)} if context else {}
    if kind == "NoSuchOption" and context:
        return _unknown_option(error.option_name, context)
    if kind == "BadOptionUsage":
        parameter = next((each for each in own.values() if error.option_name in each.names), None)
        if parameter is None or not parameter.takes_value:
            return SettingError(f"{error.option_name} takes no value", hint=f"give it without one, {where}")
        return SettingError(f"{error.option_name} needs a value", hint=allowed(parameter))
    parameter = own.get(getattr(getattr(error, "param", None), "name", None) or "")
    if kind == "MissingParameter" and parameter:
        return SettingError(f"{parameter.label} is missing", hint=f"{allowed(parameter)}, {where}")
    message = " ".join(error.format_message().split()).rstrip(".")
    return SettingError(message[:1].lower() + message[1:], hint=where)


def _unknown_option(name: str, context: Any) -> SettingError:
    """The error about a flag that a command does not have."""
    command = context.command
    for other in getattr(command, "commands", {}).values():
        if name in flags_of(other):
            return SettingError(
                f"unknown option {name}",
                hint=f"options follow the command: {context.command_path} {other.name} {name}",
            )
    return SettingError(
        f"unknown option {name}", hint=f"{did_you_mean(name, _long(command), '--')}{see(context)}"
    )


def _long(command: Any) -> list[str]:
    """The long flags of a command without their dashes; of two spellings, the one that help shows."""
    return [flag[2:] for flag in (*_shown(command), "--help") if flag.startswith("--")]


def _shown(command: Any) -> list[str]:
    return [flag for each in command.params for flag in (*each.opts, *each.secondary_opts)]
