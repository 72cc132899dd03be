"""Mistakes on the command line: one line each, for every option of every command."""

from __future__ import annotations

import re
from collections.abc import Iterator
from enum import StrEnum
from pathlib import Path
from typing import Any

import pytest

from tests.cli.test_files import COMMANDS, filled
from tests.cli.test_numbers import CALLED
from tests.support.cli import run_cli
from tilestyle.cli.file_roles import Writes
from tilestyle.cli.parameters import REQUIRED, Parameter, parameters_of

# Values that an option of text does not take.
WRONG = {
    "size": ("big", "x10", "-5", "0x", "5k"),
    "sweeps": ("many", "1,x"),
    "style_blend": ("half",),
    "scale_odds": ("often",),
    "memory": ("lots", "2 elephants"),
    "host_memory": ("lots",),
    "paper": ("huge", "60x90", "A11"),
    "bleed": ("wide",),
    "stroke": ("thick",),
    "at": ("middle", "2,2"),
    "vary": ("strength", "nothing=1"),
    "device": ("abacus",),
    "preset": ("none-such",),
    "megapixels": ("many",),
    "ranks": ("2,3", "many"),
    "limit": ("lots",),
}
# What messages call an option, where that is not its name.
NAMES = {
    **CALLED,
    "form": ("format",),
    "paper": ("print",),
    "clip": ("clip", "video"),
    "megapixels": ("megapixels",),
}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Pictures for all commands, which are left as they are."""
    return filled(tmp_path_factory.mktemp("mistakes"))


def usual(command: str, *left_out: str) -> list[str]:
    """A command with everything that it needs, but what is left out."""
    words = command.split()
    for each in parameters_of(COMMANDS[command]):
        is_named = each.name in ("style", "reference", "out") and command.split()[0] != "benchmark"
        if each.name in left_out or not (each.default is REQUIRED or is_named):
            continue
        value = {
            "out": "out" if each.metavar == "FOLDER" or command == "video" else "out.png",
            "clip": "clip",
            "sources": "start.png",
            "folder": "none.work",
        }
        word = value.get(each.name, f"{each.name}.png")
        words += [each.flags[0], word] if each.flags else [word]
    return words


def mistakes(command: str) -> Iterator[tuple[Parameter[Any] | None, list[str]]]:
    """What is wrong, and the words of a command that have it."""
    own = parameters_of(COMMANDS[command])
    for each in own:
        words = usual(command, each.name)
        if each.default is REQUIRED:
            yield each, words
        if each.flags:
            flag = next(flag.split("/")[0] for flag in each.flags if flag.startswith("--"))
            yield None, [*words, f"{flag}y", "1"]
            yield from ((each, [*words, *more]) for more in wrong_uses(each, flag))
    takes_many = any(each.is_list and not each.flags for each in own)
    yield None, [*usual(command), *(["-z"] if takes_many else ["more"] * 3)]


def wrong_uses(each: Parameter[Any], flag: str) -> Iterator[tuple[str, ...]]:
    """How an option is given wrongly."""
    if not each.takes_value:
        yield (f"{flag}=1",)
        return
    yield from ((flag,), (flag, "--help-all"))
    is_choice, is_number = issubclass(each.item_kind, StrEnum), each.item_kind in (int, float)
    if is_number or is_choice:
        yield from ((f"{flag}={value}",) for value in ("text", "", "1,5", "1.5.2", "\u0663"))
    least, most = each.limits
    yield from ((f"{flag}={end + step}",) for end, step in ((least, -1), (most, 1)) if end is not None)
    yield from ((f"{flag}={value}",) for value in WRONG.get(each.name, ()))
    if isinstance(each.files, Writes) and each.metavar == "FOLDER":
        yield (f"{flag}=blend_map.png",)
    elif isinstance(each.files, Writes) and each.name not in ("film", "out"):
        yield (f"{flag}=clip",)


@pytest.mark.parametrize("command", COMMANDS)
def test_a_mistake_gets_one_line_that_names_it_and_says_what_is_allowed(folder: Path, command: str) -> None:
    before = sorted(folder.rglob("*"))
    for parameter, words in mistakes(command):
        done = run_cli(folder, *words)
        said = done.stderr
        assert (done.returncode, done.stdout, said.count("\n")) == (2, "", 1), (words, done)
        assert re.match(r"tilestyle: .+; .+\n", said), (words, said)
        assert not re.search("Value error|Traceback|[╭│╰]|Invalid value|No such", said), (words, said)
        if parameter is not None:
            names = (parameter.label.lstrip("-"), *NAMES.get(parameter.name, ()))
            assert any(name in said for name in names), (words, said)
    assert sorted(folder.rglob("*")) == before


@pytest.mark.parametrize(
    ("words", "meant"),
    [
        ("rendr", "tilestyle render"),
        ("help vidoe", "tilestyle video"),
        ("benchmark spede", "tilestyle benchmark speed"),
        ("render --coluor content", "--color"),
        ("render --colours content", "--color"),
        ("render --optimise lbfgs", "--optimizer"),
        ("render -size 40", "--size"),
        ("render -o=out.png", "-o out.png"),
        ("texture --qualty best", "--quality"),
        ("render --quality drat", "draft"),
        ("render --color Luminance", "luminance"),
        ("render --preset gaty", "gatys"),
        ("--size 40 render", "tilestyle render --size"),
        ("--verson", "--version"),
    ],
)
def test_what_was_meant_is_suggested(folder: Path, words: str, meant: str) -> None:
    name, *rest = words.split()
    call = [*usual(name), *rest] if name in COMMANDS and name != "help" else words.split()
    done = run_cli(folder, *call)
    assert (done.returncode, done.stderr.count("\n")) == (2, 1)
    assert meant in done.stderr.partition(";")[2]


def test_a_file_that_looks_like_an_option_is_not_taken_for_one(folder: Path) -> None:
    (folder / "content.png").rename(folder / "-dash.png")
    done = run_cli(folder, "render", "-dash.png", "-s", "style.png", "-o", "out.png")
    assert done.returncode == 2
    assert done.stderr == "tilestyle: '-dash.png' looks like an option; give ./-dash.png for the file\n"
