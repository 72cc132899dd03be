"""Pictures as full-width strips from top to bottom, so that they need not fit into memory."""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Executor, Future
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from tilestyle.errors import PictureError
from tilestyle.images.picture import FloatArray, Picture

_STRIP_SAMPLES = 1 << 21

T = TypeVar("T")
R = TypeVar("R")


def read_strips(
    read: Callable[[int, int, int, int], FloatArray], height: int, width: int, rows: int | None = None
) -> Iterator[FloatArray]:
    """Read strips through a function that reads windows.

    Args:
        read: ``read(top, left, height, width)`` returns a window [height, width, C].
        height: Height of the picture in pixels.
        width: Width of the picture in pixels.
        rows: Height of a strip. None: `strip_rows`.

    Yields:
        Strips [h, width, C].
    """
    rows = rows or strip_rows(width)
    for top in range(0, height, rows):
        yield read(top, 0, min(rows, height - top), width)


def picture_strips(picture: Picture) -> Iterator[FloatArray]:
    """Cut a picture, which may be memory-mapped, into strips [h, W, 3], or [h, W, 4] with straight alpha."""
    rows = strip_rows(picture.width)
    for top in range(0, picture.height, rows):
        strip: FloatArray = picture.pixels[top : top + rows]
        if picture.alpha is not None:
            strip = np.concatenate([strip, picture.alpha[top : top + rows, :, None]], axis=2)
        yield strip


def strip_rows(width: int) -> int:
    """Return the height of a strip: about 8 MiB of four float32 channels, at most 256 rows."""
    return min(256, max(1, _STRIP_SAMPLES // (4 * width)))


def regroup_strips(strips: Iterable[NDArray[Any]], rows: int) -> Iterator[NDArray[Any]]:
    """Regroup a picture into strips of ``rows`` rows each; the last one has the remaining rows."""
    pending: list[NDArray[Any]] = []
    count = 0
    for strip in strips:
        start = 0
        while count + strip.shape[0] - start >= rows:
            stop = start + rows - count
            yield np.concatenate([*pending, strip[start:stop]]) if pending else strip[start:stop]
            pending, count, start = [], 0, stop
        if start < strip.shape[0]:
            pending.append(strip[start:])
            count += strip.shape[0] - start
    if pending:
        yield np.concatenate(pending)


def in_order(pool: Executor, work: Callable[[T], R], items: Iterable[T], ahead: int) -> Iterator[R]:
    """Apply a function to items in threads, and yield the results in order.

    Args:
        pool: The threads.
        work: The function.
        items: What it is applied to; drawn as it is needed, not at once.
        ahead: How many items are drawn before their results are.
    """
    waiting: deque[Future[R]] = deque()
    for item in items:
        waiting.append(pool.submit(work, item))
        if len(waiting) >= ahead:
            yield waiting.popleft().result()
    while waiting:
        yield waiting.popleft().result()


def composite_on_white(strip: FloatArray) -> FloatArray:
    """Composite a strip [h, W, 4] on white: returns [h, W, 3]. Opaque strips are returned unchanged."""
    if strip.shape[2] == 3:
        return strip
    # Encoded values are blended, not linear light, as image viewers do.
    return strip[..., :3] * strip[..., 3:] + (1 - strip[..., 3:])


def to_depth(samples: NDArray[Any], depth: int) -> NDArray[Any]:
    """Round samples of 8 or 16 bits to another depth; those that have it already are returned as they are."""
    if samples.dtype.itemsize * 8 == depth:
        return samples
    if depth == 16:
        return samples.astype(np.uint16) * np.uint16(257)
    return ((samples.astype(np.uint32) + 128) // 257).astype(np.uint8)


def quantize(strip: FloatArray, depth: int, name: str = "") -> NDArray[Any]:
    """Round values to the nearest 8-bit or 16-bit levels, after clipping them to [0, 1].

    There is no dithering: rounding is exact and repeatable, and painted texture hides the banding of 8 bits.

    Args:
        strip: float32 values of any shape.
        depth: Bits per channel, 8 or 16.
        name: Name of the picture in error messages.

    Returns:
        uint8 or uint16 values of the same shape.

    Raises:
        PictureError: The strip contains NaN or infinity.
    """
    if not (math.isfinite(strip.min()) and math.isfinite(strip.max())):
        raise PictureError(f"{name or 'the picture'} contains NaN or infinity", hint="nothing was written")
    # In float64: a float32 product with 65535 is rounded itself and may end up on the other side of a half.
    levels: NDArray[np.float64] = np.rint(np.clip(strip, 0.0, 1.0).astype(np.float64) * (2**depth - 1))
    return levels.astype(np.uint8 if depth == 8 else np.uint16)
