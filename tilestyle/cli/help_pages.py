"""The pages of `--help` and `--help-all`.

Commands with many options show the basic ones first, and all of them, in groups, with --help-all. Lines break
between words only, so a choice or a name is never cut.
"""

from __future__ import annotations

import shlex
import textwrap
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from enum import Enum
from inspect import cleandoc
from typing import TYPE_CHECKING, Any

from tilestyle.cli.examples import EXAMPLES, Example
from tilestyle.cli.parameters import HELP_ALL, REQUIRED, Parameter, parameters_of
from tilestyle.cli.terminal import console
from tilestyle.config.readable import format_number

if TYPE_CHECKING:
    from rich.console import Console

MANY = 16  # options; a command with more hides those that are not basic
WIDEST = 100  # columns of a page
NAMES_WIDTH = 26  # of the column of names; longer names have a line of their own
NARROWEST = 30  # of the column of texts; without room for it, all names have lines of their own
INDENT = 2
MOST_INDENT = 24
UNBROKEN = "\u00a0"  # a space that lines do not break at
PANELS = ("Look", "Output", "Print", "Preview", "Computation", "Film", "Configuration files", "Checkpoints")
"""Groups of options, in their order."""


@dataclass(frozen=True)
class Entry:
    """One line of a list: a name, and what it is."""

    names: str
    text: str
    note: str = ""


def print_help(context: Any, *, full: bool = False) -> None:
    """Print the help of a command.

    Args:
        context: The context of the command.
        full: Whether to show options that are not basic, too.
    """
    out = console()
    out.width = min(out.width, WIDEST)
    command = context.command
    is_group = hasattr(command, "commands")
    parameters = [each for each in parameters_of(command.callback) if each is not HELP_ALL]
    path = context.command_path
    _print_usage(out, path, "COMMAND [OPTIONS]" if is_group else usage(parameters))
    for paragraph in cleandoc(command.help or "").split("\n\n"):
        out.print("", *_wrapped(" ".join(paragraph.split()), out.width), sep="\n")
    longest = max(map(len, command.commands)) if is_group else 0
    for title, entries in _command_lists(command) if is_group else _option_lists(parameters, full):
        _print_list(out, title, entries, longest)
    if is_group:
        _print_list(out, "Options", list(_flags(command, context)))
    _print_examples(out, EXAMPLES.get(path.partition(" ")[2], ()))
    if is_group:
        out.print(f"\nHelp for a command: {path} {next(iter(command.commands))} --help")
    elif hidden(parameters) and not full:
        out.print(f"\nMore options: {path} --help-all")


def print_repeated(command: Any, name: str, picture: str) -> None:
    """Print the options with which `tilestyle again` makes a picture again.

    Args:
        command: The command that made it.
        name: The name of that command.
        picture: The picture, as it was typed.
    """
    out = console()
    out.width = min(out.width, WIDEST)
    options = [each for each in parameters_of(command.callback) if each.flags and each is not HELP_ALL]
    _print_usage(out, f"tilestyle again {shlex.quote(picture)}", "[OPTIONS]")
    about = (
        f"This picture was made by `tilestyle {name}`, whose options these are. What you do not give stays as "
        "it is stored in the picture, whatever the default."
    )
    out.print("", *_wrapped(about, out.width), sep="\n")
    free = [each.with_changes(default=None) if each.default is REQUIRED else each for each in options]
    for title, entries in _option_lists(free, full=True):
        _print_list(out, title, entries)


def usage(parameters: Iterable[Parameter[Any]]) -> str:
    """What follows the name of a command: its arguments and what must be given."""
    words, options = [], []
    for each in parameters:
        text = f"{each.metavar}{'...' * (each.is_list and not each.flags)}"
        if not each.flags:
            words.append(text if each.default is REQUIRED else f"[{text}]")
        elif each.default is REQUIRED:
            options.append(f"{each.label} {text}")
    return " ".join([*words, *options, "[OPTIONS]"])


def hidden(parameters: Iterable[Parameter[Any]]) -> list[Parameter[Any]]:
    """The options that only `--help-all` shows."""
    options = [each for each in parameters if each.flags]
    return [each for each in options if not each.basic and each.default is not REQUIRED] * (len(options) > MANY)


def entry_of(parameter: Parameter[Any]) -> Entry:
    """The lines of an option or argument."""
    if not parameter.flags:
        return Entry(parameter.metavar or parameter.name, parameter.help, _default_text(parameter))
    flags = sorted(parameter.flags, key=lambda flag: flag.startswith("--"))
    names = ", ".join(flag.replace("/", " / ") for flag in flags)
    names += f" {parameter.metavar}" if parameter.metavar and parameter.takes_value else ""
    return Entry(names, parameter.help, _default_text(parameter))


def _default_text(parameter: Parameter[Any]) -> str:
    default = parameter.default
    if isinstance(parameter.shown, str):
        return f"[default: {parameter.shown}]"
    if default is None or default is REQUIRED:
        return ""
    if isinstance(default, bool):
        pair = next((flag for flag in parameter.flags if "/" in flag), None)
        return "" if pair is None else f"[default: {pair.split('/')[not default]}]"
    return f"[default: {_plain(default)}]"


def _plain(value: Any) -> str:
    if isinstance(value, list | tuple):
        return ", ".join(map(_plain, value))
    if isinstance(value, float):
        return format_number(value)
    return str(value.value if isinstance(value, Enum) else value)


def _option_lists(parameters: list[Parameter[Any]], full: bool) -> Iterator[tuple[str, list[Entry]]]:
    """Titles and entries of the lists of a command without subcommands."""
    arguments = [each for each in parameters if not each.flags]
    required = [each for each in parameters if each.flags and each.default is REQUIRED]
    rest = [each for each in parameters if each.flags and each.default is not REQUIRED]
    left_out = hidden(parameters)
    yield "Arguments", [entry_of(each) for each in arguments]
    yield "Required options", [entry_of(each) for each in required]
    own = [Entry("-h, --help", "Show this help.")]
    if left_out:
        own.append(Entry("--help-all", HELP_ALL.help))
    if not full or not left_out:
        shown = sorted((each for each in rest if each not in left_out), key=_rank) if left_out else rest
        yield "Options", [*map(entry_of, shown), *own]
        return
    names = dict.fromkeys(each.panel for each in sorted(rest, key=_rank))
    for name in names:
        entries = [entry_of(each) for each in rest if each.panel == name]
        yield name or "Options", entries if name else [*entries, *own]
    if None not in names:
        yield "Help", own


def _rank(parameter: Parameter[Any]) -> int:
    return PANELS.index(parameter.panel) if parameter.panel in PANELS else -1


def _command_lists(group: Any) -> Iterator[tuple[str, list[Entry]]]:
    """Titles and entries of the lists of commands, by the group that each was registered with."""
    lists: dict[str, list[Entry]] = {}
    for name, command in group.commands.items():
        if not command.hidden:
            # By name: typer has a placeholder of its own for a group that was not given.
            title = command.rich_help_panel if isinstance(command.rich_help_panel, str) else "Commands"
            summary = cleandoc(command.help or "").split("\n\n")[0]
            lists.setdefault(title, []).append(Entry(name, " ".join(summary.split())))
    yield from lists.items()


def _flags(group: Any, context: Any) -> Iterator[Entry]:
    """Options of a command with subcommands: flags that typer or the app declare."""
    for parameter in group.get_params(context):
        names = sorted(parameter.opts, key=lambda flag: (flag.startswith("--"), flag))
        is_help = "--help" in names
        yield Entry(", ".join(names), "Show this help." if is_help else parameter.help)


def _print_usage(out: Console, path: str, words: str) -> None:
    from rich.text import Text

    begin = f"Usage: {path} "
    for number, line in enumerate(_wrapped(begin + words, out.width, " " * min(len(begin), MOST_INDENT))):
        bold_length = len(begin) if number == 0 else 0
        out.print(Text.assemble((line[:bold_length], "bold"), line[bold_length:]))


def _print_list(out: Console, title: str, entries: list[Entry], width: int = 0) -> None:
    """Print a list: names on the left, texts on the right; a long name is above its text.

    Args:
        out: Where to.
        title: Of the list.
        entries: Its lines.
        width: Least width of the column of names.
    """
    from rich.text import Text

    if not entries:
        return
    out.print()
    out.print(Text(title, style="bold"))
    names_width = max([width, *(len(each.names) for each in entries if len(each.names) <= NAMES_WIDTH)])
    if out.width - names_width < NARROWEST:
        names_width = INDENT
    indent = names_width + 2 * INDENT
    for each in entries:
        lines = _lines(each, out.width - indent)
        margin = " " * INDENT + each.names.ljust(names_width + INDENT)
        if len(each.names) > names_width:
            out.print(Text(f"{' ' * INDENT}{each.names}", style="cyan"))
            margin = ""
        for line in lines:
            text, bracket, note = line.partition("[default:")
            out.print(Text.assemble((margin.ljust(indent), "cyan"), text, (bracket + note, "dim")))
            margin = ""


def _lines(entry: Entry, width: int) -> list[str]:
    """The text of an entry in lines. Its note stays in one line if it can."""
    note = entry.note.replace(" ", UNBROKEN) if len(entry.note) <= width else entry.note
    text = f"{entry.text} {note}".strip()
    return [line.replace(UNBROKEN, " ") for line in _wrapped(text, width)]


def _wrapped(text: str, width: int, later: str = "") -> list[str]:
    """Lines of a text, which break between words only; `later` begins all but the first."""
    return textwrap.wrap(
        text, max(1, width), subsequent_indent=later, break_long_words=False, break_on_hyphens=False
    ) or [""]


def _print_examples(out: Console, examples: Iterable[Example]) -> None:
    from rich.text import Text

    if not examples:
        return
    out.print()
    out.print(Text("Examples", style="bold"))
    for example in examples:
        out.print(f"{' ' * INDENT}{example.what}:")
        for line in _command_lines(f"tilestyle {example.words}", out.width - 2 * INDENT):
            out.print(Text(f"{' ' * 2 * INDENT}{line}", style="cyan"))


def _command_lines(command: str, width: int) -> list[str]:
    r"""A command in lines that a shell reads as one: all but the last end with a backslash."""
    lines = [""]
    for unit in _units(command):
        if lines[-1] and len(f"{lines[-1]} {unit} \\") > width:
            lines[-1] += " \\"
            lines.append(f"  {unit}")
        else:
            lines[-1] += f" {unit}" if lines[-1] else unit
    return lines


def _units(command: str) -> Iterator[str]:
    """Words of a command, an option together with its value."""
    words = command.split()
    while words:
        word = words.pop(0)
        if word.startswith("-") and words and not words[0].startswith("-"):
            word += f" {words.pop(0)}"
        yield word
