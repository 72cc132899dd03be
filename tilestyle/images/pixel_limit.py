"""How many pixels a picture that comes in may have."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar

from tilestyle.config.enums import MAX_INPUT_PIXELS
from tilestyle.errors import PictureError

_most: ContextVar[int] = ContextVar("tilestyle_max_input_pixels", default=MAX_INPUT_PIXELS)


@contextmanager
def pixel_limit(most: int | None) -> Iterator[None]:
    """Read pictures of up to ``most`` pixels inside the block, in this thread; None keeps the limit as it is.

    A small file can claim any number of pixels, and decoding takes time and memory by their number.
    """
    token = _most.set(_most.get() if most is None else most)
    try:
        yield
    finally:
        _most.reset(token)


def check_pixels(label: str, height: int, width: int) -> None:
    """Raise PictureError for a picture of one pixel or none, or of more than the limit."""
    check_content(label, height, width)
    if height * width > _most.get():
        raise PictureError(
            f"{label} is {width} x {height} pixels, more than the {_most.get()} that are read",
            hint=f"use a smaller copy, or allow it with --max-input-pixels {height * width}",
        )


def check_content(label: str, height: int, width: int) -> None:
    """Raise PictureError for a picture of one pixel or none."""
    if height * width <= 1:
        raise PictureError(f"{label} is {width} x {height} pixels", hint="a picture needs at least two pixels")
