"""Distances as they are written down, for autograd: distances.py and similarity.py are held to them."""

from __future__ import annotations

import torch
from torch import Tensor

from tilestyle.distances import ABSOLUTE_RIDGE, LEAST_VARIANCE, RIDGE
from tilestyle.moments import Moments
from tilestyle.similarity import LEAST_DISTANCE, SOFT, Directions


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


def self_similarity(found: Tensor, goal: Tensor, least: float, unit: float) -> Tensor:
    """Distance of the cosine distances of features [C, n], rows scaled to the goal's mean (similarity.py)."""
    ours, theirs = (Directions.of(features, least).distances for features in (found, goal))
    scaled = ours * (theirs.mean(1, keepdim=True) / ours.mean(1, keepdim=True).clamp(min=LEAST_DISTANCE))
    return torch.nn.functional.huber_loss(scaled / unit, theirs / unit, delta=SOFT) / SOFT


def mean_distance(features: Tensor, least: float) -> Tensor:
    """Mean cosine distance of two places of features [C, n], any two."""
    return 1 - Directions.of(features, least).units.mean(1).square().sum()
