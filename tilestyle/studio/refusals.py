"""Requests that are refused: errors with a status of HTTP."""

from __future__ import annotations

from tilestyle.errors import TilestyleError


class Refused(TilestyleError):
    """A request that is refused.

    Attributes:
        status: The status of HTTP.
        problem: What is wrong, without the hint.
    """

    def __init__(self, status: int, message: str, hint: str = "") -> None:
        super().__init__(message, hint)
        self.status = status
        self.problem = message


def split_message(error: TilestyleError) -> tuple[str, str]:
    """Return an error as what is wrong and what to do."""
    text, hint = str(error), error.hint
    return (text.removesuffix(f"; {hint}"), hint) if hint else (text, "")
