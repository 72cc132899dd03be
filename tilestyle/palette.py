"""Colours of one picture given to another: an affine map takes mean and covariance to those wanted.

Gatys et al. 2016 (arXiv 1606.05897, section 3) match style to content so before a transfer. Of the maps that
do it, this is the optimal transport of Gaussians, which moves colours least. (The one made of Cholesky factors
alone depends on the order of the channels, and lost the blue threads of a weave; K*^1/2 K^-1/2 turned yellows
orange.)
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import Tensor

from tilestyle.planes import Store, touched
from tilestyle.transport import factor, ridged, transport

PIXELS = 2**20  # gone through at once
# Ridge on both covariances: a grey picture has no variance in two of three directions, and noise there is not
# to be stretched into colours.
RIDGE = 1e-5


@dataclass(frozen=True)
class Palette:
    """Mean [3] and covariance [3, 3] of the sRGB-encoded colours of a picture, float64."""

    mean: Tensor
    covariance: Tensor


def palette_of(picture: Tensor, alpha: Tensor | None = None) -> Palette:
    """The palette of a [3, h, w] picture; by `alpha` [1, h, w], what is transparent counts as it shows."""
    count = torch.zeros((), dtype=torch.float64)
    total = torch.zeros(3, dtype=torch.float64)
    products = torch.zeros(3, 3, dtype=torch.float64)
    for rows in row_slices(picture):
        strip = picture[:, rows].flatten(1).double()
        weight = torch.ones_like(strip[:1]) if alpha is None else alpha[:, rows].flatten(1).double()
        count += weight.sum()
        total += (strip * weight).sum(1)
        products += (strip * weight) @ strip.mT
        touched(picture[:, rows])
    mean = total / count.clamp(min=1e-12)
    return Palette(mean, products / count.clamp(min=1e-12) - torch.outer(mean, mean))


def matched(picture: Tensor, palette: Palette, store: Store) -> Tensor:
    """A [3, h, w] picture in the colours of a palette, a new plane in [0, 1].

    What leaves the gamut is clipped: colours far from the mean, few.
    """
    own = palette_of(picture)
    matrix, _ = transport(ridged(own.covariance, RIDGE), factor(ridged(palette.covariance, RIDGE)), RIDGE)
    offset = palette.mean - matrix @ own.mean
    plane = store.empty(*picture.shape)
    for rows in row_slices(picture):
        strip = picture[:, rows]
        moved = matrix.float() @ strip.flatten(1) + offset.float()[:, None]
        plane[:, rows] = moved.clamp_(0, 1).reshape(strip.shape)
        touched(strip, plane[:, rows])
    return plane


def row_slices(plane: Tensor) -> Iterator[slice]:
    """Rows of a plane [C, h, w], so many at a time that their pixels are few."""
    height, width = plane.shape[1:]
    count = max(1, PIXELS // width)
    for top in range(0, height, count):
        yield slice(top, min(top + count, height))
