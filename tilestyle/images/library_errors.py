"""Where errors of the image libraries become ours."""

from __future__ import annotations

import errno
import logging
import os
import struct
import threading
import zlib
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

import pyvips
from PIL import Image, UnidentifiedImageError

from tilestyle.devices import failures
from tilestyle.devices.quiet_warnings import Quiet
from tilestyle.errors import MemoryLimit, OutputError, PictureError, TilestyleError
from tilestyle.images import libtiff_messages

# Libraries log oddities of files. Without a handler, Python prints them on the terminal.
for _library in ("PIL", "pyvips", "tifffile"):
    logging.getLogger(_library).addHandler(logging.NullHandler())

_LONGEST = 200
"""Characters of a library's message, or of a value from a file, that are shown."""

# Parsers of image files meet a broken file with whatever their next statement raises, so the list is
# long. It does not include Exception: an interrupt or an exit passes, and the cause stays chained.
_FOREIGN = (
    OSError,
    ValueError,
    TypeError,
    LookupError,
    AttributeError,
    ArithmeticError,
    AssertionError,
    EOFError,
    RuntimeError,
    SyntaxError,
    SystemError,
    struct.error,
    zlib.error,
    pyvips.Error,
)

_ENCODE_HINTS = {
    errno.ENOSPC: "free some space or write to another disk",
    errno.EDQUOT: "free some of the quota or write to another disk",
    errno.EACCES: "choose a folder you may write to",
    errno.EPERM: "choose a folder you may write to",
    errno.EROFS: "choose a folder that is not read-only",
    errno.ENOENT: "create the folder first",
    errno.ENAMETOOLONG: "choose a shorter file name",
    errno.EFBIG: "write to a file system that takes larger files",
}


class _Reading:
    """Settings of Pillow that hold for the whole process, changed while pictures are being read.

    Pillow warns above 0.09 and refuses above 0.18 gigapixels, as protection for servers that open what
    strangers send; `pixel_limit.py` has a limit of its own. Pillow also warns about oddities in metadata that
    are of no use here, and its libtiff prints errors by itself. The first reader changes these settings and
    the last one changes them back, in whatever threads they run.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._readers = 0
        self._limit: int | None = None
        self._quiet = Quiet(r"PIL\.")
        self._libtiff = ExitStack()

    @contextmanager
    def going_on(self) -> Iterator[None]:
        """Lift the limit and silence Pillow and its libtiff inside the block; blocks may overlap."""
        with self._lock:
            if self._readers == 0:
                self._limit, Image.MAX_IMAGE_PIXELS = Image.MAX_IMAGE_PIXELS, None
                self._libtiff.enter_context(libtiff_messages.silenced())
            self._readers += 1
        try:
            with self._quiet():
                yield
        finally:
            with self._lock:
                self._readers -= 1
                if self._readers == 0:
                    Image.MAX_IMAGE_PIXELS = self._limit
                    self._libtiff.close()


_reading = _Reading()


@contextmanager
def within_memory(label: str) -> Iterator[None]:
    """Translate memory that runs out inside the block into MemoryLimit."""
    try:
        yield
    except (MemoryError, OSError, pyvips.Error) as error:
        if isinstance(error, TilestyleError) or not is_out_of_memory(error):
            raise
        raise MemoryLimit(
            f"{label} does not fit into memory", hint="use a smaller copy or a larger machine"
        ) from error


def is_out_of_memory(error: BaseException) -> bool:
    """Whether an error says that memory ran out: that of Python, of a mapping, or of libvips."""
    return failures.is_out_of_memory(error) or (
        isinstance(error, pyvips.Error) and "out of memory" in str(error)
    )


@contextmanager
def decoding(label: str) -> Iterator[None]:
    """Translate what image libraries raise inside the block into PictureError, and silence their warnings."""
    try:
        with within_memory(label), _reading.going_on():
            yield
    except TilestyleError:
        raise
    except UnidentifiedImageError as error:
        raise PictureError(
            f"{label} is not a picture in a format that can be read",
            hint="convert it to PNG, TIFF or JPEG, or fetch it again if it should be one",
        ) from error
    except _FOREIGN as error:
        raise PictureError(
            f"{label} cannot be decoded ({_one_line(error)})",
            hint="it may be cut short, damaged or an unusual variant: fetch it again or convert it",
        ) from error


@contextmanager
def encoding(label: str) -> Iterator[None]:
    """Translate what image libraries and the system raise inside the block into OutputError."""
    try:
        yield
    except TilestyleError:
        raise
    except MemoryError as error:
        raise MemoryLimit(
            f"not enough memory to encode {label}", hint="write PNG or TIFF, which are written in bands"
        ) from error
    except OSError as error:
        hint = _ENCODE_HINTS.get(error.errno or 0, "try another folder or format")
        raise OutputError(f"cannot write {label} ({_one_line(error)})", hint=hint) from error
    except _FOREIGN as error:
        if is_disk_full(error):
            raise disk_full(label) from error
        raise OutputError(f"cannot encode {label} ({_one_line(error)})", hint="try another format") from error


def is_disk_full(error: BaseException) -> bool:
    """Whether an error of libvips, which knows those of the system by their text only, is a full disk."""
    return os.strerror(errno.ENOSPC) in str(error)


def disk_full(label: str) -> OutputError:
    """What to raise then."""
    what = os.strerror(errno.ENOSPC)
    return OutputError(f"cannot write {label} ({what})", hint=_ENCODE_HINTS[errno.ENOSPC])


def shortened(value: object) -> str:
    """A value from a file as messages show it: on one line, and not longer than a line."""
    text = " ".join(str(value).split())
    return text if len(text) <= _LONGEST else f"{text[: _LONGEST - 3]}..."


def _one_line(error: BaseException) -> str:
    text = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
    return shortened(text) or type(error).__name__
