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
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Any, TextIO, cast

if TYPE_CHECKING:
    from rich.console import Console

# Characters that reorder the text around them: a name could show as another one.
BIDI = frozenset("\u061c\u200e\u200f\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069")
UNSHOWN = frozenset({"Cc", "Cs", "Zl", "Zp"})  # control characters, surrogates, separators of lines


class Tolerant:
    """A text stream that never raises: what it cannot take is dropped, and the first reason remembered."""

    def __init__(self, stream: Any) -> None:
        self.stream = stream
        self.error: Exception | None = None

    def write(self, text: str) -> int:
        """Write, if it can be done; characters that the encoding lacks as escapes."""
        if not isinstance(text, str):  # whether a stream takes bytes is found out so
            raise TypeError(f"a text stream does not take {type(text).__name__}")
        try:
            try:
                self.stream.write(text)
            except UnicodeEncodeError:
                code = self.stream.encoding or "ascii"
                self.stream.write(text.encode(code, "backslashreplace").decode(code))
        except (OSError, ValueError) as error:
            self.error = self.error or error
        return len(text)

    def writelines(self, lines: Iterable[str]) -> None:
        """Write them one after the other."""
        for line in lines:
            self.write(line)

    def flush(self) -> None:
        """Pass on what waits, if it can be done."""
        try:
            self.stream.flush()
        except (OSError, ValueError) as error:
            self.error = self.error or error

    def __getattr__(self, name: str) -> Any:
        """Everything else is the stream's."""
        return getattr(self.stream, name)


@contextmanager
def streams() -> Iterator[None]:
    """Make standard streams tolerant while the program runs.

    A closed descriptor is opened on the null device: else the next file that is opened would take its number,
    and what a library writes to standard error would land in a picture.

    Raises:
        OutputError: When the block ends, if standard output has not taken everything, unless its reader has had
            enough and closed it.
    """
    for number in (0, 1, 2):
        try:
            os.fstat(number)
        except OSError:
            with suppress(OSError):
                os.open(os.devnull, os.O_RDWR)
    sys.stdin = sys.stdin or _nowhere("r")
    before = sys.stdout, sys.stderr
    out, err = (Tolerant(stream or _nowhere("w")) for stream in before)
    sys.stdout, sys.stderr = cast(TextIO, out), cast(TextIO, err)
    try:
        yield
    finally:
        out.flush()
        err.flush()
        # At its end Python would try again to write what waits, and exit with a code of its own.
        sys.stdout, sys.stderr = (
            _nowhere("w") if stream is None or made.error else stream
            for made, stream in zip((out, err), before, strict=True)
        )
    closed = isinstance(out.error, ValueError) or getattr(out.error, "errno", None) in (
        errno.EPIPE,
        errno.EBADF,
    )
    if out.error and not closed:
        from tilestyle.errors import OutputError

        what = getattr(out.error, "strerror", None) or out.error
        raise OutputError(f"standard output cannot be written ({what})", hint="write it elsewhere")


def _nowhere(mode: str) -> TextIO:
    return cast(TextIO, open(os.devnull, mode, encoding="utf-8"))


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
    """Print one line on standard error."""
    text = plain(line)
    try:
        print(text, file=sys.stderr, flush=True)
    except RuntimeError:  # a signal has come amid another line
        with suppress(OSError):
            os.write(2, f"{text}\n".encode(errors="backslashreplace"))


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
