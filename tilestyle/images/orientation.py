"""The eight orientations of EXIF and TIFF."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

UPRIGHT = 1

# Orientation -> (swap rows and columns, then flip top to bottom, then flip left to right).
_FLIPS = {
    1: (False, False, False),
    2: (False, False, True),
    3: (False, True, True),
    4: (False, True, False),
    5: (True, False, False),
    6: (True, False, True),
    7: (True, True, True),
    8: (True, True, False),
}


def valid_orientation(value: object) -> int:
    """Return a value from 1 to 8 unchanged, and UPRIGHT for anything else: some cameras write 0."""
    return value if isinstance(value, int) and value in _FLIPS else UPRIGHT


def swaps_sides(orientation: int) -> bool:
    """Whether rotation to upright swaps height and width."""
    return _FLIPS[orientation][0]


def rotate_upright(values: NDArray[Any], orientation: int) -> NDArray[Any]:
    """Rotate stored samples [H, W, ...] upright.

    Args:
        values: The samples.
        orientation: EXIF orientation, 1 to 8.

    Returns:
        A contiguous array: the samples themselves if they are contiguous and upright, else a copy.
    """
    swap, flip_rows, flip_columns = _FLIPS[orientation]
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
    """Convert a window of the upright picture to one of the stored picture.

    Args:
        window: Top, left, height and width in pixels of the upright picture.
        sides: Height and width of the upright picture.
        orientation: EXIF orientation, 1 to 8.

    Returns:
        Top, left, height and width in pixels of the stored picture.
    """
    swap, flip_rows, flip_columns = _FLIPS[orientation]
    top, left, height, width = window
    if flip_rows:
        top = sides[0] - top - height
    if flip_columns:
        left = sides[1] - left - width
    return (left, top, width, height) if swap else (top, left, height, width)
