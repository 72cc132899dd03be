"""Windows of pictures seen larger than they are."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from tilestyle.images.picture import FloatArray

Window = tuple[int, int, int, int]  # top, left, height, width


def enlarged(values: FloatArray, height: float, width: float, window: Window) -> FloatArray:
    """A window of [h, w, C] seen at ``height`` x ``width`` pixels, interpolated bilinearly.

    A function of the place alone, so that windows fit together; beyond the outer pixels' centres their
    values go on. Memory of the window's size.
    """
    top, left, rows, columns = window
    upper, lower, down = _between(values.shape[0], height, top, rows)
    first, last, across = _between(values.shape[1], width, left, columns)
    begin, end = first[0], last[-1] + 1
    near, far = values[upper, begin:end], values[lower, begin:end]
    mixed = near + (far - near) * down[:, None, None]
    found: FloatArray = mixed[:, first - begin]
    found += (mixed[:, last - begin] - found) * across[:, None]
    return found


def _between(
    small: int, large: float, start: int, count: int
) -> tuple[NDArray[np.int64], NDArray[np.int64], FloatArray]:
    """The pixels on either side of every place, and how far it is from the first to the second."""
    places = np.clip((np.arange(start, start + count) + 0.5) * small / large - 0.5, 0, small - 1)
    before = places.astype(np.int64)
    return before, np.minimum(before + 1, small - 1), (places - before).astype(np.float32)
