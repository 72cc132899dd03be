"""Observers that may fail: what only watches a render must not end it."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from typing import ParamSpec

Asked = ParamSpec("Asked")
Report = Callable[[str], None]


def warn(text: str) -> None:
    """Report to a Python program: a RuntimeWarning."""
    warnings.warn(text, RuntimeWarning, stacklevel=3)


def guarded(
    watch: Callable[Asked, object], what: str, report: Report = warn, *, again: bool = False
) -> Callable[Asked, None]:
    """Wrap a callback so that its failure is reported once and does not end the render.

    Only exceptions of `Exception` are held back. KeyboardInterrupt, SystemExit and other direct children of
    BaseException end the render, as they are meant to.

    Args:
        watch: The callback.
        what: What the report calls it, such as "the preview now.jpg".
        report: Takes the one line that says what failed.
        again: Whether the callback is tried again the next time (its place may come back), rather than dropped.
            Later failures are not reported.

    Returns:
        A callback that takes the same arguments.
    """
    failed = False

    def tell(*arguments: Asked.args, **named: Asked.kwargs) -> None:
        nonlocal failed
        if failed and not again:
            return
        try:
            watch(*arguments, **named)
        except Exception as error:
            if not failed:
                failed = True
                after = "it is tried again" if again else "it is not continued"
                report(f"{what} failed ({reason(error)}); {after}, the render goes on")

    return tell


def reason(error: BaseException) -> str:
    """What an exception says, in one line."""
    if isinstance(error, OSError) and error.strerror:
        place = f": {error.filename}" if error.filename else ""
        return f"{error.strerror}{place}"
    text = " ".join(str(error).split())[:200]
    name = type(error).__name__
    return f"{name}: {text}" if text else name
