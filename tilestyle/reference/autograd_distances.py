"""Distances written as their definitions, for autograd: the tests compare the closed forms with them."""

from __future__ import annotations

import torch
from torch import Tensor

from tilestyle.stats.autocorrelation import MAX_LAG
from tilestyle.stats.autocorrelation import RIDGE as SPECTRAL_RIDGE
from tilestyle.stats.distances import ABSOLUTE_RIDGE, MIN_VARIANCE, RIDGE
from tilestyle.stats.moments import Moments
from tilestyle.stats.self_similarity import HUBER_DELTA, MIN_DISTANCE, UnitFeatures, pair_weights


def wasserstein_distance(moments: Moments, target: Moments, *, absolute: bool = False) -> Tensor:
    """Return the squared Wasserstein-2 distance of Gaussians, with the ridge on both covariances.

    Args:
        moments: Moments of the canvas, float64.
        target: Moments of the style, float64.
        absolute: Whether to divide by the number of channels instead of the target's energy |mu*|^2 + tr K*.
    """
    ridge_size = ABSOLUTE_RIDGE if absolute else RIDGE * target.covariance.diagonal().mean()
    ridge = ridge_size * torch.eye(len(target.mean), dtype=torch.float64)
    values, vectors = torch.linalg.eigh(target.covariance + ridge)
    root = (vectors * values.clamp(min=0).sqrt()) @ vectors.mT
    values = torch.linalg.eigvalsh(root @ (moments.covariance + ridge) @ root)
    cross_trace = values.clamp(min=ridge[0, 0] ** 2).sqrt().sum()
    bures = (moments.covariance + target.covariance + 2 * ridge).trace() - 2 * cross_trace
    energy = len(target.mean) if absolute else target.second.trace()
    return torch.as_tensor(((moments.mean - target.mean).square().sum() + bures) / energy)


def gram_distance(moments: Moments, target: Moments, *, absolute: bool = False) -> Tensor:
    """Return the squared distance of second moments, over the target's squared norm, or C^4 if `absolute`."""
    energy = len(target.mean) ** 4 if absolute else target.second.square().sum()
    return (moments.second - target.second).square().sum() / energy


def statistics_distance(moments: Moments, target: Moments, *, absolute: bool = False) -> Tensor:
    """Return the squared distances of means and of standard deviations.

    They are divided by the target's energy |mu*|^2 + tr K*, or by the number of channels if `absolute`.
    """
    energy = len(target.mean) if absolute else target.second.trace()
    target_variance = target.covariance.diagonal()
    min_variance = MIN_VARIANCE * float(target_variance.mean())
    stretch = (
        moments.covariance.diagonal().clamp(min=min_variance).sqrt()
        - target_variance.clamp(min=min_variance).sqrt()
    )
    return ((moments.mean - target.mean).square().sum() + stretch.square().sum()) / energy


def mean_products(cells: Tensor) -> Tensor:
    """Return the means [C, L, M] of products of [C, h, w] cells a lag apart, over all pairs at that lag."""
    _, height, width = cells.shape
    means = torch.zeros(len(cells), MAX_LAG + 1, 2 * MAX_LAG + 1, dtype=cells.dtype)
    for down in range(min(MAX_LAG + 1, height)):
        for across in range(-min(MAX_LAG, width - 1), min(MAX_LAG, width - 1) + 1):
            left, right = max(0, -across), width - max(0, across)
            first = cells[:, : height - down, left:right]
            second = cells[:, down:, left + across : right + across]
            means[:, down, MAX_LAG + across] = (first * second).mean((1, 2))
    return means


def stationary_wasserstein(products: Tensor, target: Tensor) -> Tensor:
    """Return the squared Wasserstein-2 distance of stationary Gaussian fields, over the target's variance.

    Args:
        products: Mean products of the canvas, [C, L, M].
        target: Mean products of the style, [C, L, M].
    """
    lags = [(down, across) for down in range(-MAX_LAG, MAX_LAG + 1) for across in range(-MAX_LAG, MAX_LAG + 1)]
    half_lags = [(down, across) if down >= 0 else (-down, -across) for down, across in lags]
    offsets = torch.tensor(lags, dtype=torch.float64)
    taper = (1 - offsets.abs() / (MAX_LAG + 1)).prod(1)
    frequencies = torch.arange(2 * MAX_LAG + 2, dtype=torch.float64) / (2 * MAX_LAG + 2)
    phases = (
        offsets[:, 0, None, None] * frequencies[:, None] + offsets[:, 1, None, None] * frequencies
    )  # [lags, K, K]
    waves = (2 * torch.pi * phases).cos() * taper[:, None, None]
    rows, columns = torch.tensor(half_lags).T
    powers = [torch.tensordot(x.double()[:, rows, columns + MAX_LAG], waves, 1) for x in (products, target)]
    ridge = SPECTRAL_RIDGE * powers[1].mean((1, 2), keepdim=True)
    canvas_roots, target_roots = ((power.clamp(min=0) + ridge).sqrt() for power in powers)
    negative = (1 - target_roots / ridge.sqrt()) * powers[0].clamp(max=0)  # linear below 0
    errors = (canvas_roots - target_roots).square() + negative
    return torch.as_tensor(errors.mean((1, 2)).sum() / powers[1].mean((1, 2)).sum())


def self_similarity(
    canvas: Tensor,
    content: Tensor,
    min_norm: float,
    mean_distance: float,
    weights: Tensor | None = None,
) -> Tensor:
    """Return the Huber distance of the cosine distances of places, rows scaled to the mean of the content's.

    Args:
        canvas: Features of the canvas, [C, n].
        content: Features of the content, [C, n].
        min_norm: Norm below which features count as close to zero.
        mean_distance: Mean cosine distance of two places of the whole content.
        weights: Factor of the content weight at each place, [n]; None: all 1.
    """
    canvas_distances, content_distances = (
        UnitFeatures.normalize(features, min_norm).distances for features in (canvas, content)
    )
    factors = torch.ones_like(canvas[0]) if weights is None else weights
    pairs, shares = pair_weights(factors)
    canvas_rows, content_rows = (each @ shares[:, None] for each in (canvas_distances, content_distances))
    scaled = canvas_distances * (content_rows / canvas_rows.clamp(min=MIN_DISTANCE))
    terms = torch.nn.functional.huber_loss(
        scaled / mean_distance, content_distances / mean_distance, delta=HUBER_DELTA, reduction="none"
    )
    return (pairs * terms).mean() / HUBER_DELTA


def mean_distance(features: Tensor, min_norm: float) -> Tensor:
    """Return the mean cosine distance of all pairs of places of features [C, n]."""
    return 1 - UnitFeatures.normalize(features, min_norm).unit_vectors.mean(1).square().sum()
