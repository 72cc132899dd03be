"""Downsampling by area averaging of a picture that is given in strips."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from tilestyle.images.alpha import premultiply, unpremultiply
from tilestyle.images.picture import FloatArray, Picture

_ROWS = 64
"""Rows that are added at once: for more rows, most weights would be zero."""


class AreaAccumulator:
    """Averages values that are added in strips.

    Every target pixel is the mean of the source area under it, including fractions of pixels. Sums have float64
    precision, so that the result does not depend on the heights of the strips.
    """

    def __init__(self, source: tuple[float, float], target: tuple[int, int]) -> None:
        """Create an empty accumulator.

        Args:
            source: Height and width of the source in pixels. They need not be whole numbers: a picture decoded
                to half an odd size ends inside its last row and column.
            target: Height and width of the result in pixels.
        """
        self._source, self._target = source, target
        self._top = 0
        self._sums: NDArray[np.float64] | None = None

    def add(self, strip: FloatArray) -> None:
        """Add the next strip [h, W, C]."""
        if self._sums is None:
            self._sums = np.zeros((*self._target, strip.shape[2]))
        for top in range(0, strip.shape[0], _ROWS):
            self._add(strip[top : top + _ROWS], self._sums)

    def _add(self, strip: FloatArray, sums: NDArray[np.float64]) -> None:
        """Add at most _ROWS rows [h, W, C] to the sums [target height, target width, C]."""
        rows = strip.shape[0]
        scale = self._target[0] / self._source[0]  # target rows per source row
        first = int(self._top * scale)
        last = min(self._target[0], int(np.ceil((self._top + rows) * scale)))
        edges = np.arange(first, last + 1) / scale
        pixels = np.arange(self._top, self._top + rows)
        inside = np.minimum(edges[1:, None], pixels + 1) - np.maximum(edges[:-1, None], pixels)
        weights = np.maximum(inside, 0.0) * scale  # [target rows, strip rows]
        down = weights @ self._premultiplied(strip).reshape(rows, -1)  # [target rows, W * C]
        down = down.reshape(last - first, *strip.shape[1:])  # [target rows, W, C]
        sums[first:last] += _row_means(down, self._source[1], self._target[1])
        self._top += rows

    def _premultiplied(self, strip: FloatArray) -> FloatArray:
        """Return the values to average."""
        return strip

    def means(self) -> FloatArray:
        """Return the means [H, W, C] after all strips have been added."""
        assert self._sums is not None and self._top >= self._source[0], "strips are missing"
        return self._sums.astype(np.float32)


class PictureAccumulator(AreaAccumulator):
    """Averages pictures that are added in strips [h, W, 3], or [h, W, 4] with straight alpha.

    Colors are weighted by alpha.
    """

    def _premultiplied(self, strip: FloatArray) -> FloatArray:
        """Return colors multiplied by alpha."""
        return premultiply(strip)

    def picture(self, name: str = "") -> Picture:
        """Return the averaged picture after all strips have been added."""
        values = unpremultiply(self.means())
        np.clip(values, 0.0, 1.0, out=values)
        alpha = np.ascontiguousarray(values[..., 3]) if values.shape[2] == 4 else None
        return Picture(np.ascontiguousarray(values[..., :3]), alpha, name=name)


def area_average(picture: Picture, height: int, width: int) -> Picture:
    """Resize a picture by area averaging, without fringes at transparent edges."""
    mean = PictureAccumulator((picture.height, picture.width), (height, width))
    values = picture.pixels if picture.alpha is None else np.dstack([picture.pixels, picture.alpha])
    mean.add(values)
    return mean.picture(picture.name)


def _row_means(rows: NDArray[np.float64], extent: float, width: int) -> NDArray[np.float64]:
    """Average rows [h, W, C] over ``width`` equal parts of ``extent`` pixels: differences of their integral."""
    integral = np.concatenate([np.zeros_like(rows[:, :1]), rows.cumsum(axis=1)], axis=1)  # [h, W + 1, C]
    edges = np.linspace(0, extent, width + 1)
    indices = np.minimum(edges.astype(int), rows.shape[1] - 1)
    share = (edges - indices)[:, None]
    at_edges = integral[:, indices] + share * rows[:, indices]
    means: NDArray[np.float64] = np.diff(at_edges, axis=1) * (width / extent)
    return means
