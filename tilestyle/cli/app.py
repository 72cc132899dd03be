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
    # torch keeps what oneDNN has compiled for 1024 shapes of bfloat16 tensors: hundreds of MiB. It reads how
    # many when it is loaded, and nothing has loaded it yet.
    os.environ.setdefault("LRU_CACHE_CAPACITY", "8")
    if "WORLD_SIZE" in os.environ:  # one of several ranks: that another has died is said in one line, too
        os.environ.setdefault("TORCH_CPP_LOG_LEVEL", "FATAL")
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
    code: int | str | None
    try:
        code = _called()
        signals.over()
    except signals.Interrupted as ended:
        terminal.say(f"tilestyle: {signals.farewell(ended)}")
        code = ended.code
        signals.over()  # before the exception is gone, and with it what holds further signals back
    return code


def _called() -> int | str | None:
    from tilestyle.cli.commands import app
    from tilestyle.errors import TilestyleError

    try:
        app()
    except SystemExit as ended:
        return ended.code or 0
    except (TilestyleError, OSError, MemoryError, RuntimeError, AssertionError) as error:
        if "--debug" in sys.argv:
            raise
        terminal.say(f"tilestyle: {_said(error)}")
        return 2
    return 0


def _said(error: BaseException) -> str:
    """The one line about an error; raises it again where it is nobody's mistake."""
    from tilestyle.devices.failures import failed, is_device_failure, is_out_of_memory, reason_of
    from tilestyle.errors import TilestyleError
    from tilestyle.pipeline.observers import reason

    if isinstance(error, TilestyleError):
        return str(error)
    if is_out_of_memory(error):  # outside of what is rescued
        return f"memory ran out ({reason_of(error)}); close other programs"
    if is_device_failure(error):
        return str(failed("the command ran", error))
    if isinstance(error, RuntimeError | AssertionError):
        raise error
    return reason(error)
