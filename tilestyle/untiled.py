"""The terms of the loss over the whole canvas at once, as autograd takes them: for the untiled reference."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch
import torch.nn.functional as F
from torch import Tensor

from tilestyle.anchor import Anchored, disagreement
from tilestyle.canvas import Canvas
from tilestyle.config import ContentLoss, Normalise, StyleLoss
from tilestyle.content import LEAST_VARIANCE
from tilestyle.draw import Draw
from tilestyle.formulas import gram, mean_distance, self_similarity, statistics, wasserstein
from tilestyle.geometry import Box, Patch
from tilestyle.job import Job
from tilestyle.moments import Moments
from tilestyle.plan import Level
from tilestyle.similarity import LEAST_DISTANCE, sampled


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


def content_loss(
    job: Job,
    pixels: Tensor,
    content: Tensor | None,
    draw: Draw | None = None,
    patches: Sequence[Patch] = (),
) -> Tensor:
    """Weighted sum over the layers of the mean squared difference, over the content's mean variance or 1.

    Or the same of self-similarity, at the places that `draw` chooses: within each of `patches`, which own every
    pixel once and count for their area, or by default within the whole canvas.
    """
    if job.config.content_loss is ContentLoss.SELF_SIMILARITY and content is not None:
        height, width = pixels.shape[1:]
        whole = Box(0, 0, height, width)
        return _similarity(job, pixels, content, draw or Draw(0, 0, 0), patches or [Patch(whole, whole, 1)])
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


def _similarity(job: Job, pixels: Tensor, content: Tensor, draw: Draw, patches: Sequence[Patch]) -> Tensor:
    weights = job.weights.content_layers
    found, goal = (job.network.features(_shown(job, x), weights) for x in (pixels, content))
    loss = torch.zeros((), device=job.network.device)
    for k, weight in weights.items():
        least, unit, stride = job.faint.get(k, LEAST_VARIANCE) ** 0.5, 1.0, job.network.layers[k].stride
        if job.config.normalise is Normalise.RELATIVE:
            unit = max(float(mean_distance(goal[k][0].flatten(1).float(), least)), LEAST_DISTANCE)
        for patch in patches:
            rows, columns = sampled(patch.owned.over(stride), draw, patch.read)
            ours, theirs = (x[k][0][:, rows, columns].float() for x in (found, goal))
            share = patch.owned.area / (pixels.shape[1] * pixels.shape[2])
            loss = loss + weight * share * self_similarity(ours, theirs, least, unit)
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
