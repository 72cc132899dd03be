"""The command line in a process that sends itself a signal at a chosen moment, however fast the machine is.

    python tests/support/signals.py SIGKILL tilestyle.pipeline.checkpoint:WorkDirCheckpointer.save 6 render ...

sends SIGKILL right after the sixth call of that method.
"""

from __future__ import annotations

import importlib
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

CHECKPOINT = "tilestyle.pipeline.checkpoint:WorkDirCheckpointer.save"
SWEEP = "tilestyle.pipeline.time_left:TimeLeft.end_sweep"


def run_with_signal(
    folder: Path, number: signal.Signals, moment: str, calls: int, *words: str
) -> subprocess.CompletedProcess[str]:
    """Run `tilestyle WORDS` in a folder, with a signal after so many calls of the method of a moment."""
    command = [sys.executable, __file__, number.name, moment, str(calls), *words]
    return subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=300, check=False)


def main() -> None:
    """Prepare the moment, then be tilestyle."""
    sys.path.insert(0, str(Path(__file__).parents[2]))
    importlib.import_module("tests.support.quick")
    name, moment, calls, *words = sys.argv[1:]
    module, _, path = moment.partition(":")
    owner_name, method = path.split(".")
    owner = getattr(importlib.import_module(module), owner_name)
    original, calls_left = getattr(owner, method), int(calls)

    def counted(*arguments: Any, **options: Any) -> Any:
        nonlocal calls_left
        result = original(*arguments, **options)
        calls_left -= 1
        if calls_left == 0:
            os.kill(os.getpid(), signal.Signals[name])
        return result

    setattr(owner, method, counted)
    from tilestyle.cli.app import main as tilestyle

    sys.argv = ["tilestyle", *words]
    tilestyle()


if __name__ == "__main__":
    main()
