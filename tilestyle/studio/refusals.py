"""Requests that are refused: errors with a status of HTTP, in the words of the page."""

from __future__ import annotations

import re

from tilestyle.errors import TilestyleError

FIELDS = {
    "print": "paper",
    "dpi": "resolution",
    "stroke": "stroke width",
    "style-scale": "stroke size",
    "color": "colors",
    "seed": "variation",
    "tileable": "repeats",
}
"""What the page calls the options of the command line that it has under another name."""

WORK_FOLDER = ("--work-dir", "--restart")
"""Options about the folder of unfinished work, which the studio chooses itself."""

_FLAG = re.compile(r"(\bgive )?--([a-z][a-z0-9]*(?:-[a-z0-9]+)*)")


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


def unusable(error: OSError) -> Refused:
    """Return the refusal of what needs a file of the studio that is gone, or cannot be used."""
    file, reason = error.filename or "a file of the studio", error.strerror or str(error)
    if isinstance(error.__cause__ or error, FileNotFoundError):
        return Refused(404, f"{file} is gone", "start the studio again, or discard what it belonged to")
    return Refused(500, f"{file} cannot be used ({reason})", "check the drive and try again")


def split_message(error: TilestyleError) -> tuple[str, str]:
    """Return an error as what is wrong and what to do, for somebody who sees the page."""
    text, hint = str(error), error.hint
    problem = text.removesuffix(f"; {hint}") if hint else text
    if isinstance(error, Refused):  # in words of the studio
        return problem, hint
    if any(flag in hint for flag in WORK_FOLDER):
        hint = "make it again, as a new job"
    return page_words(problem), page_words(hint)


def one_line(text: str) -> str:
    """Return a message as one line that can be sent; it may quote what was asked."""
    return "".join(letter if letter.isprintable() else " " for letter in text)


def page_words(text: str) -> str:
    """Return a message of the library with the names of fields in place of command-line options.

    Options that the page does not have get their names in the HTTP interface, with underscores.
    """

    def name_of(match: re.Match[str]) -> str:
        article, flag = match[1] or "", match[2]
        field = FIELDS.get(flag)
        if field is None:
            return article + flag.replace("-", "_")
        return f"{article}{'a ' if article and not field.endswith('s') else ''}{field}"

    return _FLAG.sub(name_of, text)
