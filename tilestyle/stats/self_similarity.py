"""Self-similarity: which places of a picture resemble each other, whatever they look like.

The content loss of STROTSS (Kolkin, Salavon and Shakhnarovich 2019, arXiv 1904.12785, section 3.2), per patch.
For places i and j of one patch, with features F_i of the canvas, G_i of the content, and cosine distances

    D_ij = 1 - <F_i, F_j> / |F_i| |F_j|,    E_ij = 1 - <G_i, G_j> / |G_i| |G_j|,

each row of D is scaled to the mean of the same row of E, and differences are in units of R, the mean distance
of two places of the whole content:

    L = mean_ij h((D_ij mean_j E_ij / mean_j D_ij - E_ij) / R),    h(x) = |x| except near 0

STROTSS normalizes rows to a sum of one instead. That is the same except for the weight of each row, mean_j E_ij
/ R: without it, patches of flat sky would be held to what little there is in them. STROTSS also uses |x| as it
is, whose slope on a canvas that begins as its content would be rounding errors. Here h is Huber's, x^2 / 2 d
below d.

Where the content weight differs by place, by factors w_i, the term of i and j is multiplied by sqrt(w_i w_j),
and means of rows are weighted by sqrt(w_j): places without content neither change nor count.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from tilestyle.geometry.boxes import Box
from tilestyle.geometry.rng import SweepRng

# Number of places that are compared in a patch. The cost grows with its square: docs/algorithm.md.
MAX_SAMPLES = 512
# Distances are clamped to this before dividing by them: smaller ones are rounding and grain.
MIN_DISTANCE = 1e-3
# Differences, in units of R, up to which the loss is quadratic.
HUBER_DELTA = 0.1
_STREAM = 3 << 60  # first stream of random numbers
_SIDE = 2**30  # coordinates of patches are smaller


@dataclass(frozen=True)
class UnitFeatures:
    """Unit vectors of features, for cosine distances.

    Features get one more channel that is equal at every place, so that features close to zero resemble each
    other instead of pointing in random directions. Next to features of ordinary size it is too small to matter.

    Attributes:
        unit_vectors: [C + 1, n], each column of norm 1.
        norms: [n].
    """

    unit_vectors: Tensor
    norms: Tensor

    @classmethod
    def normalize(cls, features: Tensor, min_norm: float) -> UnitFeatures:
        """Normalize features [C, n] in float32; with norms below `min_norm` they count as close to zero."""
        constant = features.new_full((1, features.shape[1]), min_norm)
        extended = torch.cat([features, constant])
        norms = extended.norm(dim=0)
        return cls(extended / norms, norms)

    @property
    def distances(self) -> Tensor:
        """Cosine distances of all pairs, [n, n]."""
        return 1 - self.unit_vectors.mT @ self.unit_vectors


def sample_cells(
    cells: Box, rng: SweepRng, patch_box: Box, max_count: int | None = None
) -> tuple[np.ndarray, np.ndarray]:
    """Sample the cells of a patch that are compared.

    Args:
        cells: Box of the candidate cells, in the layer's response to the patch.
        rng: Random numbers of the sweep.
        patch_box: The patch on the canvas, pixels: each patch of a sweep has other samples.
        max_count: Largest number of samples; None: MAX_SAMPLES. If there are no more cells, all are taken, in
            order.

    Returns:
        Rows [n] and columns [n] of the cells.
    """
    max_count = MAX_SAMPLES if max_count is None else max_count
    indices = np.arange(cells.area)
    if cells.area > max_count:
        stream = _STREAM + (patch_box.top % _SIDE) * _SIDE + patch_box.left % _SIDE
        indices = np.sort(np.argsort(rng.integers(cells.area, stream), kind="stable")[:max_count])
    return cells.top + indices // cells.width, cells.left + indices % cells.width


def pair_weights(weights: Tensor) -> tuple[Tensor, Tensor]:
    """Return what factors of the content weight at n places mean for pairs of them.

    Args:
        weights: Factors, [n], 0 or more.

    Returns:
        - The factor of every pair, [n, n]: the geometric mean of its two.
        - The share of each place in the mean of a row, [n]; they sum to 1, or to 0 if all factors are 0.
    """
    roots = weights.sqrt()
    return roots[:, None] * roots, roots / roots.sum().clamp(min=torch.finfo(roots.dtype).tiny)


def self_similarity_loss(
    canvas: Tensor,
    content: Tensor,
    min_norm: float,
    mean_distance: float,
    weights: Tensor | None = None,
) -> tuple[Tensor, Tensor]:
    """Return the loss, and its gradient [C, n] in the canvas's features.

    Args:
        canvas: Features of the canvas at n places, [C, n] in float32.
        content: Features of the content at the same places, [C, n].
        min_norm: Norm below which features count as close to zero.
        mean_distance: R, the mean cosine distance of two places of the whole content.
        weights: Factor of the content weight at each place, [n]; None: all 1.
    """
    canvas_directions, content_distances = (
        UnitFeatures.normalize(canvas, min_norm),
        UnitFeatures.normalize(content, min_norm).distances,
    )
    distances, count = canvas_directions.distances, canvas.shape[1]
    pairs, shares = (None, None) if weights is None else pair_weights(weights)
    rows, content_rows = (
        each.mean(1, keepdim=True) if shares is None else each @ shares[:, None]
        for each in (distances, content_distances)
    )
    scale = content_rows / rows.clamp(min=MIN_DISTANCE)
    difference = (distances * scale - content_distances) / mean_distance
    size = difference.abs()
    terms = torch.where(size < HUBER_DELTA, size * size / (2 * HUBER_DELTA), size - HUBER_DELTA / 2)
    loss = (terms if pairs is None else terms.mul_(pairs)).mean()
    # dh / dx, divided as the sum is; then the gradient through the means of rows, where they are not clamped.
    slope = (difference / HUBER_DELTA).clamp(-1, 1) * (scale / (mean_distance * count**2))
    slope = slope if pairs is None else slope.mul_(pairs)
    if shares is None:
        mean_gradient = (slope * distances).sum(1, keepdim=True) / (count * rows.clamp(min=MIN_DISTANCE))
    else:
        mean_gradient = shares * (slope * distances).sum(1, keepdim=True) / rows.clamp(min=MIN_DISTANCE)
    slope -= mean_gradient * (rows > MIN_DISTANCE)
    descent = canvas_directions.unit_vectors @ (
        slope + slope.mT
    )  # negative gradient in the unit vectors: distances are 1 - products
    radial = (descent * canvas_directions.unit_vectors).sum(0, keepdim=True)
    gradient = (canvas_directions.unit_vectors * radial - descent) / canvas_directions.norms
    return loss, gradient[:-1]
