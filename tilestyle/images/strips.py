"""Pictures as strips, one below the other: what is read and written without ever being whole."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tilestyle.errors import PictureError
from tilestyle.images.picture import FloatArray, Picture

_STRIP_SAMPLES = 1 << 21


def strips_of(
    read: Callable[[int, int, int, int], FloatArray], height: int, width: int, rows: int | None = None
) -> Iterator[FloatArray]:
    """Strips of whatever is read by windows: ``read(top, left, height, width)`` -> [height, width, C]."""
    rows = rows or strip_rows(width)
    for top in range(0, height, rows):
        yield read(top, 0, min(rows, height - top), width)


def strips_of_picture(picture: Picture) -> Iterator[FloatArray]:
    """Strips [h, W, 3], or [h, W, 4] with straight alpha, of a picture that may be mapped from a file."""
    rows = strip_rows(picture.width)
    for top in range(0, picture.height, rows):
        strip: FloatArray = picture.pixels[top : top + rows]
        if picture.alpha is not None:
            strip = np.concatenate([strip, picture.alpha[top : top + rows, :, None]], axis=2)
        yield strip


def strip_rows(width: int) -> int:
    """Rows of a strip of about 8 MiB as float32, but no more than 256."""
    return min(256, max(1, _STRIP_SAMPLES // (4 * width)))


def regrouped(strips: Iterable[NDArray[Any]], rows: int) -> Iterator[NDArray[Any]]:
    """The same picture in strips of ``rows`` rows; the last one has what is left."""
    waiting: list[NDArray[Any]] = []
    count = 0
    for strip in strips:
        start = 0
        while count + strip.shape[0] - start >= rows:
            stop = start + rows - count
            yield np.concatenate([*waiting, strip[start:stop]]) if waiting else strip[start:stop]
            waiting, count, start = [], 0, stop
        if start < strip.shape[0]:
            waiting.append(strip[start:])
            count += strip.shape[0] - start
    if waiting:
        yield np.concatenate(waiting)


def on_white(strip: FloatArray) -> FloatArray:
    """Lay [h, W, 4] on white: -> [h, W, 3]; opaque strips as they are."""
    if strip.shape[2] == 3:
        return strip
    # Blended as encoded values, not as light: so do the viewers that showed it before.
    return strip[..., :3] * strip[..., 3:] + (1 - strip[..., 3:])


def quantised(strip: FloatArray, depth: int, name: str = "") -> NDArray[Any]:
    """The nearest levels, uint8 or uint16, of values that are clipped to [0, 1].

    Not dithered: rounding is exact and repeatable, and painted texture covers what banding 8 bits have.
    Raises PictureError for values that are not finite.
    """
    if not (math.isfinite(strip.min()) and math.isfinite(strip.max())):
        raise PictureError(
            f"{name or 'the picture'} holds values that are not finite", hint="nothing was written"
        )
    # In float64: a float32 product with 65535 is itself rounded, at times across the middle.
    levels: NDArray[np.float64] = np.rint(np.clip(strip, 0.0, 1.0).astype(np.float64) * (2**depth - 1))
    return levels.astype(np.uint8 if depth == 8 else np.uint16)
