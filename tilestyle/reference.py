"""The specification: the picture without tiles or closed forms, by autograd through the loss as it is."""

from __future__ import annotations

from collections.abc import Mapping

import torch
import torch.nn.functional as F
from torch import Tensor

from tilestyle.adam import Adam
from tilestyle.anchor import Anchored, disagreement
from tilestyle.canvas import Canvas
from tilestyle.config import Color, Normalise, StyleLoss
from tilestyle.formulas import gram, statistics, wasserstein
from tilestyle.job import Job
from tilestyle.moments import Moments
from tilestyle.plan import Level, step_size
from tilestyle.tv import total_variation


def render_untiled(job: Job, lag: int = 0) -> Canvas:
    """The last level's canvas, of one region.

    `lag` 0 takes the style's slope at the canvas as it is, 1 one step earlier.
    """
    canvas = None
    for level in job.levels:
        canvas = canvas.enlarged(level.extent) if canvas else Canvas(level.extent, job.start(level))
        pixels = canvas.pixels.requires_grad_()
        adam = torch.optim.Adam([pixels], betas=(Adam.beta1, Adam.beta2), eps=Adam.epsilon)
        steps = canvas.steps[0, 0, 0].cpu().clone()
        adam.state[pixels] = {"step": steps, "exp_avg": canvas.first, "exp_avg_sq": canvas.second}
        goal, content, before = job.style_moments(level)[0], job.content_plane(level), None
        for sweep in range(level.sweeps):
            adam.param_groups[0]["lr"] = step_size(job.config, level, sweep)
            loss = job.weights.content * content_loss(job, pixels, content)
            kind = job.weights.tv_form, job.weights.tv_exponent
            loss = loss + job.weights.tv * total_variation(pixels, *kind)
            loss = loss + job.config.anchor_weight * anchor_loss(job, level, canvas)
            if goal:
                moments = whole_moments(job, pixels)
                now = {layer: found.detached() for layer, found in moments.items()}
                point, before = (before if lag and before else now), now
                loss = loss + job.weights.style * _tangent(job, moments, point, goal)
            (pixels.grad,) = torch.autograd.grad(loss * level.extent.area, pixels)
            if job.config.color is Color.LUMINANCE:
                pixels.grad = pixels.grad.mean(0, keepdim=True).expand_as(pixels).contiguous()
            adam.step()
            pixels.data.clamp_(0, 1)
        canvas.pixels = pixels.detach()
        canvas.steps.fill_(float(steps))
    if canvas is None:
        raise ValueError("a job has at least one level")
    return canvas


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


def _tangent(job: Job, moments: dict[str, Moments], at: dict[str, Moments], goal: dict[str, Moments]) -> Tensor:
    """The style loss's tangent at the moments `at`, which have no graph: linear in `moments`."""
    points = [p.requires_grad_() for m in at.values() for p in (m.mean, m.second)]
    slopes = torch.autograd.grad(style_loss(job, at, goal), points, materialize_grads=True)
    values = [p for m in moments.values() for p in (m.mean, m.second)]
    return torch.stack([(s * v).sum() for s, v in zip(slopes, values, strict=True)]).sum()
