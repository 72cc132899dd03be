"""Optimal transport of Gaussians: the map of one covariance to another that moves least.

Polar decompositions from products of matrices alone, which is what devices are fast at.
"""

from __future__ import annotations

from math import sqrt

import torch
from torch import Tensor

# Rows from which on products with triangles, and squares, are taken by halves.
HALVED = 192


def identity(like: Tensor) -> Tensor:
    """That of as many rows as a square matrix, on its device and in its dtype."""
    return torch.eye(len(like), dtype=like.dtype, device=like.device)


def ridged(covariance: Tensor, ridge: float) -> Tensor:
    """A covariance [C, C] with `ridge` added to every variance."""
    return covariance + ridge * identity(covariance)


def factor(covariance: Tensor) -> Tensor:
    """A lower triangular L with L L^T = K of a covariance K [C, C] with a ridge.

    Cholesky's, at a tenth of the cost of a root; where rounding is larger than the ridge and K not positive any
    more, that of what is: R^T of a root Q R.
    """
    lower: Tensor
    lower, failed = torch.linalg.cholesky_ex(covariance)
    if not failed:
        return lower
    values, vectors = torch.linalg.eigh(covariance)
    root: Tensor = torch.linalg.qr((vectors * values.clamp(min=0).sqrt()).mT).R
    return root.mT


def transport(
    covariance: Tensor, goal: Tensor, ridge: float, dtype: torch.dtype = torch.float64
) -> tuple[Tensor, Tensor]:
    """The symmetric T [C, C] with T K T = K* of a covariance K and a factor L of K*, and tr (L^T K L)^1/2.

    T = L (L^T K L)^-1/2 L^T is the same for every L; with the root of K* it is the formula of Bhatia, Jain and
    Lim 2019, section 2, and so is the trace. `ridge` is that on both covariances.

    On a host by an eigendecomposition, the map itself multiplied in `dtype`; on a device by products, which are
    what it is fast at.
    """
    if covariance.device.type != "cpu":
        found = transport_by_products(covariance, goal, ridge)
        if found is not None:
            return found
    return transport_by_decomposition(covariance, goal, ridge, dtype)


def transport_by_decomposition(
    covariance: Tensor, goal: Tensor, ridge: float, dtype: torch.dtype = torch.float64
) -> tuple[Tensor, Tensor]:
    """The same, whatever the rounding.

    Where `dtype` is float32 nothing is lost but the last digits of T: it is a sum of positive matrices, where
    nothing cancels. The eigenvalues span the square of the condition, for which float32 is too little.
    """
    values, vectors = torch.linalg.eigh(seen_by(covariance, goal))  # of which it reads the lower half
    roots = values.clamp(min=ridge**2).sqrt()  # below is only rounding
    half = lowered(goal.to(dtype), vectors.to(dtype)) * roots.rsqrt().to(dtype)
    return squared(half).to(covariance), roots.sum()


def seen_by(covariance: Tensor, lower: Tensor) -> Tensor:
    """The lower half of L^T K L for a lower triangular L; what is above the diagonal blocks is 0.

    By halves, since a half of L is 0, and a half of the product is not asked for: for large matrices about half
    of the operations.
    """
    size = len(lower)
    if size < HALVED:
        return lower.mT @ covariance @ lower
    half = size // 2
    left = covariance @ lower[:, :half]  # of K L
    found = torch.zeros_like(covariance)
    found[:half, :half] = lower[:, :half].mT @ left
    found[half:, :half] = lower[half:, half:].mT @ left[half:]
    found[half:, half:] = seen_by(covariance[half:, half:], lower[half:, half:])
    return found


def lowered(lower: Tensor, matrix: Tensor) -> Tensor:
    """L A of a lower triangular L."""
    size = len(lower)
    if size < HALVED:
        return lower @ matrix
    half = size // 2
    return torch.cat([lowered(lower[:half, :half], matrix[:half]), lower[half:] @ matrix])


def squared(matrix: Tensor) -> Tensor:
    """A A^T, in three quarters of the operations."""
    size = len(matrix)
    if size < HALVED:
        return matrix @ matrix.mT
    upper, lower = matrix[: size // 2], matrix[size // 2 :]
    across = lower @ upper.mT
    return torch.cat([torch.cat([squared(upper), across.mT], 1), torch.cat([across, squared(lower)], 1)])


def transport_by_products(covariance: Tensor, goal: Tensor, ridge: float) -> tuple[Tensor, Tensor] | None:
    """The same but for rounding, of a K with a Cholesky factor C; none if it has none.

    With the polar decomposition L^T C = P U, P = (L^T K L)^1/2: T = L P^-1 L^T = L U C^-1, and tr P is that of
    (L^T C) U^T. L^T C has the root of the condition of L^T K L, and no singular value below the ridge.
    """
    lower, failed = torch.linalg.cholesky_ex(covariance)
    if failed:
        return None
    product = goal.mT @ lower
    turn = polar(product, ridge)
    moved = torch.linalg.solve_triangular(lower, goal @ turn, upper=False, left=False)
    return (moved + moved.mT) / 2, (product * turn).sum()


def bounded(matrix: Tensor, least: float, most: float) -> Tensor:
    """A symmetric matrix [C, C] with its eigenvalues clamped."""
    if matrix.device.type != "cpu":
        return bounded_by_products(matrix, least, most)
    values, vectors = torch.linalg.eigh(matrix)
    found: Tensor = (vectors * values.clamp(least, most)) @ vectors.mT
    return found


def bounded_by_products(matrix: Tensor, least: float, most: float) -> Tensor:
    """The same: (a + b + |X - a| - |X - b|) / 2 for bounds a and b."""
    one = identity(matrix)
    below, above = magnitude(matrix - least * one), magnitude(matrix - most * one)
    return ((least + most) * one + below - above) / 2


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
