"""What Pillow's libtiff prints on standard error by itself."""

from __future__ import annotations

import ctypes
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from typing import Any

from PIL import _imaging


@contextmanager
def silenced() -> Iterator[None]:
    """Print no errors of libtiff inside the block: Pillow raises an exception for them, too.

    The handler belongs to the whole process, so blocks must not overlap in several threads. Where the library
    cannot be reached, nothing is changed.
    """
    setter = _setter()
    before = None if setter is None else setter(None)
    try:
        yield
    finally:
        if setter is not None:
            setter(before)


@cache
def _setter() -> Any:
    """TIFFSetErrorHandler of the libtiff that Pillow is linked to; None where it is not visible."""
    try:
        setter = ctypes.CDLL(_imaging.__file__).TIFFSetErrorHandler
    except (OSError, AttributeError, TypeError):
        return None
    setter.argtypes, setter.restype = [ctypes.c_void_p], ctypes.c_void_p
    return setter
