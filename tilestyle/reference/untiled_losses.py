"""The terms of the loss over the whole canvas at once, as autograd takes them: for the untiled reference."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch
import torch.nn.functional as F
from torch import Tensor

from tilestyle.canvas.canvas import Canvas
from tilestyle.config.enums import ContentLoss, Normalise, StyleLoss
from tilestyle.geometry.boxes import Box, Patch
from tilestyle.geometry.rng import Draw
from tilestyle.losses.anchor import Anchored, disagreement
from tilestyle.losses.content import LEAST_VARIANCE
from tilestyle.losses.style_statistics import style_palettes
from tilestyle.planning.job import Job
from tilestyle.planning.schedule import Level
from tilestyle.reference.autograd_distances import (
    autocorrelations,
    gram,
    mean_distance,
    self_similarity,
    stationary,
    statistics,
    wasserstein,
)
from tilestyle.stats.autocorrelation import AutocorrelationTarget
from tilestyle.stats.moments import Moments
from tilestyle.stats.self_similarity import LEAST_DISTANCE, sampled
from tilestyle.stats.sliced_wasserstein import (
    BINS,
    SCALES,
    counts_of,
    directions,
    energy_of,
    shares_of,
    transported,
)


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
    features = job.network.features(_shown(job, pixels), list(goal)) if goal else {}
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


def palette_loss(job: Job, level: Level, pixels: Tensor, at: Tensor) -> Tensor:
    """Mean over directions and scales of the mean squared way of colours to where those of `at` are taken to.

    Of a canvas [3, H, W] of one region: its slope at `at` is that of the sliced Wasserstein distance, relative
    to the mean square of the style's colours, or a mean over the channels.
    """
    (goal,) = style_palettes(job, level)
    losses, axes = [], directions()
    for scale in SCALES:
        seen, cells = (F.avg_pool2d(plane, scale).flatten(1) for plane in (at, pixels))
        _, maps = transported(shares_of(counts_of(seen[:, None])), goal[scale])
        for vector, low, width, goals in zip(axes.vectors, axes.low, axes.width, maps, strict=True):
            places = vector @ cells
            bins = ((places.detach() - low) / width).long().clamp(0, BINS - 1)
            losses.append(3 * (places - torch.from_numpy(goals).to(places)[bins]).square().mean())
    energy = energy_of(goal[1]) if job.config.normalise is Normalise.RELATIVE else 3.0
    return torch.stack(losses).mean() / energy


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
