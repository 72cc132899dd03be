"""The terms of the loss over the whole canvas at once, as autograd takes them: for the untiled reference."""

from __future__ import annotations

from collections.abc import Mapping

import torch
import torch.nn.functional as F
from torch import Tensor

from tilestyle.anchor import Anchored, disagreement
from tilestyle.autocorrelation import AutocorrelationTarget
from tilestyle.canvas import Canvas
from tilestyle.config import Normalise, StyleLoss
from tilestyle.formulas import autocorrelations, gram, stationary, statistics, wasserstein
from tilestyle.job import Job
from tilestyle.moments import Moments
from tilestyle.plan import Level


def whole_moments(job: Job, pixels: Tensor) -> dict[str, Moments]:
    """Moments of every style layer over the whole canvas [3, H, W], differentiable, float64."""
    features = job.network.features(_shown(job, pixels), job.weights.style_layers)
    flat = {layer: response[0].flatten(1).double() for layer, response in features.items()}  # [C, h*w]
    return {k: Moments(f.shape[1], f.mean(1), f @ f.mT / f.shape[1]) for k, f in flat.items()}


def style_loss(job: Job, moments: Mapping[str, Moments], goal: Mapping[str, Moments]) -> Tensor:
    """Weighted sum over the layers of the distance of moments."""
    weights, losses = job.weights.style_layers, []
    absolute = job.config.normalise is Normalise.ABSOLUTE
    for k, weight in weights.items():
        found, wanted = moments[k].double(), goal[k].double()
        if job.config.style_loss is StyleLoss.W2:
            losses.append(weight * wasserstein(found, wanted, absolute=absolute))
            continue
        losses.append(weight * gram(found, wanted, absolute=absolute))
        if job.config.style_loss is StyleLoss.STATISTICS:
            factor = weight * job.config.statistics_weight
            losses.append(factor * statistics(found, wanted, absolute=absolute))
    return torch.stack(losses).sum()


def whole_arrangement(job: Job, pixels: Tensor, goal: Mapping[str, AutocorrelationTarget]) -> dict[str, Tensor]:
    """Autocorrelations of every layer that has a goal over the whole canvas [3, H, W], differentiable."""
    features = job.network.features(_shown(job, pixels), list(goal))
    return {k: autocorrelations(features[k][0] - one.centre[:, None, None]) for k, one in goal.items()}


def arrangement_loss(
    job: Job, found: Mapping[str, Tensor], goal: Mapping[str, AutocorrelationTarget]
) -> Tensor:
    """Weighted sum over the layers of the distance of autocorrelations, in the units of the style's."""
    shares, losses = job.weights.arrangement_layers, [torch.zeros(())]
    for k, one in goal.items():
        known = one.wanted.count > 0
        losses.append(shares[k] * stationary(found[k] * known, one.wanted.products))
    return job.weights.arrangement * torch.stack(losses).sum()


def content_loss(job: Job, pixels: Tensor, content: Tensor | None) -> Tensor:
    """Weighted sum over the layers of the mean squared difference, over the content's mean variance or 1."""
    weights = job.weights.content_layers if content is not None else {}
    loss = torch.zeros((), device=job.network.device)
    if content is not None:
        found, goal = (job.network.features(_shown(job, x), weights) for x in (pixels, content))
        for k, weight in weights.items():
            error = (found[k] - goal[k]).float().square().mean()
            relative = job.config.normalise is Normalise.RELATIVE
            energy = goal[k].float().var((2, 3), correction=0).mean() if relative else 1.0
            loss = loss + weight * error / energy
    return loss


def anchor_loss(job: Job, level: Level, canvas: Canvas) -> Tensor:
    """Mean over the canvas of the trusted squared difference from the anchor.

    Where the anchor is averaged for, a loss whose gradient is that smoothed, in place of it (anchor.py).
    """
    if job.anchor is None:
        return torch.zeros(())
    anchored = Anchored(job, level, job.anchor)
    difference = anchored.shown(canvas, slice(0, anchored.goal.shape[1])) - anchored.goal
    if anchored.factor == 1:
        return disagreement(difference, anchored.trust, 1) / level.extent.area
    residual = difference if anchored.trust is None else anchored.trust * difference
    smooth = F.interpolate(residual.detach()[None], scale_factor=float(anchored.factor), mode="bilinear")[0]
    box = level.extent.picture
    place = canvas.pixels[:, box.top : box.top + smooth.shape[1], box.left : box.left + smooth.shape[2]]
    return (2 / 3) * (smooth * place).sum() / level.extent.area


def _shown(job: Job, pixels: Tensor) -> Tensor:
    return pixels[None].to(job.network.device, job.network.dtype)
