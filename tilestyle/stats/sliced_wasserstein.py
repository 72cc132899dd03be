"""Sliced Wasserstein distance of colors: histograms along fixed directions, and the maps between them.

Moments describe how colors vary, not which colors there are: three inks and all their mixtures may have the
same moments. Along one direction the optimal transport of any two distributions is the monotone map between
them. The mean of the squared distances along many directions is the sliced Wasserstein distance (Rabin et al.
2012, Bonneel et al. 2015; of features: Heitz et al. 2021, arXiv 2006.07229).

Histograms are sums of integers over pixels: they add up over patches and processes in any order, without
rounding.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from math import sqrt

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor

BINS = 256
SCALES = (1, 2, 4)  # sides of the squares that are averaged: areas and edges count besides single pixels
# Weights of pixels are counted in units of 1 / PARTS.
WEIGHT_UNITS = 2**20
# Cells times directions whose bins are computed at once.
CELLS_AT_ONCE = 2**16
# Share of a canvas that is spread evenly over all bins of a direction, so that maps are monotone in empty bins.
UNIFORM_SHARE = 1e-6


Histogram = NDArray[np.float64]


@dataclass(frozen=True)
class ColorAxes:
    """Directions of the color space, and the bins of histograms along them.

    Attributes:
        vectors: Unit vectors [K, 3].
        low: Where the first bin begins, [K].
        width: Width of a bin, [K].
    """

    vectors: Tensor
    low: Tensor
    width: Tensor

    def bin_centers(self) -> Histogram:
        """Return the center of every bin, [K, BINS]."""
        low, width = (part.double().numpy()[:, None] for part in (self.low, self.width))
        centers: Histogram = low + width * (np.arange(BINS) + 0.5)
        return centers


@cache
def color_axes() -> ColorAxes:
    """Return the ten axes through the corners of a dodecahedron: evenly spread, one of them the gray axis.

    Squared lengths along them are on average exactly a third of the squared length. Along random directions
    this holds only approximately, and which colors are told apart would depend on the seed.
    """
    golden = (1 + sqrt(5)) / 2
    axes = [(1.0, y, z) for y in (1.0, -1.0) for z in (1.0, -1.0)]
    for long in (golden, -golden):
        axes += [(0.0, 1 / golden, long), (1 / golden, long, 0.0), (long, 0.0, 1 / golden)]
    vectors = torch.tensor(axes, dtype=torch.float64)
    vectors = vectors / vectors.norm(dim=1, keepdim=True)
    low, high = vectors.clamp(max=0).sum(1), vectors.clamp(min=0).sum(1)
    return ColorAxes(vectors.float(), low.float(), ((high - low) / BINS).float())


def normalized_histogram(counts: Tensor) -> Histogram:
    """Normalize counts [K, BINS] to shares along every direction."""
    counts = counts.cpu().double()
    histogram: Histogram = (counts / counts.sum(1, keepdim=True)).numpy()
    return histogram


def mean_square_color(histogram: Histogram) -> float:
    """Return the mean squared norm of a color."""
    return float(3 * (histogram * color_axes().bin_centers() ** 2).sum(1).mean())


def average_blocks(pixels: Tensor, scale: int) -> Tensor:
    """Average pixels [C, h, w] over scale x scale; blocks at the far edges may be smaller."""
    if scale == 1:
        return pixels
    return F.avg_pool2d(pixels[None], scale, ceil_mode=True, count_include_pad=False)[0]


def _projections(cells: Tensor) -> Iterator[tuple[slice, Tensor, Tensor]]:
    """Yield the projections of cells onto some of the directions, until all are done.

    Only as many directions are taken at once as stay in a CPU's caches: all at once takes twice as long there,
    and more memory.

    Args:
        cells: [3, N].

    Yields:
        Which directions, projections [k, N], and their bins [k, N].
    """
    axes, count = color_axes(), max(1, CELLS_AT_ONCE // max(1, cells.shape[1]))
    for first in range(0, len(axes.vectors), count):
        part = slice(first, first + count)
        vectors, low, scale = (x[part].to(cells.device) for x in (axes.vectors, axes.low, 1 / axes.width))
        positions = vectors @ cells
        bins = (positions - low[:, None]).mul_(scale[:, None])
        yield part, positions, bins.to(torch.int32).clamp_(0, BINS - 1)


def count_histograms(pixels: Tensor, weights: Tensor | None = None) -> Tensor:
    """Count colors along every direction.

    Args:
        pixels: [3, h, w].
        weights: Weights of the pixels [h, w], from 0 to 1; None: all 1.

    Returns:
        Counts [K, BINS] in units of 1 / WEIGHT_UNITS, int64.
    """
    parts = None if weights is None else (weights.flatten() * WEIGHT_UNITS).round().long()
    counts = torch.cat([_bin_counts(bins, parts) for _, _, bins in _projections(pixels.flatten(1))])
    return counts * WEIGHT_UNITS if parts is None else counts


def _bin_counts(bins: Tensor, parts: Tensor | None) -> Tensor:
    """Count the `bins` [k, N], or sum their integer weights `parts` [N]: int64 [k, BINS]."""
    count = len(bins)
    positions = _row_offset_bins(bins).flatten()
    if bins.device.type == "cpu":  # sums of integers in float64 are exact
        weights = None if parts is None else parts.double().expand(count, -1).flatten()
        return torch.bincount(positions, weights, count * BINS).long().view(count, BINS)
    # On a device bincount would synchronise. (Patches are counted in fewer kernels: color_histograms.py.)
    ones = torch.ones_like(bins, dtype=torch.int64) if parts is None else parts.expand(count, -1)
    histogram = torch.zeros(count * BINS, dtype=torch.int64, device=bins.device)
    return histogram.scatter_add_(0, positions.long(), ones.flatten()).view(count, BINS)


def _row_offset_bins(bins: Tensor) -> Tensor:
    """Turn bins [k, N] of each direction into bins of one row of all directions, in place."""
    return bins.add_(BINS * torch.arange(len(bins), dtype=torch.int32, device=bins.device)[:, None])


def transport_gradient(pixels: Tensor, maps: Tensor) -> Tensor:
    """Return the gradient of the distance at each color, times the number of pixels: [3, h, w].

    Args:
        pixels: Colors of the canvas [3, h, w].
        maps: Where the optimal transport takes every bin along every direction, [K, BINS].
    """
    cells = pixels.flatten(1)
    total = torch.zeros_like(cells)
    vectors = color_axes().vectors.to(cells.device)
    for part, positions, bins in _projections(cells):
        targets = maps[part].flatten().index_select(0, _row_offset_bins(bins).flatten())
        total.addmm_(vectors[part].mT, positions.sub_(targets.view(positions.shape)))
    return total.mul_(2 * 3 / len(vectors)).view(pixels.shape)


class SlicedTarget:
    """The colors of a style, to which others are transported. What depends on it alone is computed once."""

    def __init__(self, histogram: Histogram) -> None:
        """Take the share of the style in every bin, [K, BINS]."""
        centers = color_axes().bin_centers()
        self._centers, self._squares = centers, centers**2
        self._energy = histogram * self._squares
        self._quantiles = []  # cumulative sums of the shares and of the colors, where the first rise
        for shares, colors in zip(histogram, histogram * centers, strict=True):
            cumulative = np.concatenate([[0.0], np.cumsum(shares)])
            integrals = np.concatenate([[0.0], np.cumsum(colors)])
            rising = np.concatenate([[True], np.diff(cumulative) > 0])
            self._quantiles.append((cumulative[rising], integrals[rising]))
        self._origins = [np.interp(0.0, *quantiles) for quantiles in self._quantiles]

    def transport(self, histogram: Histogram) -> tuple[float, Histogram]:
        """Return the squared distance from a color distribution, and the optimal transport of it.

        T(b) = 1/h(b) x the integral of the target's quantile function from H(b - 1) to H(b), for a histogram h
        with the cumulative sums H: where a bin is spread over several bins of the target, it is their mean. The
        gradient of the distance at a color is 2 (p - T(p)) along the direction (Santambrogio 2015, section
        7.2).

        Args:
            histogram: Share of the canvas in every bin, [K, BINS].

        Returns:
            The distance, for colors in [0, 1], and the maps along every direction [K, BINS].
        """
        canvas = (1 - UNIFORM_SHARE) * histogram + UNIFORM_SHARE / BINS
        reached = np.empty((len(canvas), BINS + 1))
        reached[:, 0] = self._origins
        for row, quantiles, places in zip(reached, self._quantiles, np.cumsum(canvas, 1), strict=True):
            row[1:] = np.interp(places, *quantiles)
        maps: Histogram = np.diff(reached, axis=1) / canvas
        squares = (canvas * (self._squares - 2 * self._centers * maps) + self._energy).sum(1)
        return max(0.0, float(3 * squares.mean())), maps


def sliced_transport(histogram: Histogram, target: Histogram) -> tuple[float, Histogram]:
    """Return the distance of two color distributions and the maps from the first (SlicedTarget.transport)."""
    return SlicedTarget(target).transport(histogram)
