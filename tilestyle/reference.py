"""The specification: the picture without tiles or closed forms, by autograd through the loss as it is."""

from __future__ import annotations

import torch
from torch import Tensor

from tilestyle.adam import Adam
from tilestyle.canvas import Canvas
from tilestyle.config import Color
from tilestyle.draw import Draw
from tilestyle.finish import WEIGHT, usual_roughness
from tilestyle.fringes import fringes
from tilestyle.job import Job
from tilestyle.moments import Moments
from tilestyle.plan import is_finishing, step_size
from tilestyle.tv import total_variation
from tilestyle.untiled import anchor_loss, content_loss, style_loss, whole_moments


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
            draw = Draw(job.config.seed, level.index, sweep)
            loss = job.weights.content * content_loss(job, pixels, content, draw)
            kind = job.weights.tv_form, job.weights.tv_exponent
            loss = loss + job.weights.tv * total_variation(pixels, *kind)
            usual = usual_roughness(job, level) if is_finishing(job.config, level, sweep) else None
            if usual is not None:
                loss = loss + WEIGHT * fringes(pixels, usual)
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


def _tangent(job: Job, moments: dict[str, Moments], at: dict[str, Moments], goal: dict[str, Moments]) -> Tensor:
    """The style loss's tangent at the moments `at`, which have no graph: linear in `moments`."""
    points = [p.requires_grad_() for m in at.values() for p in (m.mean, m.second)]
    slopes = torch.autograd.grad(style_loss(job, at, goal), points, materialize_grads=True)
    values = [p for m in moments.values() for p in (m.mean, m.second)]
    return torch.stack([(s * v).sum() for s, v in zip(slopes, values, strict=True)]).sum()
