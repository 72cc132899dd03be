"""The size of the finished picture, and those at which pictures are read. No torch."""

from __future__ import annotations

from math import ceil, sqrt

from tilestyle.errors import SettingError

OVERSAMPLING = 4
"""A picture that is downsampled while it is read keeps this many times the size needed, per axis."""
MIN_READ_PIXELS = 2**22
"""A picture that is downsampled while it is read keeps at least this many pixels."""


def picture_size(size: int | tuple[int, int] | None, content: tuple[int, int] | None) -> tuple[int, int]:
    """Return the height and width of the finished picture.

    This is where the order of settings, width first, becomes that of tensors and boxes.

    Args:
        size: The setting: its long side, or (width, height); None for the size of the content, or 512 x 512
            without one.
        content: Height and width of the content; None without one.

    Raises:
        SettingError: The size is empty.
    """
    if isinstance(size, tuple):
        width, height = size
    elif content is None:
        height = width = size or 512
    else:
        factor = size / max(content) if size else 1
        height, width = (max(1, round(side * factor)) for side in content)
    if min(height, width) < 1:
        raise SettingError(f"invalid size {width}x{height}", hint="give a long side or WIDTHxHEIGHT")
    return height, width


def oversampled_sides(own: tuple[int, int], needed: tuple[float, float]) -> tuple[int, int]:
    """Return the height and width at which to read a picture that is used smaller than it is.

    This is its own size if that is not much larger than needed, and always up to 4 x MIN_READ_PIXELS. Otherwise
    it is OVERSAMPLING times the size needed, so that the quality depends on the resampling that follows.

    Args:
        own: Height and width of the picture, pixels.
        needed: Largest height and width at which it is used, pixels.
    """
    height, width = own
    factor = max(
        OVERSAMPLING * needed[0] / height,
        OVERSAMPLING * needed[1] / width,
        sqrt(MIN_READ_PIXELS / (height * width)),
    )
    return own if factor > 1 / 2 else (min(height, ceil(height * factor)), min(width, ceil(width * factor)))
