"""The command line, called in this process: a start of torch costs seconds."""

from __future__ import annotations

import contextlib
import io
import subprocess
import sys
from functools import cache
from pathlib import Path
from typing import Any
from unittest import mock

import typer.main

from tilestyle.cli import app
from tilestyle.cli import commands as application


@cache
def commands() -> Any:
    """All commands, built once: typer does so anew with every call, which takes longer than most of them."""
    return typer.main.get_command(application.app)


def main() -> None:
    """The command line, with the words of `sys.argv`."""
    with mock.patch.object(application, "app", commands()):
        app.main()


def called(folder: Path, *words: str) -> subprocess.CompletedProcess[str]:
    """What `tilestyle WORDS` answers and says in this folder."""
    said, told, code = io.StringIO(), io.StringIO(), 0
    with (
        contextlib.chdir(folder),
        contextlib.redirect_stdout(said),
        contextlib.redirect_stderr(told),
        mock.patch.object(sys, "argv", ["tilestyle", *words]),
    ):
        try:
            main()
        except SystemExit as ended:
            code = ended.code if isinstance(ended.code, int) else int(bool(ended.code))
    return subprocess.CompletedProcess(list(words), code, said.getvalue(), told.getvalue())
