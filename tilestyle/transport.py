"""Optimal transport of Gaussians: the map of one covariance to another that moves least."""

from __future__ import annotations

import torch
from torch import Tensor


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
    """
    values, vectors = torch.linalg.eigh(goal.mT @ covariance @ goal)
    roots = values.clamp(min=ridge**2).sqrt()  # below is only rounding
    half = goal @ vectors
    return (half / roots) @ half.mT, roots.sum()
