"""Distances as they are written down, for autograd: those that patches use are held to them."""

from __future__ import annotations

import torch
from torch import Tensor

from tilestyle.stats.autocorrelation import REACH
from tilestyle.stats.autocorrelation import RIDGE as SPECTRAL_RIDGE
from tilestyle.stats.distances import ABSOLUTE_RIDGE, LEAST_VARIANCE, RIDGE
from tilestyle.stats.moments import Moments
from tilestyle.stats.self_similarity import LEAST_DISTANCE, SOFT, Directions


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


def autocorrelations(cells: Tensor) -> Tensor:
    """Means [C, L, M] of the products of what lies a lag apart in [C, h, w] cells: for every lag, its pairs."""
    _, height, width = cells.shape
    found = torch.zeros(len(cells), REACH + 1, 2 * REACH + 1, dtype=cells.dtype)
    for down in range(min(REACH + 1, height)):
        for across in range(-min(REACH, width - 1), min(REACH, width - 1) + 1):
            left, right = max(0, -across), width - max(0, across)
            here = cells[:, : height - down, left:right]
            there = cells[:, down:, left + across : right + across]
            found[:, down, REACH + across] = (here * there).mean((1, 2))
    return found


def stationary(found: Tensor, goal: Tensor) -> Tensor:
    """Squared W2 of stationary Gaussian fields with these products [C, L, M], over the goal's variance."""
    lags = [(down, across) for down in range(-REACH, REACH + 1) for across in range(-REACH, REACH + 1)]
    places = [(down, across) if down >= 0 else (-down, -across) for down, across in lags]
    offsets = torch.tensor(lags, dtype=torch.float64)
    taper = (1 - offsets.abs() / (REACH + 1)).prod(1)
    frequencies = torch.arange(2 * REACH + 2, dtype=torch.float64) / (2 * REACH + 2)
    phases = (
        offsets[:, 0, None, None] * frequencies[:, None] + offsets[:, 1, None, None] * frequencies
    )  # [lags, K, K]
    waves = (2 * torch.pi * phases).cos() * taper[:, None, None]
    rows, columns = torch.tensor(places).T
    powers = [torch.tensordot(x.double()[:, rows, columns + REACH], waves, 1) for x in (found, goal)]
    ridge = SPECTRAL_RIDGE * powers[1].mean((1, 2), keepdim=True)
    had, wanted = ((power.clamp(min=0) + ridge).sqrt() for power in powers)
    below = (1 - wanted / ridge.sqrt()) * powers[0].clamp(max=0)  # linear where a spectrum dips below 0
    errors = (had - wanted).square() + below
    return torch.as_tensor(errors.mean((1, 2)).sum() / powers[1].mean((1, 2)).sum())


def self_similarity(found: Tensor, goal: Tensor, least: float, unit: float) -> Tensor:
    """Distance of the cosine distances of features [C, n], rows scaled to the goal's mean."""
    ours, theirs = (Directions.of(features, least).distances for features in (found, goal))
    scaled = ours * (theirs.mean(1, keepdim=True) / ours.mean(1, keepdim=True).clamp(min=LEAST_DISTANCE))
    return torch.nn.functional.huber_loss(scaled / unit, theirs / unit, delta=SOFT) / SOFT


def mean_distance(features: Tensor, least: float) -> Tensor:
    """Mean cosine distance of two places of features [C, n], any two."""
    return 1 - Directions.of(features, least).units.mean(1).square().sum()
