"""Translation of errors of the image libraries to the exceptions of tilestyle."""

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
from tilestyle.devices.quiet_warnings import SilencedWarnings
from tilestyle.errors import MemoryLimit, OutputError, PictureError, TilestyleError
from tilestyle.images import libtiff_messages

# The libraries log oddities of files. Without a handler, Python would print them on the terminal.
for _library in ("PIL", "pyvips", "tifffile"):
    logging.getLogger(_library).addHandler(logging.NullHandler())

_MAX_TEXT = 200
"""Largest number of characters that are shown of a library's message or of a value from a file."""

# Parsers raise almost any exception for a broken file, so the list is long. The original error stays chained.
_LIBRARY_ERRORS = (
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


class _PillowGlobals:
    """Process-wide settings of Pillow, changed while pictures are being read.

    Pillow warns above 0.09 gigapixels and fails above 0.18, to protect servers that open files of strangers;
    pixel_limit.py has its own limit. Pillow also warns about oddities in metadata that are not used here, and
    its libtiff prints errors directly. The first reader changes these settings and the last one restores them,
    in whatever threads they run.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._readers = 0
        self._limit: int | None = None
        self._quiet = SilencedWarnings(r"PIL\.")
        self._libtiff = ExitStack()

    @contextmanager
    def relaxed(self) -> Iterator[None]:
        """Inside the block, remove the limit and silence Pillow and its libtiff; blocks may overlap."""
        with self._lock:
            if self._readers == 0:
                self._limit, Image.MAX_IMAGE_PIXELS = Image.MAX_IMAGE_PIXELS, None
                self._libtiff.enter_context(libtiff_messages.silenced_errors())
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


_pillow_globals = _PillowGlobals()


@contextmanager
def translating_memory_errors(label: str) -> Iterator[None]:
    """Raise MemoryLimit if the block runs out of memory.

    Args:
        label: Name of the picture in the message.
    """
    try:
        yield
    except (MemoryError, OSError, pyvips.Error) as error:
        if isinstance(error, TilestyleError) or not is_out_of_memory(error):
            raise
        raise MemoryLimit(
            f"{label} does not fit into memory", hint="use a smaller copy or a larger machine"
        ) from error


def is_out_of_memory(error: BaseException) -> bool:
    """Whether an error of Python, the system or libvips says that memory ran out."""
    return failures.is_out_of_memory(error) or (
        isinstance(error, pyvips.Error) and "out of memory" in str(error)
    )


@contextmanager
def translating_decode_errors(label: str) -> Iterator[None]:
    """Translate errors of image libraries inside the block to PictureError, and silence their warnings.

    Args:
        label: Name of the picture in the message.
    """
    try:
        with translating_memory_errors(label), _pillow_globals.relaxed():
            yield
    except TilestyleError:
        raise
    except UnidentifiedImageError as error:
        raise PictureError(
            f"{label} is not a picture in a supported format",
            hint="convert it to PNG, TIFF or JPEG; if it already is one, copy or download it again",
        ) from error
    except _LIBRARY_ERRORS as error:
        raise PictureError(
            f"{label} cannot be decoded ({_error_text(error)})",
            hint="it may be truncated, damaged or an unusual variant: copy or download it again, or convert it",
        ) from error


@contextmanager
def translating_encode_errors(label: str) -> Iterator[None]:
    """Translate errors of image libraries and the system inside the block to OutputError.

    Args:
        label: Name of the output file in the message.
    """
    try:
        yield
    except TilestyleError:
        raise
    except MemoryError as error:
        raise MemoryLimit(
            f"not enough memory to encode {label}", hint="write PNG or TIFF, which take little memory"
        ) from error
    except OSError as error:
        hint = _ENCODE_HINTS.get(error.errno or 0, "try another folder or format")
        raise OutputError(f"cannot write {label} ({_error_text(error)})", hint=hint) from error
    except _LIBRARY_ERRORS as error:
        if is_disk_full(error):
            raise disk_full_error(label) from error
        raise OutputError(f"cannot encode {label} ({_error_text(error)})", hint="try another format") from error


def is_disk_full(error: BaseException) -> bool:
    """Whether an error of libvips, which contains system errors as text only, says that a disk is full."""
    return os.strerror(errno.ENOSPC) in str(error)


def disk_full_error(label: str) -> OutputError:
    """Build the error for a full disk."""
    reason = os.strerror(errno.ENOSPC)
    return OutputError(f"cannot write {label} ({reason})", hint=_ENCODE_HINTS[errno.ENOSPC])


def shorten_text(value: object) -> str:
    """Format a value from a file for a message: on one short line."""
    text = " ".join(str(value).split())
    return text if len(text) <= _MAX_TEXT else f"{text[: _MAX_TEXT - 3]}..."


def _error_text(error: BaseException) -> str:
    text = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
    return shorten_text(text) or type(error).__name__
