"""The command line, called in this process: a start of torch costs seconds."""

from __future__ import annotations

import contextlib
import io
import subprocess
import sys
from pathlib import Path
from unittest import mock

from tilestyle.cli.app import main


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
