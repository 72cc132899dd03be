"""Sliced Wasserstein distance of colours: histograms along fixed directions, and the maps between them.

Moments say how colours vary, not which there are: three inks and all their mixtures may have the same. Along
one direction the optimal transport of any two distributions is the monotone map between them. The mean of the
squared distances along many directions is the sliced Wasserstein distance (Rabin et al. 2012, Bonneel et al.
2015; of features: Heitz et al. 2021, arXiv 2006.07229).

Histograms are sums over pixels, and of whole numbers: they add over patches and processes, in any order and
without rounding.
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
SCALES = (1, 2, 4)  # pixels that are averaged: areas and edges, not single pixels alone
# Weights of pixels are counted in these parts.
PARTS = 2**20
# Cells times directions whose bins are found at once.
CACHED = 2**16
# Share of a canvas that is counted as everywhere along a direction: maps are monotone where nothing was seen.
EVERYWHERE = 1e-6


Shares = NDArray[np.float64]


@dataclass(frozen=True)
class Directions:
    """Unit vectors [K, 3] of colours, and where their histograms begin and how long their bins are, [K]."""

    vectors: Tensor
    low: Tensor
    width: Tensor

    def centres(self) -> Shares:
        """What lies in the middle of every bin, [K, BINS]."""
        low, width = (part.double().numpy()[:, None] for part in (self.low, self.width))
        found: Shares = low + width * (np.arange(BINS) + 0.5)
        return found


@cache
def directions() -> Directions:
    """The ten axes through the corners of a dodecahedron: spread evenly, one of them that of the greys.

    Squared lengths along them are a third of the squared length on average, exactly. Along random directions
    they are so by chance alone, and which colours are told apart would depend on the seed.
    """
    golden = (1 + sqrt(5)) / 2
    axes = [(1.0, y, z) for y in (1.0, -1.0) for z in (1.0, -1.0)]
    for long in (golden, -golden):
        axes += [(0.0, 1 / golden, long), (1 / golden, long, 0.0), (long, 0.0, 1 / golden)]
    vectors = torch.tensor(axes, dtype=torch.float64)
    vectors = vectors / vectors.norm(dim=1, keepdim=True)
    low, high = vectors.clamp(max=0).sum(1), vectors.clamp(min=0).sum(1)
    return Directions(vectors.float(), low.float(), ((high - low) / BINS).float())


def shares_of(counts: Tensor) -> Shares:
    """What part of the colours is in every bin along every direction, of counts [K, BINS]."""
    counts = counts.cpu().double()
    found: Shares = (counts / counts.sum(1, keepdim=True)).numpy()
    return found


def energy_of(shares: Shares) -> float:
    """Mean of the squared length of a colour."""
    return float(3 * (shares * directions().centres() ** 2).sum(1).mean())


def averaged(pixels: Tensor, scale: int) -> Tensor:
    """Pixels [C, h, w] averaged over scale x scale; what is left over at the far edges is averaged, too."""
    if scale == 1:
        return pixels
    return F.avg_pool2d(pixels[None], scale, ceil_mode=True, count_include_pad=False)[0]


def _along(cells: Tensor) -> Iterator[tuple[slice, Tensor, Tensor]]:
    """Some directions, where cells [3, N] lie along them, and their bins there, both [k, N], for all in turn.

    Together only as many as stay in a CPU's caches: all at once takes twice as long there, and memory.
    """
    axes, count = directions(), max(1, CACHED // max(1, cells.shape[1]))
    for first in range(0, len(axes.vectors), count):
        part = slice(first, first + count)
        vectors, low, scale = (x[part].to(cells.device) for x in (axes.vectors, axes.low, 1 / axes.width))
        places = vectors @ cells
        bins = (places - low[:, None]).mul_(scale[:, None])
        yield part, places, bins.to(torch.int32).clamp_(0, BINS - 1)


def counts_of(pixels: Tensor, weights: Tensor | None = None) -> Tensor:
    """How much of the colours [3, h, w] is in every bin along every direction, in PARTS: int64 [K, BINS].

    By `weights` [h, w], from 0 to 1, if there are some.
    """
    parts = None if weights is None else (weights.flatten() * PARTS).round().long()
    counts = torch.cat([_binned(bins, parts) for _, _, bins in _along(pixels.flatten(1))])
    return counts * PARTS if parts is None else counts


def _binned(bins: Tensor, parts: Tensor | None) -> Tensor:
    """How many of the `bins` [k, N] are each, or the sum of their whole `parts` [N]: int64 [k, BINS]."""
    count = len(bins)
    places = _offset(bins).flatten()
    if bins.device.type == "cpu":  # sums of whole numbers in float64 are exact
        weights = None if parts is None else parts.double().expand(count, -1).flatten()
        return torch.bincount(places, weights, count * BINS).long().view(count, BINS)
    # There the device would have to be waited for. (Patches are counted in fewer kernels: color_histograms.py.)
    ones = torch.ones_like(bins, dtype=torch.int64) if parts is None else parts.expand(count, -1)
    found = torch.zeros(count * BINS, dtype=torch.int64, device=bins.device)
    return found.scatter_add_(0, places.long(), ones.flatten()).view(count, BINS)


def _offset(bins: Tensor) -> Tensor:
    """Bins [k, N] of several directions as those of one row of all their bins, in place."""
    return bins.add_(BINS * torch.arange(len(bins), dtype=torch.int32, device=bins.device)[:, None])


def slope_at(pixels: Tensor, maps: Tensor) -> Tensor:
    """Gradient of the distance, times the number of pixels, at colours [3, h, w] of the canvas.

    Args:
        pixels: The colours.
        maps: What every bin along every direction is taken to, [K, BINS].
    """
    cells = pixels.flatten(1)
    total = torch.zeros_like(cells)
    vectors = directions().vectors.to(cells.device)
    for part, places, bins in _along(cells):
        goals = maps[part].flatten().index_select(0, _offset(bins).flatten())
        total.addmm_(vectors[part].mT, places.sub_(goals.view(places.shape)))
    return total.mul_(2 * 3 / len(vectors)).view(pixels.shape)


def transported(shares: Shares, goal: Shares) -> tuple[float, Shares]:
    """The squared distance of colours, and what the optimal transport along every direction takes bins to.

    T(b) = 1/h(b) x the integral of the goal's quantile function from H(b - 1) to H(b), of shares h with the
    sums H: where a bin is spread over several of the goal's, their mean. The distance's gradient at a colour is
    2 (p - T(p)) along the direction (Santambrogio 2015, section 7.2).

    Args:
        shares: Of the canvas in every bin, [K, BINS].
        goal: The same of the style.

    Returns:
        The distance, of colours in [0, 1], and the maps [K, BINS].
    """
    centres = directions().centres()
    canvas = (1 - EVERYWHERE) * shares + EVERYWHERE / BINS
    maps = np.empty_like(canvas)
    for k, row in enumerate(canvas):
        ends = np.concatenate([[0.0], np.cumsum(goal[k])])
        sums = np.concatenate([[0.0], np.cumsum(goal[k] * centres[k])])
        rising = np.concatenate([[True], np.diff(ends) > 0])
        reached = np.interp(np.concatenate([[0.0], np.cumsum(row)]), ends[rising], sums[rising])
        maps[k] = np.diff(reached) / row
    squares = (canvas * (centres**2 - 2 * centres * maps) + goal * centres**2).sum(1)
    return max(0.0, float(3 * squares.mean())), maps
