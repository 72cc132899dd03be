"""How far a picture looks from another: colours and edges, at the size at which a picture is taken in.

Both pictures are seen at a long side of `SIDE` pixels, or what they have. The distance is the mean of three,
each 0 for the same picture and 1 for one that has nothing to do with it:

* tones: opponent colours and the strengths of edges in four directions; one minus the cosine in each cell of
  2 x 2 pixels, averaged;
* sides: what is lighter and darker, redder and greener, yellower and bluer than the mean, and both sides of the
  edges of all three, the roots of these; one minus the correlation over all cells of 2 x 2 pixels;
* edges: their strengths in four directions; one minus the correlation over all cells of 4 x 4 pixels.

A channel counts less its mean, so that a palette that is another as a whole is no distance. No network is
asked: the number means the same with each of them. Edges by orientation, cell by cell, as in histograms of
oriented gradients (Dalal and Triggs 2005); which descriptors, by what tells best what an independent network
finds (docs/algorithm.md).
"""

from __future__ import annotations

from dataclasses import dataclass
from math import isfinite

import torch
import torch.nn.functional as F
from torch import Tensor

SIDE = 256  # long side at which pictures are seen, pixels
FINE, COARSE = 2, 4  # sides of cells, pixels
EDGES = 2.0  # factor of edges against colours
DIAGONAL = 0.7  # about one over the distance to a diagonal neighbour
SOFT = 1e-4  # added under the root, whose slope has no end at nothing
# Least mean square of a descriptor's channels together: a picture that is flat is like nothing.
FAINT = 1e-6


class Looks:
    """What a picture is compared by."""

    def __init__(self, pixels: Tensor, weights: Tensor | None = None) -> None:
        """See a picture.

        Args:
            pixels: [3, h, w], sRGB in [0, 1], at most `SIDE` pixels long.
            weights: How much of each pixel counts, [1, h, w]; None: all of it.
        """
        self._weights = weights
        colours = _opponent(pixels)
        edges = EDGES * _edges(colours)  # [4, 3, h, w]
        strengths = edges[:, 0].abs()
        off = colours - colours.mean((1, 2), keepdim=True)
        halves = torch.cat([_cells(_halves(each), FINE) for each in (off, *edges)])  # little at a time
        self._tones = self._seen(_cells(torch.cat([colours, strengths]), FINE), FINE)
        self._sides = self._seen((halves + SOFT).sqrt(), FINE)
        self._edges = self._seen(_cells(strengths, COARSE), COARSE)

    @property
    def flat(self) -> bool:
        """Whether there is nothing that another could be like."""
        return min(float(each.energy) for each in (self._tones, self._sides, self._edges)) < FAINT

    def distance(self, other: Looks) -> float | None:
        """How far another picture of the same size is, 0 to 2; None where one of them is flat or no number."""
        if self.flat or other.flat:
            return None
        tones = self._tones.mean(F.cosine_similarity(self._tones.cells, other._tones.cells, dim=0))
        sides, edges = self._sides.correlation(other._sides), self._edges.correlation(other._edges)
        found = 1 - float(tones + sides + edges) / 3
        return max(0.0, min(2.0, found)) if isfinite(found) else None

    def _seen(self, cells: Tensor, side: int) -> _Seen:
        """A descriptor [C, h, w] in cells of a side."""
        return _Seen.of(cells, None if self._weights is None else _cells(self._weights, side)[0])


@dataclass(frozen=True)
class _Seen:
    """One descriptor of a picture, each channel less its mean."""

    cells: Tensor  # [C, h, w]
    weights: Tensor | None  # [h, w]

    @classmethod
    def of(cls, cells: Tensor, weights: Tensor | None) -> _Seen:
        """Of channels as they are."""
        return cls(cells - cls(cells, weights).mean(cells)[:, None, None], weights)

    @property
    def energy(self) -> Tensor:
        """Mean square of all channels together."""
        return self.mean(self.cells.square().sum(0))

    def correlation(self, other: _Seen) -> Tensor:
        """With another, over all cells and channels."""
        return self.mean((self.cells * other.cells).sum(0)) / (self.energy * other.energy).sqrt()

    def mean(self, cells: Tensor) -> Tensor:
        """Mean over the cells [..., h, w], weighed."""
        if self.weights is None:
            return cells.mean((-2, -1))
        return (cells * self.weights).sum((-2, -1)) / self.weights.sum()


def _cells(channels: Tensor, side: int) -> Tensor:
    """Means of [C, h, w] over square cells; the last ones may be smaller."""
    return F.avg_pool2d(channels[None], side, ceil_mode=True, count_include_pad=False)[0]


def _opponent(pixels: Tensor) -> Tensor:
    """Light, red against green, yellow against blue, [3, h, w]."""
    red, green, blue = pixels
    return torch.stack([(red + green + blue) / 3, red - green, (red + green) / 2 - blue])


def _edges(channels: Tensor) -> Tensor:
    """Differences of neighbours on either side of every pixel, across, down and along both diagonals."""
    around = F.pad(channels[None], (1, 1, 1, 1), "replicate")[0]
    first, middle, last = slice(None, -2), slice(1, -1), slice(2, None)
    across = around[:, middle, last] - around[:, middle, first]
    down = around[:, last, middle] - around[:, first, middle]
    falling = DIAGONAL * (around[:, last, last] - around[:, first, first])
    rising = DIAGONAL * (around[:, last, first] - around[:, first, last])
    return torch.stack([across, down, falling, rising])


def _halves(channels: Tensor) -> Tensor:
    """What is above zero, and what is below, [2 C, h, w]."""
    return torch.cat([channels.clamp(min=0), (-channels).clamp(min=0)])
