"""Suppression of the errors that Pillow's libtiff prints on standard error."""

from __future__ import annotations

import ctypes
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from typing import Any

from PIL import _imaging


@contextmanager
def silenced_errors() -> Iterator[None]:
    """Suppress the printing of libtiff errors inside the block; Pillow raises exceptions for them.

    The error handler belongs to the whole process, so blocks in several threads must not overlap. If the
    library cannot be accessed, nothing changes.
    """
    setter = _error_handler_setter()
    old_handler = None if setter is None else setter(None)
    try:
        yield
    finally:
        if setter is not None:
            setter(old_handler)


@cache
def _error_handler_setter() -> Any:
    """Return TIFFSetErrorHandler of the libtiff that Pillow is linked to; None if it is not accessible."""
    try:
        setter = ctypes.CDLL(_imaging.__file__).TIFFSetErrorHandler
    except (OSError, AttributeError, TypeError):
        return None
    setter.argtypes, setter.restype = [ctypes.c_void_p], ctypes.c_void_p
    return setter
