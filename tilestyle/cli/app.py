"""The start of the program, and the one place where errors become messages.

What the commands need is imported once signals are handled: Ctrl-C may come at any moment.
"""

from __future__ import annotations

import os
import sys

from tilestyle.cli import signals, terminal


def main() -> None:
    """Run the command line.

    The user's mistakes end in one line and exit code 2, signals in one line and exit code 128 and their number
    (130 for Ctrl-C).
    """
    if "WORLD_SIZE" in os.environ:  # one of several ranks: that another has died is said in one line, too
        os.environ.setdefault("TORCH_CPP_LOG_LEVEL", "ERROR")
    with signals.handled():
        try:
            with terminal.streams():
                code = _run()
        except OSError as error:  # standard output
            terminal.say(f"tilestyle: {error}")
            code = 2
    sys.exit(code)


def _run() -> int | str | None:
    """Run the command; answers its exit code."""
    signals.reset()
    try:
        return _called()
    except signals.Interrupted as ended:
        terminal.say(f"tilestyle: {signals.farewell(ended)}")
        return ended.code


def _called() -> int | str | None:
    from tilestyle.cli.commands import app
    from tilestyle.errors import TilestyleError
    from tilestyle.watching import reason

    try:
        app()
    except SystemExit as ended:
        return ended.code or 0
    except (TilestyleError, OSError, MemoryError) as error:
        if "--debug" in sys.argv:
            raise
        terminal.say(f"tilestyle: {error if isinstance(error, TilestyleError) else reason(error)}")
        return 2
    return 0
