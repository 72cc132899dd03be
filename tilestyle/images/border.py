"""Where errors of the image libraries become ours."""

from __future__ import annotations

import errno
import os
import struct
import threading
import warnings
import zlib
from collections.abc import Iterator
from contextlib import contextmanager

import pyvips
from PIL import Image, UnidentifiedImageError

from tilestyle.errors import MemoryLimit, OutputError, PictureError, TilestyleError

PIXEL_LIMIT = 2**31
"""Pixels of the largest picture that is read; 24 GiB as float32 [H, W, 3]."""

_HARMLESS_PIXELS, _PIXELS_PER_BYTE = 2**28, 2**14

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


class _PixelLimit:
    """Our own limit in place of Pillow's while at least one picture is being read.

    Pillow warns above 0.09 and refuses above 0.18 gigapixels, as protection for servers that open what
    strangers send. Here large pictures are the purpose. The limit is a global of Pillow's, so it is
    lifted only while needed and put back for the program around us.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._readers = 0
        self._theirs: int | None = None

    @contextmanager
    def lifted(self) -> Iterator[None]:
        """Lift Pillow's limit inside the block; blocks may overlap between threads."""
        with self._lock:
            if self._readers == 0:
                self._theirs, Image.MAX_IMAGE_PIXELS = Image.MAX_IMAGE_PIXELS, None
            self._readers += 1
        try:
            yield
        finally:
            with self._lock:
                self._readers -= 1
                if self._readers == 0:
                    Image.MAX_IMAGE_PIXELS = self._theirs


_pixel_limit = _PixelLimit()


@contextmanager
def within_memory(label: str) -> Iterator[None]:
    """Translate MemoryError inside the block into MemoryLimit."""
    try:
        yield
    except MemoryError as error:
        raise MemoryLimit(
            f"{label} does not fit into memory", hint="use a smaller copy or a larger machine"
        ) from error


@contextmanager
def decoding(label: str) -> Iterator[None]:
    """Translate what image libraries raise inside the block into PictureError, and silence warnings.

    Libraries warn about oddities in metadata that tilestyle does not use, hence the silence.
    """
    try:
        with within_memory(label), warnings.catch_warnings(), _pixel_limit.lifted():
            warnings.simplefilter("ignore")
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


def check_honest(label: str, height: int, width: int, file_bytes: int) -> None:
    """Raise PictureError for pictures without content, or far larger than their file can hold.

    No bound on honest pictures: what is read by windows costs no more for being large. Deflate packs a
    bilevel picture to 8,258 pixels a byte at the most, and blank JPEG is ten times as long.
    """
    if height * width <= 1:
        check_size(label, height, width)
    if height * width > max(_HARMLESS_PIXELS, _PIXELS_PER_BYTE * file_bytes):
        raise PictureError(
            f"{label} claims {width} x {height} pixels in {file_bytes} bytes", hint="fetch or export it again"
        )


def check_size(label: str, height: int, width: int) -> None:
    """Raise PictureError for pictures without content or beyond PIXEL_LIMIT, before they are decoded."""
    if height * width <= 1:
        raise PictureError(
            f"{label} is {width} x {height} pixels", hint="a picture needs two pixels at the least"
        )
    if height * width > PIXEL_LIMIT:
        raise PictureError(
            f"{label} is {width} x {height} pixels, more than the {PIXEL_LIMIT} that are read",
            hint="use a smaller copy",
        )


def _one_line(error: BaseException) -> str:
    text = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
    return " ".join(text.split())[:200] or type(error).__name__
