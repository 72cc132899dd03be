"""The exact loss of a canvas and its exact gradient, tile by tile; for L-BFGS, which needs a constant loss.

It takes two passes (Galerne, Raad, Lezama, Morel 2024, arXiv 2212.13459, section 3): a forward pass for the
moments of the canvas, then forward and backward for the gradient at these moments. Tiles have a halo of half
the receptive field, so that the cells they own see no padding; only these cells count, and gradients add up
where tiles overlap.

That is one forward pass more than a sweep, over ((owned + 2 halo) / owned)^2 times the pixels.
"""

from __future__ import annotations

from collections.abc import Mapping

from torch import Tensor

from tilestyle.canvas.canvas import Canvas, add_to_box, pyramid_expand, pyramid_reduce, read_box
from tilestyle.canvas.mapped_pages import note_mapped_access
from tilestyle.canvas.storage import STRIP_ROWS
from tilestyle.geometry.boxes import Box
from tilestyle.geometry.sampling import halo_tiles
from tilestyle.losses.objective import LossTerms
from tilestyle.losses.planes import LevelPlanes
from tilestyle.losses.scale_objective import ScaleObjective, ScaleSpec
from tilestyle.losses.style_statistics import style_autocorrelations, style_moments
from tilestyle.losses.total_variation import total_variation_gradient, total_variation_sum
from tilestyle.networks.base import exact_halo
from tilestyle.planning.job import Job, LevelTargets
from tilestyle.planning.schedule import Level


class ExactObjective:
    """The exact loss of one level, with the moments of the canvas as it is."""

    def __init__(self, job: Job, level: Level, planes: LevelPlanes) -> None:
        """Build the losses of all scales of a level.

        Args:
            job: The render.
            level: Its level.
            planes: Content and regions at the size of the level.
        """
        self._weights = job.weights
        self._content_weight = job.weights.content
        self._extent = level.extent
        self._regions = planes.regions
        moments = style_moments(job, level)
        arrangement = style_autocorrelations(job, level, 1, moments)
        targets = LevelTargets(moments, planes.content, planes.regions, arrangement, planes.content_map)
        self._scales = [
            ExactScale(job, level, targets, factor, names) for factor, names in job.scale_groups(level).items()
        ]
        self._gradient = job.store.zeros(3, level.extent.height, level.extent.width)

    def set_content_weight(self, weight: float) -> None:
        """Set the content weight for the gradients to come."""
        self._content_weight = weight
        for scale in self._scales:
            scale.set_content_weight(weight)

    def __call__(self, canvas: Canvas) -> tuple[LossTerms, Tensor]:
        """Compute the loss and its gradient.

        Returns:
            - The loss terms.
            - The gradient of the loss times the number of canvas pixels, [3, H, W]; valid until the next call.
        """
        tv = self._total_variation(canvas.pixels)
        terms = [scale.accumulate_gradient(canvas, self._gradient) for scale in self._scales]
        self._mask_unstyled()
        return sum(terms, LossTerms(0.0, 0.0, tv)), self._gradient

    def loss(self, terms: LossTerms) -> float:
        """Return the weighted sum of loss terms, times the number of canvas pixels; a call has its gradient."""
        weights = self._weights
        weighted = weights.style * terms.style + self._content_weight * terms.content + weights.tv * terms.tv
        return weighted * self._extent.area

    def _mask_unstyled(self) -> None:
        """Zero the gradient of pixels outside all regions, which are not optimized."""
        if not (self._regions and self._regions.has_unstyled):
            return
        height, width = self._extent.height, self._extent.width
        for top in range(0, height, STRIP_ROWS):
            box = Box(top, 0, min(STRIP_ROWS, height - top), width)
            note_mapped_access(self._gradient[:, top : top + box.height].mul_(self._regions.coverage(box) > 0))

    def _total_variation(self, pixels: Tensor) -> float:
        """Set the gradient to that of the weighted total variation, or to 0; return the total variation."""
        weights, height = self._weights, self._extent.height
        if not weights.tv:
            for top in range(0, height, STRIP_ROWS):
                note_mapped_access(self._gradient[:, top : top + STRIP_ROWS].zero_())
            return 0.0
        form_and_exponent = weights.tv_form, weights.tv_exponent
        total = 0.0
        for top in range(0, height, STRIP_ROWS):
            end = min(top + STRIP_ROWS, height)
            above, below = max(top - 1, 0), min(end + 1, height)
            gradient = total_variation_gradient(pixels[:, above:below], *form_and_exponent)
            self._gradient[:, top:end] = weights.tv * gradient[:, top - above : end - above]
            total += float(total_variation_sum(pixels[:, top:below], *form_and_exponent))
            if below > end:  # differences within the first row of the next strip count there
                total -= float(total_variation_sum(pixels[:, end:below], *form_and_exponent))
            note_mapped_access(self._gradient[:, top:end], pixels[:, above:below])
        return total / pixels.numel()


class ExactScale:
    """The part of the exact loss from layers that see the canvas reduced by the same factor."""

    def __init__(
        self, job: Job, level: Level, level_targets: LevelTargets, factor: int, names: Mapping[str, str]
    ) -> None:
        """Build the losses.

        Args:
            job: The render.
            level: Its level.
            level_targets: Statistics of the styles, content and regions.
            factor: Canvas pixels per reduced pixel, per axis.
            names: The layers, each with its name on the reduced canvas.
        """
        layers = [job.network.layers[name] for name in names.values()]
        unit = max(layer.stride for layer in layers)
        self._extent, self._factor = level.extent, factor
        self._scale_objective = ScaleObjective(
            job,
            level,
            level_targets,
            ScaleSpec(names, factor, read_box if factor == 1 else pyramid_reduce, with_pixel_terms=False),
        )
        self._patches = halo_tiles(level.extent, job.patch_side, unit, exact_halo(layers), factor)
        if factor > 1:
            height, width = level.extent.height // factor, level.extent.width // factor
            self._reduced_gradient = job.store.zeros(3, height, width)

    def set_content_weight(self, weight: float) -> None:
        """Set the content weight for the gradients to come."""
        self._scale_objective.objective.set_content_weight(weight)

    def accumulate_gradient(self, canvas: Canvas, gradient: Tensor) -> LossTerms:
        """Add the gradient of these layers.

        Args:
            canvas: The canvas.
            gradient: A plane [3, H, W], changed in place.

        Returns:
            The loss terms of these layers.
        """
        objective, factor = self._scale_objective.objective, self._factor
        single_patch = len(self._patches) == 1
        if not single_patch:
            for patch in self._patches:
                objective.accumulate_moments(self._scale_objective.window(canvas, patch), patch)
            objective.use_exact_moments(calibrate=False)
        total = gradient if factor == 1 else self._reduced_gradient.zero_()
        for patch in self._patches:
            tile_gradient = objective.gradient(
                self._scale_objective.window(canvas, patch), patch, single_patch=single_patch, owned_only=True
            )
            add_to_box(total, patch.read.to_cells(factor), tile_gradient.to(total.device))
            note_mapped_access(tile_gradient)
        if factor > 1:
            for top in range(0, self._extent.height, STRIP_ROWS):
                box = Box(top, 0, min(STRIP_ROWS, self._extent.height - top), self._extent.width)
                add_to_box(gradient, box, pyramid_expand(self._reduced_gradient, box, factor))
        return objective.end_sweep()
