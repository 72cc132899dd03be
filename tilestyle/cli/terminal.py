"""Everything that the command line prints goes through here.

Standard output and standard error may be closed, full, a broken pipe, or of an encoding that lacks a character;
names and texts from files may contain anything. None of that may end a command or reach the terminal as a
control sequence.
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
UNKNOWN_WIDTH = 80  # letters in a line, where nobody says how many


class Tolerant:
    """A text stream that never raises: what cannot be written is dropped, and the first error remembered."""

    def __init__(self, stream: Any) -> None:
        self.stream = stream
        self.error: Exception | None = None

    def write(self, text: str) -> int:
        """Write if possible, with escapes for characters that the encoding lacks."""
        if not isinstance(text, str):  # this is how callers test whether a stream takes bytes
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
        """Flush if possible."""
        try:
            self.stream.flush()
        except (OSError, ValueError) as error:
            self.error = self.error or error

    def __getattr__(self, name: str) -> Any:
        """Pass on everything else to the stream."""
        return getattr(self.stream, name)


@contextmanager
def streams() -> Iterator[None]:
    """Make standard streams tolerant while the program runs.

    A closed descriptor is opened on the null device. Otherwise the next file that is opened would get its
    number, and what a library writes to standard error would end up in a picture.

    Raises:
        OutputError: When the block ends, if standard output did not take everything and was not closed by its
            reader.
    """
    for number in (0, 1, 2):
        try:
            os.fstat(number)
        except OSError:
            with suppress(OSError):
                os.open(os.devnull, os.O_RDWR)
    sys.stdin = sys.stdin or _nowhere("r")
    previous_streams = sys.stdout, sys.stderr
    out, err = (Tolerant(stream or _nowhere("w")) for stream in previous_streams)
    sys.stdout, sys.stderr = cast(TextIO, out), cast(TextIO, err)
    try:
        yield
    finally:
        out.flush()
        err.flush()
        # When it exits, Python would flush again, and exit with a code of its own.
        sys.stdout, sys.stderr = (
            _nowhere("w") if stream is None or console_stream.error else stream
            for console_stream, stream in zip((out, err), previous_streams, strict=True)
        )
    closed = isinstance(out.error, ValueError) or getattr(out.error, "errno", None) in (
        errno.EPIPE,
        errno.EBADF,
    )
    if out.error and not closed:
        from tilestyle.errors import OutputError

        reason = getattr(out.error, "strerror", None) or out.error
        raise OutputError(f"cannot write to standard output ({reason})", hint="redirect it elsewhere")


def _nowhere(mode: str) -> TextIO:
    return cast(TextIO, open(os.devnull, mode, encoding="utf-8"))


def plain(text: object, *, lines: bool = False) -> str:
    """A text as one line that is safe to print to a terminal.

    Args:
        text: From a file, an argument or an exception; file names may contain undecodable bytes.
        lines: Whether to keep line ends.

    Returns:
        The text with escapes for control characters, escape sequences, characters that change the text
        direction, and undecodable bytes.
    """
    return "".join(
        _escaped(each) if _unshown(each) and not (lines and each == "\n") else each for each in str(text)
    )


def say(line: object) -> None:
    """Print one line on standard error."""
    text = plain(line)
    try:
        print(text, file=sys.stderr, flush=True)
    except RuntimeError:  # a signal came while another line was printed
        with suppress(OSError):
            os.write(2, f"{text}\n".encode(errors="backslashreplace"))


def warn(text: str) -> None:
    """Print what went wrong without ending the command."""
    say(f"tilestyle: {text}")


def console(*, stderr: bool = False, width: int | None = None) -> Console:
    """A console of rich that prints text literally: no markup, no emoji names, no control characters."""
    from rich.console import Console
    from rich.text import Text

    class Literal(Console):
        def render_str(self, text: str, *arguments: object, **named: object) -> Text:
            return super().render_str(plain(text, lines=True), *arguments, **named)  # type: ignore[arg-type]

    made = Literal(stderr=stderr, width=width, markup=False, emoji=False, highlight=False)
    if made.width < 1:  # COLUMNS=0 says that nobody knows
        made.width = UNKNOWN_WIDTH
    return made


def _unshown(character: str) -> bool:
    return character in BIDI or unicodedata.category(character) in UNSHOWN


def _escaped(character: str) -> str:
    number = ord(character)
    if 0xDC80 <= number <= 0xDCFF:  # how Python represents an undecodable byte of a file name
        return f"\\x{number - 0xDC00:02x}"
    return character.encode("unicode_escape").decode("ascii")
