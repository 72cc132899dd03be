"""The exact loss of a whole canvas and its exact gradient, tile by tile.

Two passes (Galerne, Raad, Lezama, Morel 2024, arXiv 2212.13459, section 3): forward for the moments of the
canvas, then forward and backward for the gradient at them. Tiles see their cells whole, by a halo of half the
receptive field, and answer for these cells alone; their gradients add up where they overlap. Costs one forward
pass more than a sweep, all of it over ((owned + 2 halo) / owned)^2 times the canvas.
"""

from __future__ import annotations

from collections.abc import Mapping

from torch import Tensor

from tilestyle.canvas.canvas import ROWS, Canvas, add, expanded, read, reduced
from tilestyle.canvas.storage import touched
from tilestyle.geometry.boxes import Box
from tilestyle.geometry.sampling import overlapping
from tilestyle.losses.objective import Terms
from tilestyle.losses.planes import content_plane, region_weights
from tilestyle.losses.scale_objective import Look, View
from tilestyle.losses.style_statistics import style_arrangement, style_moments
from tilestyle.losses.total_variation import total_variation_gradient, variation_sum
from tilestyle.networks.base import exact_halo
from tilestyle.planning.job import Goal, Job
from tilestyle.planning.schedule import Level


class Exact:
    """The loss of one level: of the canvas as it is, not of a sweep ago."""

    def __init__(self, job: Job, level: Level) -> None:
        self._weights = job.weights
        self._content_weight = job.weights.content
        self._extent = level.extent
        self._regions = region_weights(job, level)
        moments = style_moments(job, level)
        arrangement = style_arrangement(job, level, 1, moments)
        goal = Goal(moments, content_plane(job, level), self._regions, arrangement)
        self._octaves = [
            Octave(job, level, goal, factor, names) for factor, names in job.octaves(level).items()
        ]
        self._gradient = job.store.zeros(3, level.extent.height, level.extent.width)

    def weigh(self, content: float) -> None:
        """Give the content another weight from now on."""
        self._content_weight = content
        for octave in self._octaves:
            octave.weigh(content)

    def __call__(self, canvas: Canvas) -> tuple[Terms, Tensor]:
        """The terms, and the gradient [3, H, W] of the loss times the canvas's pixels; good until the next."""
        tv = self._smoothness(canvas.pixels)
        terms = [octave.add(canvas, self._gradient) for octave in self._octaves]
        self._leave()
        return sum(terms, Terms(0.0, 0.0, tv)), self._gradient

    def loss(self, terms: Terms) -> float:
        """The loss whose gradient that is."""
        weights = self._weights
        weighed = weights.style * terms.style + self._content_weight * terms.content + weights.tv * terms.tv
        return weighed * self._extent.area

    def _leave(self) -> None:
        """What is of no region is not drawn anywhere: no variable. The slope of all other pixels is whole."""
        if not (self._regions and self._regions.partial):
            return
        height, width = self._extent.height, self._extent.width
        for top in range(0, height, ROWS):
            box = Box(top, 0, min(ROWS, height - top), width)
            touched(self._gradient[:, top : top + box.height].mul_(self._regions.styled(box) > 0))

    def _smoothness(self, pixels: Tensor) -> float:
        """Total variation; its weighted gradient is what the gradient begins with."""
        weights, height = self._weights, self._extent.height
        if not weights.tv:
            for top in range(0, height, ROWS):
                touched(self._gradient[:, top : top + ROWS].zero_())
            return 0.0
        kind = weights.tv_form, weights.tv_exponent
        total = 0.0
        for top in range(0, height, ROWS):
            end = min(top + ROWS, height)
            above, below = max(top - 1, 0), min(end + 1, height)
            gradient = total_variation_gradient(pixels[:, above:below], *kind)
            self._gradient[:, top:end] = weights.tv * gradient[:, top - above : end - above]
            total += float(variation_sum(pixels[:, top:below], *kind))
            if below > end:  # the next strip's first row, whose own differences are counted there
                total -= float(variation_sum(pixels[:, end:below], *kind))
            touched(self._gradient[:, top:end], pixels[:, above:below])
        return total / pixels.numel()


class Octave:
    """The part of it that is seen on the canvas reduced by the same factor."""

    def __init__(self, job: Job, level: Level, goal: Goal, factor: int, names: Mapping[str, str]) -> None:
        """`names` are the layers, each with its name on the reduced canvas."""
        layers = [job.network.layers[name] for name in names.values()]
        unit = max(layer.stride for layer in layers)
        self._extent, self._factor = level.extent, factor
        self._view = View(job, level, goal, Look(names, factor, read if factor == 1 else reduced, near=False))
        self._patches = overlapping(level.extent, job.side, unit, exact_halo(layers), factor)
        if factor > 1:
            height, width = level.extent.height // factor, level.extent.width // factor
            self._small = job.store.zeros(3, height, width)

    def weigh(self, content: float) -> None:
        """Give the content another weight from now on."""
        self._view.objective.weigh(content)

    def add(self, canvas: Canvas, gradient: Tensor) -> Terms:
        """Add its gradient to a plane [3, H, W]; answers its terms."""
        objective, factor = self._view.objective, self._factor
        alone = len(self._patches) == 1
        if not alone:
            for patch in self._patches:
                objective.measure(self._view.window(canvas, patch), patch)
            objective.correct(lasting=False)
        into = gradient if factor == 1 else self._small.zero_()
        for patch in self._patches:
            found = objective.gradient(self._view.window(canvas, patch), patch, alone=alone, owned=True)
            add(into, patch.read.over(factor), found.to(into.device))
            touched(found)
        if factor > 1:
            for top in range(0, self._extent.height, ROWS):
                box = Box(top, 0, min(ROWS, self._extent.height - top), self._extent.width)
                add(gradient, box, expanded(self._small, box, factor))
        return objective.turn()
