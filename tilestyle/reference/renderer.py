"""The specification: renders without patches or closed forms, by autograd through the loss as it is defined."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor

from tilestyle.canvas.canvas import Canvas
from tilestyle.config.enums import Color
from tilestyle.geometry.rng import SweepRng
from tilestyle.losses.color_fringes import FRINGE_WEIGHT, style_roughness
from tilestyle.losses.planes import level_planes
from tilestyle.losses.style_statistics import style_autocorrelations, style_moments
from tilestyle.losses.total_variation import total_variation
from tilestyle.optim.adam import Adam
from tilestyle.optim.content_weight import ContentWeightController
from tilestyle.optim.initial import initial_canvas
from tilestyle.optim.state import RenderState
from tilestyle.planning.job import Job
from tilestyle.planning.schedule import is_finishing, step_decay, step_size
from tilestyle.planning.strength import is_adjustment_sweep
from tilestyle.reference.untiled_losses import (
    anchor_loss,
    autocorrelation_loss,
    canvas_autocorrelations,
    canvas_moments,
    content_loss,
    palette_loss,
    style_loss,
)
from tilestyle.stats.autocorrelation import AutocorrelationTarget
from tilestyle.stats.color_fringes import fringe_loss
from tilestyle.stats.moments import Moments


@dataclass(frozen=True)
class ReferenceTargets:
    """Targets of the style loss, by layer.

    Attributes:
        moments: Moments of the style.
        autocorrelations: Targets of the autocorrelation loss.
    """

    moments: Mapping[str, Moments]
    autocorrelations: Mapping[str, AutocorrelationTarget]


@dataclass(frozen=True)
class CanvasStatistics:
    """Statistics of a canvas that the style loss depends on, by layer.

    Attributes:
        moments: Moments of the canvas.
        autocorrelations: Means of products at every lag, [C, L, M].
    """

    moments: Mapping[str, Moments]
    autocorrelations: Mapping[str, Tensor]

    @property
    def tensors(self) -> list[Tensor]:
        """All tensors that the style loss is a function of."""
        return [p for m in self.moments.values() for p in (m.mean, m.second)] + [
            *self.autocorrelations.values()
        ]

    def detached(self) -> CanvasStatistics:
        """Return a copy outside any graph."""
        return CanvasStatistics(
            {layer: statistic.detached() for layer, statistic in self.moments.items()},
            {layer: statistic.detach().clone() for layer, statistic in self.autocorrelations.items()},
        )


def render_untiled(job: Job, lag: int = 0) -> Canvas:
    """Render a job of one region without patches, and return the canvas of the last level.

    Args:
        job: What to render.
        lag: 0 takes the gradient of the style loss at the current canvas, 1 at that of one step before.

    Raises:
        ValueError: The job has no level.
    """
    canvas, state = None, RenderState()
    for level in job.levels:
        canvas = canvas.upsampled(level.extent) if canvas else initial_canvas(job, level, None)
        state.begin_level(level.index, canvas)
        balance = ContentWeightController(job, level, state)
        pixels = canvas.pixels.requires_grad_()
        adam = torch.optim.Adam([pixels], betas=(Adam.beta1, Adam.beta2), eps=Adam.epsilon)
        steps = canvas.steps[0, 0, 0].cpu().clone()
        adam.state[pixels] = {"step": steps, "exp_avg": canvas.first, "exp_avg_sq": canvas.second}
        region_moments, planes = style_moments(job, level), level_planes(job, level)
        targets = ReferenceTargets(
            region_moments[0], (style_autocorrelations(job, level, 1, region_moments) or [{}])[0]
        )
        previous, previous_pixels = None, None
        for sweep in range(level.sweeps):
            adam.param_groups[0]["lr"] = step_size(job.config, level, sweep)
            draw = SweepRng(job.config.seed, level.index, sweep)
            loss = balance.weight * content_loss(
                job, pixels, planes.content, draw, factors=planes.content_factors
            )
            tv_form = job.weights.tv_form, job.weights.tv_exponent
            loss = loss + job.weights.tv * total_variation(pixels, *tv_form)
            roughness = style_roughness(job, level) if is_finishing(job.config, level, sweep) else None
            if roughness is not None:
                loss = loss + FRINGE_WEIGHT * fringe_loss(pixels, roughness)
            loss = loss + job.config.anchor_weight * anchor_loss(job, level, canvas)
            if targets.moments:
                moments = canvas_moments(job, pixels)
                statistics = CanvasStatistics(
                    moments, canvas_autocorrelations(job, pixels, targets.autocorrelations)
                )
                current = statistics.detached()
                point, previous = (previous if lag and previous else current), current
                loss = loss + job.weights.style * _style_tangent(job, statistics, point, targets)
            if job.weights.palette:
                current_pixels = pixels.detach().clone()
                at_pixels = previous_pixels if lag and previous_pixels is not None else current_pixels
                previous_pixels = current_pixels
                loss = loss + job.weights.palette * palette_loss(job, level, pixels, at_pixels)
            (pixels.grad,) = torch.autograd.grad(loss * level.extent.area, pixels)
            if job.config.color is Color.LUMINANCE:
                pixels.grad = pixels.grad.mean(0, keepdim=True).expand_as(pixels).contiguous()
            adam.step()
            pixels.data.clamp_(0, 1)
            if is_adjustment_sweep(sweep, level.sweeps):
                balance.adjust(canvas, step_decay(level, sweep))
        canvas.pixels = pixels.detach()
        canvas.steps.fill_(float(steps))
    if canvas is None:
        raise ValueError("a job has at least one level")
    return canvas


def _style_tangent(
    job: Job, statistics: CanvasStatistics, point: CanvasStatistics, targets: ReferenceTargets
) -> Tensor:
    """Return the tangent of the style loss at a point, as a linear function of the statistics.

    Args:
        job: What to render.
        statistics: Statistics of the canvas, with their graph.
        point: Statistics at which the gradient is taken, without a graph.
        targets: Targets of the style loss.
    """
    points = [p.requires_grad_() for p in point.tensors]
    value = style_loss(job, point.moments, targets.moments)
    value = value + autocorrelation_loss(job, point.autocorrelations, targets.autocorrelations)
    gradients = torch.autograd.grad(value, points, materialize_grads=True)
    return torch.stack([(s * v).sum() for s, v in zip(gradients, statistics.tensors, strict=True)]).sum()
