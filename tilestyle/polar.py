"""Polar decompositions from products of matrices alone, which is what devices are fast at."""

from __future__ import annotations

from math import sqrt

import torch
from torch import Tensor

# From here on one more step leaves nothing but rounding: x -> x (3 - x^2) / 2 squares the distance to 1.
NEAR = 1 - 1e-8
# Share of a matrix's norm that the magnitude of an eigenvalue may be off by.
SMALL = 1e-6


def magnitude(matrix: Tensor) -> Tensor:
    """A symmetric matrix with the magnitudes of its eigenvalues, to within SMALL of its norm."""
    found = polar(matrix, SMALL * float(torch.linalg.matrix_norm(matrix))) @ matrix
    return (found + found.mT) / 2


def polar(matrix: Tensor, least: float) -> Tensor:
    """The orthogonal U of the polar decomposition of a matrix with no singular value below `least`.

    By scaled Newton-Schulz steps, two products each (Chen and Chow 2014, "A stable scaling of Newton-Schulz").
    """
    size = float(torch.linalg.matrix_norm(matrix))
    found = matrix / size
    for scale in scales(least / size):
        found = torch.addmm(found, found @ found.mT, found, beta=1.5 * scale, alpha=-0.5 * scale**3)
    return found


def scales(least: float) -> list[float]:
    """Those that take singular values from [least, 1] to 1 in the fewest steps x -> a x (3 - a^2 x^2) / 2.

    With a^2 = 3 / (1 + l + l^2) both ends of [l, 1] go to the same value, the new l, and nothing goes above 1.
    """
    found = []
    while least < NEAR:
        found.append(sqrt(3 / (1 + least + least**2)))
        least = found[-1] * least * (3 - (found[-1] * least) ** 2) / 2
    return [*found, 1.0]
