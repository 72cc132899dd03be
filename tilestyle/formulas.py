"""Distances of moments as they are written down, for autograd: moments.py is held to them."""

from __future__ import annotations

import torch
from torch import Tensor

from tilestyle.distances import ABSOLUTE_RIDGE, LEAST_VARIANCE, RIDGE
from tilestyle.moments import Moments


def wasserstein(found: Moments, goal: Moments, *, absolute: bool = False) -> Tensor:
    """Squared W2 of the Gaussians, over |mu*|^2 + tr K* or the channels; both covariances with the ridge."""
    share = ABSOLUTE_RIDGE if absolute else RIDGE * goal.covariance.diagonal().mean()
    ridge = share * torch.eye(len(goal.mean), dtype=torch.float64)
    values, vectors = torch.linalg.eigh(goal.covariance + ridge)
    root = (vectors * values.clamp(min=0).sqrt()) @ vectors.mT
    values = torch.linalg.eigvalsh(root @ (found.covariance + ridge) @ root)
    cross = values.clamp(min=ridge[0, 0] ** 2).sqrt().sum()
    bures = (found.covariance + goal.covariance + 2 * ridge).trace() - 2 * cross
    energy = len(goal.mean) if absolute else goal.second.trace()
    return torch.as_tensor(((found.mean - goal.mean).square().sum() + bures) / energy)


def gram(found: Moments, goal: Moments, *, absolute: bool = False) -> Tensor:
    """Squared distance of second moments over that of the goal's, or over C^4."""
    energy = len(goal.mean) ** 4 if absolute else goal.second.square().sum()
    return (found.second - goal.second).square().sum() / energy


def statistics(found: Moments, goal: Moments, *, absolute: bool = False) -> Tensor:
    """Squared distances of means and of deviations, over |mu*|^2 + tr K* or the channels."""
    energy = len(goal.mean) if absolute else goal.second.trace()
    wanted = goal.covariance.diagonal()
    least = LEAST_VARIANCE * float(wanted.mean())
    stretch = found.covariance.diagonal().clamp(min=least).sqrt() - wanted.clamp(min=least).sqrt()
    return ((found.mean - goal.mean).square().sum() + stretch.square().sum()) / energy
