"""The specification: the picture without tiles or closed forms, by autograd through the loss as it is."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor

from tilestyle.canvas.canvas import Canvas
from tilestyle.config.enums import Color
from tilestyle.geometry.rng import Draw
from tilestyle.losses.color_fringes import WEIGHT, usual_roughness
from tilestyle.losses.planes import content_plane
from tilestyle.losses.style_statistics import style_arrangement, style_moments
from tilestyle.losses.total_variation import total_variation
from tilestyle.optim.adam import Adam
from tilestyle.optim.content_weight import Balance
from tilestyle.optim.initial import initial_pixels
from tilestyle.optim.state import Standing
from tilestyle.planning.job import Job
from tilestyle.planning.schedule import is_finishing, pace, step_size
from tilestyle.planning.strength import due
from tilestyle.reference.untiled_losses import (
    anchor_loss,
    arrangement_loss,
    content_loss,
    palette_loss,
    style_loss,
    whole_arrangement,
    whole_moments,
)
from tilestyle.stats.autocorrelation import AutocorrelationTarget
from tilestyle.stats.color_fringes import fringes
from tilestyle.stats.moments import Moments


@dataclass(frozen=True)
class Goals:
    """What the style has."""

    moments: Mapping[str, Moments]
    arrangement: Mapping[str, AutocorrelationTarget]


@dataclass(frozen=True)
class Seen:
    """What a canvas has of it: moments, and means of products at every lag."""

    moments: Mapping[str, Moments]
    arrangement: Mapping[str, Tensor]

    @property
    def parts(self) -> list[Tensor]:
        """All tensors that the style loss is a function of."""
        return [p for m in self.moments.values() for p in (m.mean, m.second)] + [*self.arrangement.values()]

    def detached(self) -> Seen:
        """A copy outside any graph."""
        return Seen(
            {layer: found.detached() for layer, found in self.moments.items()},
            {layer: found.detach().clone() for layer, found in self.arrangement.items()},
        )


def render_untiled(job: Job, lag: int = 0) -> Canvas:
    """The last level's canvas, of one region.

    `lag` 0 takes the style's slope at the canvas as it is, 1 one step earlier.
    """
    canvas, at = None, Standing()
    for level in job.levels:
        canvas = canvas.enlarged(level.extent) if canvas else Canvas(level.extent, initial_pixels(job, level))
        at.enter(level.index, canvas)
        balance = Balance(job, level, at)
        pixels = canvas.pixels.requires_grad_()
        adam = torch.optim.Adam([pixels], betas=(Adam.beta1, Adam.beta2), eps=Adam.epsilon)
        steps = canvas.steps[0, 0, 0].cpu().clone()
        adam.state[pixels] = {"step": steps, "exp_avg": canvas.first, "exp_avg_sq": canvas.second}
        goals, content, before, earlier = style_moments(job, level), content_plane(job, level), None, None
        goal = Goals(goals[0], (style_arrangement(job, level, 1, goals) or [{}])[0])
        for sweep in range(level.sweeps):
            adam.param_groups[0]["lr"] = step_size(job.config, level, sweep)
            draw = Draw(job.config.seed, level.index, sweep)
            loss = balance.weight * content_loss(job, pixels, content, draw)
            kind = job.weights.tv_form, job.weights.tv_exponent
            loss = loss + job.weights.tv * total_variation(pixels, *kind)
            usual = usual_roughness(job, level) if is_finishing(job.config, level, sweep) else None
            if usual is not None:
                loss = loss + WEIGHT * fringes(pixels, usual)
            loss = loss + job.config.anchor_weight * anchor_loss(job, level, canvas)
            if goal.moments:
                moments = whole_moments(job, pixels)
                found = Seen(moments, whole_arrangement(job, pixels, goal.arrangement))
                now = found.detached()
                point, before = (before if lag and before else now), now
                loss = loss + job.weights.style * _tangent(job, found, point, goal)
            if job.weights.palette:
                shown = pixels.detach().clone()
                seen, earlier = (earlier if lag and earlier is not None else shown), shown
                loss = loss + job.weights.palette * palette_loss(job, level, pixels, seen)
            (pixels.grad,) = torch.autograd.grad(loss * level.extent.area, pixels)
            if job.config.color is Color.LUMINANCE:
                pixels.grad = pixels.grad.mean(0, keepdim=True).expand_as(pixels).contiguous()
            adam.step()
            pixels.data.clamp_(0, 1)
            if due(sweep, level.sweeps):
                balance.turn(canvas, pace(level, sweep))
        canvas.pixels = pixels.detach()
        canvas.steps.fill_(float(steps))
    if canvas is None:
        raise ValueError("a job has at least one level")
    return canvas


def _tangent(job: Job, found: Seen, at: Seen, goal: Goals) -> Tensor:
    """The style loss's tangent at what was seen, which has no graph: linear in what is found."""
    points = [p.requires_grad_() for p in at.parts]
    value = style_loss(job, at.moments, goal.moments)
    value = value + arrangement_loss(job, at.arrangement, goal.arrangement)
    slopes = torch.autograd.grad(value, points, materialize_grads=True)
    return torch.stack([(s * v).sum() for s, v in zip(slopes, found.parts, strict=True)]).sum()
