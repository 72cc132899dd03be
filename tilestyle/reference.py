"""The specification: the picture without tiles or closed forms, by autograd through the loss as it is."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor

from tilestyle.adam import Adam
from tilestyle.canvas import Canvas
from tilestyle.config import Color, StyleLoss
from tilestyle.job import Job
from tilestyle.moments import RIDGE, Moments
from tilestyle.plan import step_size
from tilestyle.tv import total_variation


def render_untiled(job: Job, lag: int = 0) -> Canvas:
    """The last level's canvas. `lag` 0 takes the style's slope at the canvas as it is, 1 one step earlier."""
    canvas = None
    for level in job.levels:
        canvas = canvas.enlarged(level.extent) if canvas else Canvas(level.extent, job.start(level))
        pixels = canvas.pixels.requires_grad_()
        adam = torch.optim.Adam([pixels], betas=(Adam.beta1, Adam.beta2), eps=Adam.epsilon)
        steps = canvas.steps[0, 0, 0].cpu().clone()
        adam.state[pixels] = {"step": steps, "exp_avg": canvas.first, "exp_avg_sq": canvas.second}
        goal, content, before = job.style_moments(level), job.content_plane(level), None
        for sweep in range(level.sweeps):
            adam.param_groups[0]["lr"] = step_size(job.config, level, sweep)
            loss = job.weights.content * content_loss(job, pixels, content)
            loss = loss + job.weights.tv * total_variation(pixels)
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
    """Weighted sum over the layers of the relative distance of moments."""
    distance = wasserstein if job.config.style_loss is StyleLoss.W2 else gram
    weights = job.weights.style_layers
    return torch.stack([weights[k] * distance(moments[k].double(), goal[k].double()) for k in weights]).sum()


def wasserstein(found: Moments, goal: Moments) -> Tensor:
    """Squared W2 of the Gaussians, over |mu*|^2 + tr K*; both covariances with the ridge."""
    ridge = RIDGE * goal.covariance.diagonal().mean() * torch.eye(len(goal.mean), dtype=torch.float64)
    values, vectors = torch.linalg.eigh(goal.covariance + ridge)
    root = (vectors * values.sqrt()) @ vectors.mT
    values = torch.linalg.eigvalsh(root @ (found.covariance + ridge) @ root)
    cross = values.clamp(min=ridge[0, 0] ** 2).sqrt().sum()
    bures = (found.covariance + goal.covariance + 2 * ridge).trace() - 2 * cross
    return torch.as_tensor(((found.mean - goal.mean).square().sum() + bures) / goal.second.trace())


def gram(found: Moments, goal: Moments) -> Tensor:
    """Squared distance of second moments over that of the goal's."""
    return (found.second - goal.second).square().sum() / goal.second.square().sum()


def content_loss(job: Job, pixels: Tensor, content: Tensor | None) -> Tensor:
    """Weighted sum over the layers of the mean squared difference over the content's mean variance."""
    weights = job.weights.content_layers if content is not None else {}
    loss = torch.zeros((), device=job.network.device)
    if content is not None:
        found, goal = (job.network.features(_shown(job, x), weights) for x in (pixels, content))
        for k, weight in weights.items():
            error = (found[k] - goal[k]).float().square().mean()
            loss = loss + weight * error / goal[k].float().var((2, 3), correction=0).mean()
    return loss


def _shown(job: Job, pixels: Tensor) -> Tensor:
    return pixels[None].to(job.network.device, job.network.dtype)


def _tangent(job: Job, moments: dict[str, Moments], at: dict[str, Moments], goal: dict[str, Moments]) -> Tensor:
    """The style loss's tangent at the moments `at`, which have no graph: linear in `moments`."""
    points = [p.requires_grad_() for m in at.values() for p in (m.mean, m.second)]
    slopes = torch.autograd.grad(style_loss(job, at, goal), points, materialize_grads=True)
    values = [p for m in moments.values() for p in (m.mean, m.second)]
    return torch.stack([(s * v).sum() for s, v in zip(slopes, values, strict=True)]).sum()
