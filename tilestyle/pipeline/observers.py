"""Callbacks that may fail without ending the render."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from typing import ParamSpec

P = ParamSpec("P")
Report = Callable[[str], None]


def warn(text: str) -> None:
    """Report to a Python program with a RuntimeWarning."""
    warnings.warn(text, RuntimeWarning, stacklevel=3)


def guard_callback(
    callback: Callable[P, object], label: str, report: Report = warn, *, retry: bool = False
) -> Callable[P, None]:
    """Wrap a callback so that its failure is reported once and does not end the render.

    Settings of torch that it changes are as they were after it.

    Only subclasses of Exception are caught. KeyboardInterrupt, SystemExit and other direct children of
    BaseException end the render, as they are meant to.

    Args:
        callback: The callback.
        label: Name of the callback in the report, such as "the preview now.jpg".
        report: Called with one line that says what failed.
        retry: Whether to call the callback again the next time, since a file or folder may be back. Later
            failures are not reported. If False, it is not called again.

    Returns:
        A callback that takes the same arguments.
    """
    from tilestyle.devices.torch_state import unchanged_torch_state  # not above: torch takes long to import

    failed = False

    def tell(*arguments: P.args, **named: P.kwargs) -> None:
        nonlocal failed
        if failed and not retry:
            return
        try:
            with unchanged_torch_state():
                callback(*arguments, **named)
        except Exception as error:
            if not failed:
                failed = True
                consequence = "it will be tried again" if retry else "it is now disabled"
                report(f"{label} failed ({error_text(error)}); {consequence}, and the render continues")

    return tell


def guard_stop(stop: Callable[[], bool] | None) -> Callable[[], bool]:
    """Wrap a function that says whether to stop: what it changes of torch is as it was after it."""
    from tilestyle.devices.torch_state import unchanged_torch_state

    def should_stop() -> bool:
        if stop is None:
            return False
        with unchanged_torch_state():
            return stop()

    return should_stop


def error_text(error: BaseException) -> str:
    """Describe an exception in one line."""
    if isinstance(error, OSError) and error.strerror:
        place = f": {error.filename}" if error.filename else ""
        return f"{error.strerror}{place}"
    text = " ".join(str(error).split())[:200]
    name = type(error).__name__
    return f"{name}: {text}" if text else name
