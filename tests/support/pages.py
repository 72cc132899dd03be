"""The commands in README.md and docs/: found, made small, and run in this process."""

from __future__ import annotations

import argparse
import contextlib
import importlib
import io
import re
import runpy
import shlex
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from unittest import mock

import typer.main

from tests.support.cli import commands, run_cli
from tilestyle.cli.parameters import parameters_of, without
from tilestyle.errors import TilestyleError
from tilestyle.motion.zoom_path import ZoomPath

ROOT = Path(__file__).parents[2]
PAGES = (ROOT / "README.md", *sorted((ROOT / "docs").glob("**/*.md")))

SHELLS = ("sh", "console", "powershell")
PROGRAMS = ("tilestyle", "python", "python3", "torchrun", "pip", "mkdocs")
"""What a line of an indented block begins with if it is a command, not a formula."""

NOT_RUN = {
    r"^(python3|py) -m venv |pip install |^source ": "changes the environment",
    r"^torchrun ": "starts processes",
    r"^tilestyle resume ": "needs a render that was interrupted",
    r"^tilestyle benchmark |^python -m benchmarks\.": "measures for minutes",
    r"^python -m tilestyle\.training|compact\.safetensors": "trains for hours",
    r"tilestyle demo ": "takes long; tests/cli tries it",
    r"--network vgg|--preset (gatys|crowsonkb)": "needs weights to download",
    r"examples/paint\.py": "paints for minutes; tests/pictures tries it",
    r"examples/contact\.py \w+00 ": "needs what a benchmark makes",
    r"-m pytest|-m http\.server|^tilestyle studio": "does not end soon",
    r"/(ruff|mypy|lint-imports)\b": "checks the code; .ci/run runs it",
    r"^(sbatch|openjd|sky|docker) ": "programs of render farms; tests/examples tries what can be tried",
}
"""Commands whose options are only parsed, and why."""

SMALL = {
    "size": "48",
    "quality": "draft",
    "sweeps": "1",
    "network": "wavelet",
    "style_layer": "first_2",
    "content_layer": "contour_2",
    "layer": "contour_2",
    "cycles": "1",
    "steps": "6",
    "start": "coffee",
    "preview_size": "64",
    "crop_size": "64",
    "paper": "72x48mm",
    "dpi": "25.4",
}
"""What options get instead of the values in the page. Paper has a pixel per millimeter; no series starts from a
texture, which has many sweeps."""

LEFT_OUT = ("weights", "proof", "open", "style_layer", "content_layer", "layer")
"""Options whose files or layers are not here, and what opens a window."""

BROUGHT = (
    "clip.mp4",
    "small.png",
    "alike.png",
    "liked.png",
    "photos/alps.png",
    "photos/sea.png",
    "holiday/monday/sea.png",
)
"""Files of readers, as the pages call them."""

OF_SCRIPTS = {"studio-try.jpg", "studio-watch.jpg"}
"""Pictures that a script makes, whose command a page shows without their names."""

OTHER_FLAGS = ("--max-restarts", "--nnodes", "--nproc-per-node", "--teacher")
"""Flags of other programs that pages name."""

OF_PROGRAMS = ("algorithm.md", "benchmarks.md", "comparison.md", "farms.md")
"""Pages that name flags of many other programs."""


@dataclass(frozen=True)
class Command:
    """A command of a page.

    Attributes:
        page: The page.
        line: The number of its first line.
        words: Its words, without variables that are set before it.
    """

    page: Path
    line: int
    words: tuple[str, ...]

    def __str__(self) -> str:
        return f"{self.page.name}:{self.line}: {self.text}"

    @property
    def text(self) -> str:
        """The words in one line."""
        return " ".join(self.words)

    @property
    def is_run(self) -> bool:
        """Whether it is run, not only parsed."""
        return not any(re.search(pattern, self.text) for pattern in NOT_RUN)


def commands_of(page: Path) -> Iterator[Command]:
    """The commands of a page, in their order."""
    for number, line in _command_lines(page.read_text(encoding="utf-8")):
        lexer = shlex.shlex(line, posix=True, punctuation_chars="&;")
        lexer.whitespace_split = True
        words: list[str] = []
        for word in [*lexer, ";"]:
            if word not in ("&&", ";"):
                words.append(word)
            elif words:
                yield Command(page, number, tuple(words))
                words = []


def _command_lines(text: str) -> Iterator[tuple[int, str]]:
    """Lines with commands, with their numbers; what continues a line is joined to it."""
    language, start = None, 0
    parts: list[str] = []
    for number, line in enumerate(text.splitlines(), 1):
        if line.lstrip().startswith("```"):
            language = None if language is not None else line.strip().removeprefix("```")
            continue
        words = re.sub(r"^(\$ |[A-Z_]+=\S+ )+", "", line.strip())
        is_indented = language is None and line.startswith("    ") and words.partition(" ")[0] in PROGRAMS
        if not words or not (language in SHELLS or is_indented or parts):
            continue
        start = start if parts else number
        is_open = words.endswith("\\")
        parts.append(words.removesuffix("\\"))
        if not is_open:
            yield start, " ".join(parts).replace("\\", "/")
            parts = []


def code_of(page: Path) -> Iterator[tuple[int, str]]:
    """The blocks of Python of a page, with the numbers of their first lines."""
    text = page.read_text(encoding="utf-8")
    for block in re.finditer(r"^```python\n(.*?)^```$", text, re.MULTILINE | re.DOTALL):
        yield text.count("\n", 0, block.start(1)) + 1, block[1]


def run_code(code: str, place: str) -> None:
    """Run a block of Python in the working folder, with small pictures and few of them.

    Args:
        code: The block.
        place: Where it is from.
    """
    code = re.sub(r"\bsize=(\d+|\(\d+, \d+\))", "size=48", code)
    code = re.sub(r"\bcycles=\d+", "cycles=1", code)
    code = re.sub(r"^(zoom\(.*)\)$", r"\1, zoom_path=short_path)", code, flags=re.MULTILINE)
    with contextlib.redirect_stdout(io.StringIO()):
        exec(compile(code, place, "exec"), {"__name__": "__main__", "short_path": ZoomPath(steps=6)})


def run(command: Command, folder: Path) -> None:
    """Run a command in a folder, small; or only parse its options.

    Raises:
        AssertionError: It fails, or has an option that does not exist.
    """
    words = list(command.words)
    if words[0].endswith("bin/tilestyle") or words[0].endswith("Scripts/tilestyle"):
        words[0] = "tilestyle"
    if words[0] == "torchrun":
        words = words[words.index("tilestyle") :]
    if words[0] == "tilestyle":
        with contextlib.chdir(folder):
            _parse(command, commands(), words[1:])
        if command.is_run:
            done = run_cli(folder, *small(words[1:]))
            assert done.returncode == 0, f"{command}\nas: {shlex.join(small(words[1:]))}\n{done.stderr}"
    elif words[:2] == ["python", "-c"] and command.is_run:
        with contextlib.chdir(folder), contextlib.redirect_stdout(io.StringIO()):
            exec(compile(words[2], str(command), "exec"), {})
    elif words[:3] == ["python", "-m", "tilestyle.training"]:
        app = importlib.import_module("tilestyle.training.__main__").app
        _parse(command, typer.main.get_command(app), words[3:])
    elif words[0] == "python" and (
        command.is_run or words[1].startswith("examples/") or "benchmarks." in words[2]
    ):
        _run_program(command, words[1:], folder)
    else:
        assert not command.is_run, f"{command}: add it to NOT_RUN, with the reason, if it cannot run here"


def small(words: list[str]) -> list[str]:
    """The words of a tilestyle command, with what makes it cheap at the end: the last of an option counts."""
    name = "render" if words[0] == "again" else words[0]
    own = {each.name: each for each in parameters_of(commands().commands[name].callback)}
    flags = {word.partition("=")[0] for word in words}
    is_print = "paper" in own and flags & set(own["paper"].names)
    words = without(words, *(own[name] for name in LEFT_OUT if name in own))
    unsuitable = {"size"} if is_print else {"paper", "dpi"}
    unsuitable |= {"dpi"} if name == "paper" else set()  # the paper says it
    for option, value in SMALL.items():
        if option in own and own[option].flags and option not in unsuitable:
            words += [own[option].label, value]
    return words


def _parse(command: Command, group: Any, words: list[str]) -> None:
    """Parse the words of a command, without running it."""
    path = "tilestyle"
    while hasattr(group, "commands") and words and words[0] in group.commands:
        path, group, words = f"{path} {words[0]}", group.commands[words[0]], words[1:]
    try:
        group.make_context(path, list(words), resilient_parsing="--help" in words)
    except (TilestyleError, typer.BadParameter.__mro__[1]) as error:  # type: ignore[misc]
        raise AssertionError(f"{command}\n{error}") from error


class _Parsed(Exception):
    """The options of a program were understood."""


def _run_program(command: Command, words: list[str], folder: Path) -> None:
    """Run a program of the repository, or parse its options."""
    parse = argparse.ArgumentParser.parse_args

    def parsed(self: argparse.ArgumentParser, *arguments: Any) -> argparse.Namespace:
        result: argparse.Namespace = parse(self, *arguments)
        if not command.is_run:
            raise _Parsed
        return result

    said = io.StringIO()
    is_module = words[0] == "-m"
    try:
        with (
            contextlib.chdir(folder),
            contextlib.redirect_stdout(said),
            contextlib.redirect_stderr(said),
            contextlib.suppress(_Parsed),
            mock.patch.object(sys, "argv", words[is_module:]),
            mock.patch.object(sys, "path", [str(ROOT / "examples"), str(ROOT), *sys.path]),
            mock.patch.object(argparse.ArgumentParser, "parse_args", parsed),
        ):
            if is_module:
                module = importlib.import_module(words[1])
                if hasattr(module, "__path__"):
                    module = importlib.import_module(f"{words[1]}.__main__")
                module.main()
            else:
                runpy.run_path(str(ROOT / words[0]), run_name="__main__")
    except SystemExit as ended:
        assert not ended.code, f"{command}\n{said.getvalue()}"
    except ModuleNotFoundError as error:
        assert not command.is_run, f"{command}\n{error}"  # such as matplotlib, of an extra
