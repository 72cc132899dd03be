"""Bilinear enlargement of a picture, window by window."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from tilestyle.images.picture import FloatArray

WindowRect = tuple[int, int, int, int]  # top, left, height, width


def bilinear_window(values: FloatArray, height: float, width: float, window: WindowRect) -> FloatArray:
    """Return a window of a picture enlarged by bilinear interpolation.

    A value depends on its position only, so that windows fit together. Outside the centers of the outer pixels
    their values are repeated. Only the window takes memory.

    Args:
        values: The picture [h, w, C].
        height: Height of the enlarged picture in its pixels.
        width: Width of the enlarged picture.
        window: The window in pixels of the enlarged picture.

    Returns:
        Values [window height, window width, C].
    """
    top, left, rows, columns = window
    upper, lower, down = _interpolation_weights(values.shape[0], height, top, rows)
    first, last, across = _interpolation_weights(values.shape[1], width, left, columns)
    begin, end = first[0], last[-1] + 1
    near, far = values[upper, begin:end], values[lower, begin:end]
    mixed = near + (far - near) * down[:, None, None]
    result: FloatArray = mixed[:, first - begin]
    result += (mixed[:, last - begin] - result) * across[:, None]
    return result


def _interpolation_weights(
    small: int, large: float, start: int, count: int
) -> tuple[NDArray[np.int64], NDArray[np.int64], FloatArray]:
    """Return what to interpolate along one axis: for every pixel its two neighbors, and the second's weight.

    Args:
        small: Size of the picture along the axis.
        large: Size of the enlarged picture.
        start: First pixel of the window in the enlarged picture.
        count: Size of the window.
    """
    positions = np.clip((np.arange(start, start + count) + 0.5) * small / large - 0.5, 0, small - 1)
    lower = positions.astype(np.int64)
    return lower, np.minimum(lower + 1, small - 1), (positions - lower).astype(np.float32)
