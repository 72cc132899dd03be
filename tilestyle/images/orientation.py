"""The eight ways a camera can be held: EXIF and TIFF orientation."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

UPRIGHT = 1

# Orientation -> (rows and columns change places, then flip top to bottom, then flip left to right).
_MOVES = {
    1: (False, False, False),
    2: (False, False, True),
    3: (False, True, True),
    4: (False, True, False),
    5: (True, False, False),
    6: (True, False, True),
    7: (True, True, True),
    8: (True, True, False),
}


def known_orientation(value: object) -> int:
    """Return the orientation 1 to 8, or UPRIGHT for anything else: cameras do write 0."""
    return value if isinstance(value, int) and value in _MOVES else UPRIGHT


def swaps_sides(orientation: int) -> bool:
    """Whether the upright picture has the stored height as its width."""
    return _MOVES[orientation][0]


def upright(values: NDArray[Any], orientation: int) -> NDArray[Any]:
    """Turn stored samples [H, W, ...] the right way up; contiguous, and not copied when upright."""
    swap, flip_rows, flip_columns = _MOVES[orientation]
    if swap:
        values = values.swapaxes(0, 1)
    if flip_rows:
        values = values[::-1]
    if flip_columns:
        values = values[:, ::-1]
    return np.ascontiguousarray(values)


def stored_window(
    window: tuple[int, int, int, int], sides: tuple[int, int], orientation: int
) -> tuple[int, int, int, int]:
    """Where a window (top, left, height, width) of the upright picture lies in the stored one.

    ``sides`` are (height, width) of the upright picture, pixels.
    """
    swap, flip_rows, flip_columns = _MOVES[orientation]
    top, left, height, width = window
    if flip_rows:
        top = sides[0] - top - height
    if flip_columns:
        left = sides[1] - left - width
    return (left, top, width, height) if swap else (top, left, height, width)
