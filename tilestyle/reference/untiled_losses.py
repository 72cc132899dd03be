"""The loss terms over the whole canvas at once, for autograd in the untiled reference."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch
import torch.nn.functional as F
from torch import Tensor

from tilestyle.canvas.canvas import Canvas
from tilestyle.config.enums import ContentLoss, Normalize, StyleLoss
from tilestyle.geometry.boxes import Box, Patch
from tilestyle.geometry.rng import SweepRng
from tilestyle.losses.anchor import AnchorLoss, weighted_squared_error
from tilestyle.losses.content import MIN_VARIANCE
from tilestyle.losses.style_statistics import style_histograms
from tilestyle.planning.job import Job
from tilestyle.planning.schedule import Level
from tilestyle.reference.autograd_distances import (
    gram_distance,
    mean_distance,
    mean_products,
    self_similarity,
    stationary_wasserstein,
    statistics_distance,
    wasserstein_distance,
)
from tilestyle.stats.autocorrelation import AutocorrelationTarget
from tilestyle.stats.moments import Moments
from tilestyle.stats.self_similarity import MIN_DISTANCE, sample_cells
from tilestyle.stats.sliced_wasserstein import (
    BINS,
    SCALES,
    color_axes,
    count_histograms,
    mean_square_color,
    normalized_histogram,
    sliced_transport,
)


def canvas_moments(job: Job, pixels: Tensor) -> dict[str, Moments]:
    """Return the moments of every style layer over the whole canvas [3, H, W], differentiable, float64."""
    features = job.network.features(_network_input(job, pixels), job.weights.style_layers)
    flat = {layer: response[0].flatten(1).double() for layer, response in features.items()}  # [C, h w]
    return {k: Moments(f.shape[1], f.mean(1), f @ f.mT / f.shape[1]) for k, f in flat.items()}


def style_loss(job: Job, moments: Mapping[str, Moments], targets: Mapping[str, Moments]) -> Tensor:
    """Return the weighted sum over the layers of the distance of moments."""
    weights, losses = job.weights.style_layers, []
    absolute = job.config.normalize is Normalize.ABSOLUTE
    for k, weight in weights.items():
        current, target = moments[k].double(), targets[k].double()
        if job.config.style_loss is StyleLoss.W2:
            losses.append(weight * wasserstein_distance(current, target, absolute=absolute))
            continue
        losses.append(weight * gram_distance(current, target, absolute=absolute))
        if job.config.style_loss is StyleLoss.STATISTICS:
            factor = weight * job.config.statistics_weight
            losses.append(factor * statistics_distance(current, target, absolute=absolute))
    return torch.stack(losses).sum()


def canvas_autocorrelations(
    job: Job, pixels: Tensor, targets: Mapping[str, AutocorrelationTarget]
) -> dict[str, Tensor]:
    """Return the autocorrelations [C, L, M] of every layer with a target over the canvas [3, H, W].

    They are differentiable.
    """
    features = job.network.features(_network_input(job, pixels), list(targets)) if targets else {}
    return {k: mean_products(features[k][0] - target.center[:, None, None]) for k, target in targets.items()}


def autocorrelation_loss(
    job: Job, autocorrelations: Mapping[str, Tensor], targets: Mapping[str, AutocorrelationTarget]
) -> Tensor:
    """Return the weighted sum over the layers of the distance of autocorrelations."""
    shares, losses = job.weights.arrangement_layers, [torch.zeros(())]
    for k, target in targets.items():
        known = target.target.count > 0
        losses.append(shares[k] * stationary_wasserstein(autocorrelations[k] * known, target.target.products))
    return job.weights.arrangement * torch.stack(losses).sum()


def content_loss(
    job: Job,
    pixels: Tensor,
    content: Tensor | None,
    rng: SweepRng | None = None,
    patches: Sequence[Patch] = (),
    factors: Tensor | None = None,
) -> Tensor:
    """Return the content loss: a weighted sum over the layers.

    A layer's loss is the mean squared difference of features, divided by the content's mean variance or by 1.
    Or it is that of self-similarity, at sampled cells of each patch, weighted by the patch's area.

    Args:
        job: What to render.
        pixels: The canvas [3, H, W].
        content: The content on the canvas [3, H, W]; None without one.
        rng: Random numbers that sample the cells.
        patches: Patches that own every pixel once; empty: one patch, the whole canvas.
        factors: Factor of the content weight at every pixel, [1, H, W]; None: all 1.
    """
    if job.config.content_loss is ContentLoss.SELF_SIMILARITY and content is not None:
        height, width = pixels.shape[1:]
        canvas_box = Box(0, 0, height, width)
        return _self_similarity_loss(
            job,
            (pixels, content),
            rng or SweepRng(0, 0, 0),
            patches or [Patch(canvas_box, canvas_box, 1)],
            factors,
        )
    weights = job.weights.content_layers if content is not None else {}
    loss = torch.zeros((), device=job.network.device)
    if content is not None:
        canvas_features, content_features = (
            job.network.features(_network_input(job, x), weights) for x in (pixels, content)
        )
        for k, weight in weights.items():
            errors = (canvas_features[k] - content_features[k]).float().square()
            if factors is not None:
                errors = errors * F.avg_pool2d(factors, job.network.layers[k].stride).to(errors)
            error = errors.mean()
            relative = job.config.normalize is Normalize.RELATIVE
            energy = content_features[k].float().var((2, 3), correction=0).mean() if relative else 1.0
            loss = loss + weight * error / energy
    return loss


def palette_loss(job: Job, level: Level, pixels: Tensor, previous: Tensor) -> Tensor:
    """Return the mean squared distance of colors to where the optimal transport takes the colors of `previous`.

    It is the mean over directions and scales. Its gradient at `previous` is that of the sliced Wasserstein
    distance, relative to the mean square of the style's colors, or as a mean over the channels.

    Args:
        job: What to render, of one region.
        level: Its level.
        pixels: The canvas [3, H, W].
        previous: The canvas [3, H, W] whose transport is used, without a graph.
    """
    (histograms,) = style_histograms(job, level)
    losses, axes = [], color_axes()
    for scale in SCALES:
        previous_cells, cells = (F.avg_pool2d(plane, scale).flatten(1) for plane in (previous, pixels))
        _, maps = sliced_transport(
            normalized_histogram(count_histograms(previous_cells[:, None])), histograms[scale]
        )
        for vector, low, width, bin_targets in zip(axes.vectors, axes.low, axes.width, maps, strict=True):
            projections = vector @ cells
            bins = ((projections.detach() - low) / width).long().clamp(0, BINS - 1)
            losses.append(
                3 * (projections - torch.from_numpy(bin_targets).to(projections)[bins]).square().mean()
            )
    energy = mean_square_color(histograms[1]) if job.config.normalize is Normalize.RELATIVE else 3.0
    return torch.stack(losses).mean() / energy


def _self_similarity_loss(
    job: Job,
    planes: tuple[Tensor, Tensor],
    rng: SweepRng,
    patches: Sequence[Patch],
    factors: Tensor | None,
) -> Tensor:
    """Return the self-similarity loss of canvas and content [3, H, W]; see `content_loss`."""
    weights = job.weights.content_layers
    canvas_features, content_features = (job.network.features(_network_input(job, x), weights) for x in planes)
    loss = torch.zeros((), device=job.network.device)
    for k, weight in weights.items():
        cell_factors = None if factors is None else F.avg_pool2d(factors, job.network.layers[k].stride)[0]
        min_norm, unit, stride = (
            job.energy_floors.get(k, MIN_VARIANCE) ** 0.5,
            1.0,
            job.network.layers[k].stride,
        )
        if job.config.normalize is Normalize.RELATIVE:
            unit = max(float(mean_distance(content_features[k][0].flatten(1).float(), min_norm)), MIN_DISTANCE)
        for patch in patches:
            rows, columns = sample_cells(patch.owned.to_cells(stride), rng, patch.read)
            canvas_cells, content_cells = (
                x[k][0][:, rows, columns].float() for x in (canvas_features, content_features)
            )
            share = patch.owned.area / planes[0][0].numel()
            places = None if cell_factors is None else cell_factors[rows, columns].to(canvas_cells)
            loss = loss + weight * share * self_similarity(canvas_cells, content_cells, min_norm, unit, places)
    return loss


def anchor_loss(job: Job, level: Level, canvas: Canvas) -> Tensor:
    """Return the mean over the canvas of the squared difference from the anchor, weighted by its trust.

    Where the anchor is compared after averaging, the result is a loss whose gradient is smoothed, as in
    anchor.py.
    """
    if job.anchor is None:
        return torch.zeros(())
    anchored = AnchorLoss(job, level, job.anchor)
    difference = anchored.downsampled_rows(canvas, slice(0, anchored.target.shape[1])) - anchored.target
    if anchored.factor == 1:
        return weighted_squared_error(difference, anchored.trust, 1) / level.extent.area
    residual = difference if anchored.trust is None else anchored.trust * difference
    smooth = F.interpolate(residual.detach()[None], scale_factor=float(anchored.factor), mode="bilinear")[0]
    box = level.extent.picture
    picture_view = canvas.pixels[:, box.top : box.top + smooth.shape[1], box.left : box.left + smooth.shape[2]]
    return (2 / 3) * (smooth * picture_view).sum() / level.extent.area


def _network_input(job: Job, pixels: Tensor) -> Tensor:
    """Return pixels [3, H, W] as a network input [1, 3, H, W]."""
    return pixels[None].to(job.network.device, job.network.dtype)
