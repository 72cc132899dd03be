"""Limit for the number of pixels of an input picture."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar

from tilestyle.config.enums import MAX_INPUT_PIXELS
from tilestyle.errors import PictureError

_limit: ContextVar[int] = ContextVar("tilestyle_max_input_pixels", default=MAX_INPUT_PIXELS)


@contextmanager
def pixel_limit(limit: int | None) -> Iterator[None]:
    """Change the limit inside the block, in this thread.

    A small file can claim any number of pixels, and the time and memory of decoding depend on that number.

    Args:
        limit: Largest number of pixels of a picture that is read. None: leave the limit as it is.
    """
    token = _limit.set(_limit.get() if limit is None else limit)
    try:
        yield
    finally:
        _limit.reset(token)


def check_pixel_count(label: str, height: int, width: int) -> None:
    """Raise PictureError for a picture with fewer than two pixels, or with more than the limit.

    Args:
        label: Name of the picture in the message.
        height: Height in pixels.
        width: Width in pixels.
    """
    check_not_empty(label, height, width)
    if height * width > _limit.get():
        raise PictureError(
            f"{label} is {width} x {height} pixels, more than the limit of {_limit.get()}",
            hint=f"use a smaller copy, or allow it with --max-input-pixels {height * width}",
        )


def check_not_empty(label: str, height: int, width: int) -> None:
    """Raise PictureError for a picture with fewer than two pixels."""
    if height * width <= 1:
        raise PictureError(f"{label} is {width} x {height} pixels", hint="a picture needs at least two pixels")
