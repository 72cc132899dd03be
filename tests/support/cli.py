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
    """All commands, built once: building them takes longer than most commands do."""
    return typer.main.get_command(application.app)


def main() -> None:
    """The command line, with the words of `sys.argv`."""
    with mock.patch.object(application, "app", commands()):
        app.main()


def run_cli(folder: Path, *words: str) -> subprocess.CompletedProcess[str]:
    """Run `tilestyle WORDS` in a folder; return its exit code, standard output and standard error."""
    stdout, stderr, code = io.StringIO(), io.StringIO(), 0
    with (
        contextlib.chdir(folder),
        contextlib.redirect_stdout(stdout),
        contextlib.redirect_stderr(stderr),
        mock.patch.object(sys, "argv", ["tilestyle", *words]),
    ):
        try:
            main()
        except SystemExit as ended:
            code = ended.code if isinstance(ended.code, int) else int(bool(ended.code))
    return subprocess.CompletedProcess(list(words), code, stdout.getvalue(), stderr.getvalue())
