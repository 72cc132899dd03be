"""Everything that the command line prints goes through here.

Standard output and standard error may be closed, full, a pipe that nobody reads any more, or of an encoding
that lacks a character; names and texts from files may hold anything. None of that may end a command or reach
the terminal as a control sequence.
"""

from __future__ import annotations

import errno
import os
import sys
import unicodedata
from contextlib import suppress
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from rich.console import Console

# Characters that reorder the text around them: a name could show as another one.
BIDI = frozenset("\u061c\u200e\u200f\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069")
UNSHOWN = frozenset({"Cc", "Cs", "Zl", "Zp"})  # control characters, surrogates, separators of lines


def open_streams() -> None:
    """Make the standard streams safe to write to, at the start of the program.

    A closed descriptor is opened on the null device: else the next file that is opened would take its number,
    and what a library writes to standard error would land in a picture.
    """
    for number in (0, 1, 2):
        try:
            os.fstat(number)
        except OSError:
            with suppress(OSError):
                os.open(os.devnull, os.O_RDWR)
    for name, mode in (("stdin", "r"), ("stdout", "w"), ("stderr", "w")):
        if getattr(sys, name) is None:
            setattr(sys, name, open(os.devnull, mode, encoding="utf-8"))  # noqa: SIM115  for the whole program
    for stream in (sys.stdout, sys.stderr):
        reconfigure = getattr(stream, "reconfigure", None)
        if reconfigure is not None:
            with suppress(OSError, ValueError):
                reconfigure(errors="backslashreplace")


def close_streams() -> str | None:
    """Write out what is buffered, at the end of the program.

    Returns:
        Why standard output has not taken everything; None if it has, or if its reader has had enough.
    """
    failed = None
    for name in ("stdout", "stderr"):
        stream = getattr(sys, name)
        try:
            stream.flush()
        except (OSError, ValueError) as error:
            # At its end Python would try again, and exit with a code of its own.
            setattr(sys, name, open(os.devnull, "w", encoding="utf-8"))  # noqa: SIM115
            closed = isinstance(error, ValueError) or error.errno in (errno.EPIPE, errno.EBADF)
            if name == "stdout" and not closed:
                failed = str(getattr(error, "strerror", None) or error)
    return failed


def plain(text: object, *, lines: bool = False) -> str:
    """A text as one line that a terminal shows as it is.

    Args:
        text: From a file, an argument, an exception; a name may have bytes that are no text.
        lines: Whether line ends stay.

    Returns:
        The text, with control characters, escape sequences, characters that change the direction of writing,
        and bytes of undecodable names shown as escapes.
    """
    return "".join(
        _escaped(each) if _unshown(each) and not (lines and each == "\n") else each for each in str(text)
    )


def say(line: object) -> None:
    """Print one line on standard error. A stream that cannot take it is no reason to end."""
    text = plain(line)
    try:
        print(text, file=sys.stderr, flush=True)
    except RuntimeError:  # a signal has come amid another line
        with suppress(OSError):
            os.write(2, f"{text}\n".encode(errors="backslashreplace"))
    except (OSError, ValueError, AttributeError):
        pass


def console(*, stderr: bool = False, width: int | None = None) -> Console:
    """A console of rich that takes texts as they are: no markup, no names of emoji, no control characters."""
    from rich.console import Console
    from rich.text import Text

    class Literal(Console):
        def render_str(self, text: str, *arguments: object, **named: object) -> Text:
            return super().render_str(plain(text, lines=True), *arguments, **named)  # type: ignore[arg-type]

    return Literal(stderr=stderr, width=width, markup=False, emoji=False, highlight=False)


def _unshown(character: str) -> bool:
    return character in BIDI or unicodedata.category(character) in UNSHOWN


def _escaped(character: str) -> str:
    number = ord(character)
    if 0xDC80 <= number <= 0xDCFF:  # how Python keeps a byte of a name that is no text
        return f"\\x{number - 0xDC00:02x}"
    return character.encode("unicode_escape").decode("ascii")
