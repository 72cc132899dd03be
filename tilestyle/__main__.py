"""`python -m tilestyle`, and the console script."""

from __future__ import annotations

import atexit
import signal


def program() -> None:
    """Be the command, in a process of its own.

    Outside of `main`, which handles signals, Ctrl-C ends the process without a word. Python's own handler would
    print a traceback when Ctrl-C comes while the interpreter starts or ends.
    """
    if signal.getsignal(signal.SIGINT) is signal.default_int_handler:
        signal.signal(signal.SIGINT, signal.SIG_DFL)
    from tilestyle.cli import signals
    from tilestyle.cli.app import main

    # Registered before what libraries register, so called after it.
    atexit.register(signals.ignore_all)
    main(ends_process=True)


if __name__ == "__main__":
    program()
