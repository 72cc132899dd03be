"""Self-similarity: which places of a picture are alike, whatever they look like.

The content loss of STROTSS (Kolkin, Salavon and Shakhnarovich 2019, arXiv 1904.12785, section 3.2), in patches.
Of places i and j of one patch, with features F_i of the canvas, G_i of the content, and cosine distances

    D_ij = 1 - <F_i, F_j> / |F_i| |F_j|,    E_ij = 1 - <G_i, G_j> / |G_i| |G_j|,

each row of D is scaled to the mean of the same row of E, and differences count in units of the mean distance R
of two places of the whole content:

    L = mean_ij h((D_ij mean_j E_ij / mean_j D_ij - E_ij) / R),    h(x) = |x| but for a small x

STROTSS has rows with a sum of one instead. That is the same but for the weight of each row, mean_j E_ij / R:
without it, patches of flat sky would be held to what little there is in them. It also has |x| as it is: of a
canvas that begins as its content, the slope would be rounding's. Here h is Huber's, x^2 / 2 d below d.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from tilestyle.geometry.boxes import Box
from tilestyle.geometry.rng import Draw

# Places that are compared in a patch. The cost grows with their square: docs/algorithm.md.
SAMPLES = 512
# Least distance that another is divided by: below it are rounding and grain.
LEAST_DISTANCE = 1e-3
# Differences, in units of R, up to which the loss is square.
SOFT = 0.1
_STREAM = 3 << 60  # of random numbers
_SIDE = 2**30  # corners of patches are below that


@dataclass(frozen=True)
class Directions:
    """What cosine distances are taken of.

    Features have one more channel, the same at every place: nothing much is like nothing much, not in any
    direction at random. Where features are of ordinary size it is too small to matter.
    """

    units: Tensor  # [C + 1, n], each column of length 1
    norms: Tensor  # [n]

    @classmethod
    def of(cls, features: Tensor, least: float) -> Directions:
        """Directions of features [C, n] in float32; of a length of `least` or less they count as little."""
        extra = features.new_full((1, features.shape[1]), least)
        full = torch.cat([features, extra])
        norms = full.norm(dim=0)
        return cls(full / norms, norms)

    @property
    def distances(self) -> Tensor:
        """Cosine distances of all pairs, [n, n]."""
        return 1 - self.units.mT @ self.units


def sampled(cells: Box, draw: Draw, place: Box, most: int | None = None) -> tuple[np.ndarray, np.ndarray]:
    """Rows and columns of the cells of a patch that are compared.

    Args:
        cells: Where they may lie, in the layer's answer to the patch.
        draw: Random numbers of the sweep.
        place: Where the patch is on the canvas, pixels: patches of a sweep draw others.
        most: How many at most; SAMPLES by default. Where there are no more, they are all of them, in order.
    """
    most = SAMPLES if most is None else most
    chosen = np.arange(cells.area)
    if cells.area > most:
        stream = _STREAM + (place.top % _SIDE) * _SIDE + place.left % _SIDE
        chosen = np.sort(np.argsort(draw.integers(cells.area, stream), kind="stable")[:most])
    return cells.top + chosen // cells.width, cells.left + chosen % cells.width


def self_similarity(found: Tensor, wanted: Tensor, least: float, unit: float) -> tuple[Tensor, Tensor]:
    """The loss and its gradient [C, n] in the canvas's features.

    Args:
        found: Features of the canvas at n places, [C, n] in float32.
        wanted: Those of the content at the same places.
        least: Length of features that is next to nothing.
        unit: R, the mean cosine distance of two places of the whole content.
    """
    ours, theirs = Directions.of(found, least), Directions.of(wanted, least).distances
    distances, count = ours.distances, found.shape[1]
    rows = distances.mean(1, keepdim=True)
    scale = theirs.mean(1, keepdim=True) / rows.clamp(min=LEAST_DISTANCE)
    difference = (distances * scale - theirs) / unit
    size = difference.abs()
    loss = torch.where(size < SOFT, size * size / (2 * SOFT), size - SOFT / 2).mean()
    # dh / dx, over what the sum is divided by; then through the rows' means, where they are not clamped.
    slope = (difference / SOFT).clamp(-1, 1) * (scale / (unit * count**2))
    through = (slope * distances).sum(1, keepdim=True) / (count * rows.clamp(min=LEAST_DISTANCE))
    slope -= through * (rows > LEAST_DISTANCE)
    pull = ours.units @ (slope + slope.mT)  # of the units, with its sign turned: distances are 1 - products
    along = (pull * ours.units).sum(0, keepdim=True)
    gradient = (ours.units * along - pull) / ours.norms
    return loss, gradient[:-1]
