"""Area means of a picture that passes by in strips."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from tilestyle.images.alpha import premultiplied, straight
from tilestyle.images.picture import FloatArray, Picture

_ROWS = 64
"""Rows summed at once: the weights of many rows on many would be mostly zero."""


class Means:
    """Collects strips of values of ``source`` (height, width) pixels into area means at ``target``.

    ``source`` may end within its last row and column, as pictures decoded to half their odd sides do.
    Every pixel of the target is the mean of the area of the source under it, fractions of pixels included. Sums
    are kept in float64, so that the mean does not depend on where strips end.
    """

    def __init__(self, source: tuple[float, float], target: tuple[int, int]) -> None:
        self._source, self._target = source, target
        self._top = 0
        self._sums: NDArray[np.float64] | None = None

    def add(self, strip: FloatArray) -> None:
        """Take the next strip, [h, W, C]."""
        if self._sums is None:
            self._sums = np.zeros((*self._target, strip.shape[2]))
        for top in range(0, strip.shape[0], _ROWS):
            self._add(strip[top : top + _ROWS], self._sums)

    def _add(self, strip: FloatArray, sums: NDArray[np.float64]) -> None:
        rows = strip.shape[0]
        scale = self._target[0] / self._source[0]  # rows of the target per row of the source
        first = int(self._top * scale)
        last = min(self._target[0], int(np.ceil((self._top + rows) * scale)))
        edges = np.arange(first, last + 1) / scale
        pixels = np.arange(self._top, self._top + rows)
        inside = np.minimum(edges[1:, None], pixels + 1) - np.maximum(edges[:-1, None], pixels)
        weights = np.maximum(inside, 0.0) * scale  # [rows of the target, rows of the strip]
        down = weights @ self._weighed(strip).reshape(rows, -1)
        down = down.reshape(last - first, *strip.shape[1:])
        sums[first:last] += _means_across(down, self._source[1], self._target[1])
        self._top += rows

    def _weighed(self, strip: FloatArray) -> FloatArray:
        """What is averaged."""
        return strip

    def values(self) -> FloatArray:
        """The means [H, W, C], when all strips have passed."""
        assert self._sums is not None and self._top >= self._source[0], "strips are missing"
        return self._sums.astype(np.float32)


class AreaMean(Means):
    """Area means of pictures: strips [h, W, 3], or [h, W, 4] with straight alpha.

    Colours count as much as they are seen.
    """

    def _weighed(self, strip: FloatArray) -> FloatArray:
        """Colours times alpha."""
        return premultiplied(strip)

    def picture(self, name: str = "") -> Picture:
        """The mean, when all strips have passed."""
        values = straight(self.values())
        np.clip(values, 0.0, 1.0, out=values)
        alpha = np.ascontiguousarray(values[..., 3]) if values.shape[2] == 4 else None
        return Picture(np.ascontiguousarray(values[..., :3]), alpha, name=name)


def area_mean(picture: Picture, height: int, width: int) -> Picture:
    """A picture at another size, by area means without fringe at transparent edges."""
    mean = AreaMean((picture.height, picture.width), (height, width))
    values = picture.pixels if picture.alpha is None else np.dstack([picture.pixels, picture.alpha])
    mean.add(values)
    return mean.picture(picture.name)


def _means_across(rows: NDArray[np.float64], extent: float, width: int) -> NDArray[np.float64]:
    """Means of rows [h, W, C] over ``width`` parts of 0 to ``extent``: differences of the integral."""
    integral = np.concatenate([np.zeros_like(rows[:, :1]), rows.cumsum(axis=1)], axis=1)
    edges = np.linspace(0, extent, width + 1)
    whole = np.minimum(edges.astype(int), rows.shape[1] - 1)
    share = (edges - whole)[:, None]
    at_edges = integral[:, whole] + share * rows[:, whole]
    means: NDArray[np.float64] = np.diff(at_edges, axis=1) * (width / extent)
    return means
