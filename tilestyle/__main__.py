"""`python -m tilestyle`, and the console script."""

from __future__ import annotations

import signal


def program() -> None:
    """Be the command, in a process of its own.

    Outside of `main`, which handles signals, Ctrl-C ends the process without a word. Python's own handler would
    print a traceback when Ctrl-C comes while the interpreter starts or ends.
    """
    if signal.getsignal(signal.SIGINT) is signal.default_int_handler:
        signal.signal(signal.SIGINT, signal.SIG_DFL)
    from tilestyle.cli.app import main

    try:
        main()
    finally:  # the exit code is set: a request to end changes nothing while the interpreter ends
        for name in ("SIGTERM", "SIGHUP"):
            if hasattr(signal, name):
                signal.signal(getattr(signal, name), signal.SIG_IGN)


if __name__ == "__main__":
    program()
