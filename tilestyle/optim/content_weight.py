"""Control of the content weight by `--strength`: measure the distance from the content and adjust the weight.

The controller itself, without pictures, is planning/strength.py.
"""

from __future__ import annotations

from dataclasses import asdict, replace

import torch
from torch import Tensor

from tilestyle.canvas.canvas import Canvas
from tilestyle.canvas.resample import Filter
from tilestyle.canvas.resize import resize
from tilestyle.geometry.boxes import Box
from tilestyle.losses.objective import LossTerms
from tilestyle.networks.perceptual_distance import SIDE, PerceptualFeatures
from tilestyle.optim.state import RenderState
from tilestyle.planning.job import Job
from tilestyle.planning.schedule import Level
from tilestyle.planning.strength import (
    COARSE_TARGET_POWER,
    MIN_FACTOR,
    STEP_DECAY_POWER,
    ContentWeightState,
    adjust_weight,
    distance_at,
)


class ContentWeightController:
    """The content weight of one level: the job's own, or with `--strength` an adjusted one."""

    def __init__(self, job: Job, level: Level, render_state: RenderState) -> None:
        """Prepare the comparison with the content.

        Args:
            job: The render.
            level: The level whose canvas is compared.
            render_state: Holds the adjusted weight from sweep to sweep and from level to level.
        """
        self._target_distance, self._initial_weight = job.weights.target_distance, job.weights.content
        self._render_state, self._network, self._comm = render_state, job.network, job.comm
        picture = level.extent.picture
        long_side = max(picture.height, picture.width)
        share = SIDE / long_side
        self._gain = 1.0
        if level.size_ratio < 1 and share > 1:
            # A coarse level smaller than the size of comparison is compared at its own size. Finer levels will
            # still change the picture, so its distance says less about the weight.
            self._gain = share**-2
            if self._target_distance is not None:
                self._target_distance *= share**-COARSE_TARGET_POWER
            share = 1.0
        self._comparison_size = Box(
            0, 0, *(max(1, round(share * side)) for side in (picture.height, picture.width))
        )
        self._pixel_weights: Tensor | None = None
        self._content: PerceptualFeatures | None = None
        if self._target_distance is not None and job.content is not None and job.comm.is_rank_zero:
            if job.region_weights is not None:  # pixels outside all regions are the content itself
                styled = self._resized(job.region_weights, Filter.LINEAR).sum(0, keepdim=True).clamp(0, 1)
                self._pixel_weights = styled if float(styled.max()) > 0 else None
            if job.content_map is None or self._follow_content_map(job.content_map):
                self._content = PerceptualFeatures(self._resized(job.content), self._pixel_weights, job.network)

    def _follow_content_map(self, content_map: Tensor) -> bool:
        """Weight the comparison by the content map, and adapt the target distance to it.

        The strength is meant for pixels with a factor of 1. Pixels with a smaller or larger factor count less,
        and the target distance allows for their share.

        Args:
            content_map: Factors of the content weight, [1, h, w].

        Returns:
            Whether there is anything to compare: a factor above 0.
        """
        assert self._target_distance is not None, "the weight is adjusted"
        factors = self._resized(content_map, Filter.LINEAR)
        weights = torch.where(factors > 1, 1 / factors, factors)
        if self._pixel_weights is not None:
            weights = weights * self._pixel_weights
        total = float(weights.sum())
        if total <= 0:
            return False
        doublings = float((weights * factors.clamp(min=MIN_FACTOR).log2()).sum()) / total
        self._target_distance = distance_at(self._target_distance, doublings)
        self._pixel_weights = weights
        return True

    @property
    def weight(self) -> float:
        """The current content weight."""
        state = self._render_state.content_weight_state
        return self._initial_weight if state is None else state.weight

    def with_content_weight(self, terms: LossTerms) -> LossTerms:
        """Return the loss terms of a sweep, with the content weight if it is adjusted."""
        return terms if self._target_distance is None else replace(terms, content_weight=self.weight)

    def adjust(self, canvas: Canvas, step_decay: float) -> None:
        """Adjust the weight after a sweep. Does nothing without `--strength`.

        Args:
            canvas: The canvas after the sweep. Only rank 0 compares it; the others receive the weight.
            step_decay: Step size of the sweep relative to the first of the level.
        """
        if self._target_distance is None:
            return
        state = self._render_state.content_weight_state or ContentWeightState(self._initial_weight)
        distance = None
        if self._content is not None and not self._content.is_flat:
            distance = self._content.distance(
                PerceptualFeatures(self._resized(canvas.picture()), self._pixel_weights, self._network)
            )
        if distance is not None:
            state = adjust_weight(
                state,
                distance,
                self._target_distance,
                self._gain * step_decay**STEP_DECAY_POWER,
                self._initial_weight,
            )
        self._render_state.content_weight_state = ContentWeightState(**self._comm.broadcast(asdict(state)))

    def _resized(self, plane: Tensor, kind: Filter = Filter.CUBIC) -> Tensor:
        """Return a plane [C, H, W] at the size of comparison, [C, h, w] on the host."""
        if plane.shape[1:] == (self._comparison_size.height, self._comparison_size.width):
            return plane.detach().cpu()
        return resize(plane.detach(), self._comparison_size, kind).cpu()
