"""Optimal transport of Gaussians: the map of one covariance to another that moves least."""

from __future__ import annotations

import torch
from torch import Tensor

from tilestyle.polar import magnitude, polar


def identity(like: Tensor) -> Tensor:
    """That of as many rows as a square matrix, on its device and in its dtype."""
    return torch.eye(len(like), dtype=like.dtype, device=like.device)


def ridged(covariance: Tensor, ridge: float) -> Tensor:
    """A covariance [C, C] with `ridge` added to every variance."""
    return covariance + ridge * identity(covariance)


def factor(covariance: Tensor) -> Tensor:
    """An L with L L^T = K of a covariance K [C, C] with a ridge.

    Cholesky's, at a tenth of the cost of a root; where rounding is larger than the ridge and K not positive any
    more, the symmetric root of what is.
    """
    lower: Tensor
    lower, failed = torch.linalg.cholesky_ex(covariance)
    if not failed:
        return lower
    values, vectors = torch.linalg.eigh(covariance)
    root: Tensor = vectors * values.clamp(min=0).sqrt()
    return root


def transport(covariance: Tensor, goal: Tensor, ridge: float) -> tuple[Tensor, Tensor]:
    """The symmetric T [C, C] with T K T = K* of a covariance K and a factor L of K*, and tr (L^T K L)^1/2.

    T = L (L^T K L)^-1/2 L^T is the same for every L; with the root of K* it is the formula of Bhatia, Jain and
    Lim 2019, section 2, and so is the trace. `ridge` is that on both covariances.

    On a host by an eigendecomposition; on a device by products, which are what it is fast at.
    """
    if covariance.device.type != "cpu":
        found = transport_by_products(covariance, goal, ridge)
        if found is not None:
            return found
    return transport_by_decomposition(covariance, goal, ridge)


def transport_by_decomposition(covariance: Tensor, goal: Tensor, ridge: float) -> tuple[Tensor, Tensor]:
    """The same, whatever the rounding."""
    values, vectors = torch.linalg.eigh(goal.mT @ covariance @ goal)
    roots = values.clamp(min=ridge**2).sqrt()  # below is only rounding
    half = goal @ vectors
    return (half / roots) @ half.mT, roots.sum()


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
