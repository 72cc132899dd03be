"""The loss of one level at one scale, as the gradient of a patch."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor

from tilestyle.config.enums import ContentLoss
from tilestyle.devices.transfer import to_device
from tilestyle.distributed import Communicator
from tilestyle.geometry.boxes import Box, CanvasExtent, Patch
from tilestyle.geometry.rng import SweepRng
from tilestyle.kernels.content import add_difference, takes
from tilestyle.kernels.support import has_kernels
from tilestyle.losses.content import ContentTarget
from tilestyle.losses.palette import PaletteLoss
from tilestyle.losses.stateful import Stateful
from tilestyle.losses.total_variation import total_variation, total_variation_gradient
from tilestyle.networks.base import FeatureNetwork, crop_cells
from tilestyle.networks.forward_pass import FeatureGradient
from tilestyle.planning.loss_weights import LossWeights
from tilestyle.stats.self_similarity import sample_cells, self_similarity_loss


@dataclass(frozen=True)
class LossTerms:
    """The parts of the loss, each relative: 1 is a canvas that has nothing of the style, or of the content."""

    style: float
    content: float
    tv: float
    anchor: float = 0.0
    palette: float = 0.0
    content_weight: float | None = None  # of the sweep, if it is adjusted (optim/content_weight.py)

    def __add__(self, other: LossTerms) -> LossTerms:
        """Return the sums of all terms, without a content weight."""
        return LossTerms(
            self.style + other.style,
            self.content + other.content,
            self.tv + other.tv,
            self.anchor + other.anchor,
            self.palette + other.palette,
        )


class StyleTerm(Stateful, ABC):
    """A style loss: matches statistics of the canvas's features to the style's (style_global, style_local).

    It uses the statistics of the sweep before for its gradients, and sums those of the current sweep.
    """

    @property
    @abstractmethod
    def has_moments(self) -> bool:
        """Whether it has statistics of an earlier sweep, so that it can compute gradients."""

    @abstractmethod
    def accumulate_moments(self, features: Mapping[str, Tensor], patch: Patch) -> None:
        """Add the moments of a patch to the sums.

        Args:
            features: Features of the style layers, [1, C, h, w] each.
            patch: The patch; only cells that it owns count.
        """

    @abstractmethod
    def cotangents(
        self, features: Mapping[str, Tensor], patch: Patch, *, single_patch: bool
    ) -> dict[str, FeatureGradient]:
        """Add a patch to the sums; return its cotangents, the gradients at every cell of each layer.

        Args:
            features: Features of the style layers, [1, C, h, w] each.
            patch: The patch.
            single_patch: Whether the patch covers the whole canvas. Then its own moments make the gradient.

        Returns:
            Gradients of the loss in the features, times the number of canvas pixels, by layer.
        """

    @abstractmethod
    def use_exact_moments(self, *, calibrate: bool) -> None:
        """Take the sums since the last sweep as exact moments of the canvas (Objective.use_exact_moments)."""

    @abstractmethod
    def end_sweep(self, ema_decay: float, extrapolation: float) -> float:
        """End a sweep, see Objective.end_sweep; return the loss."""


class Objective(Stateful):
    """The loss of one level at one scale.

    The style and palette losses use statistics of the sweep before; the content loss and total variation those
    of the patch itself. Gradients are multiplied by the number of canvas pixels: so they are of order one at
    any resolution, and the optimizer's state means the same on every level.
    """

    def __init__(
        self,
        network: FeatureNetwork,
        style: StyleTerm,
        content: ContentTarget | None,
        weights: LossWeights,
        extent: CanvasExtent,
        scale: int = 1,
    ) -> None:
        """Combine losses.

        Args:
            network: The network that computes features.
            style: The style loss.
            content: Content targets; None without a content loss.
            weights: Weights of the losses and of their layers.
            extent: Size of the canvas.
            scale: Canvas pixels averaged into one patch pixel, per axis.
        """
        self._network = network
        self._style = style
        self._content = content
        self._weights = weights
        self._extent = extent
        self._scale = scale
        self.palette: PaletteLoss | None = None  # set from outside
        self.captures = False  # whether passes may be captured, which takes memory; set from outside
        self._layers = {**weights.style_layers, **(weights.content_layers if content else {})}
        self._content_weight = weights.content
        self._reset_losses()

    def set_content_weight(self, weight: float) -> None:
        """Set the content weight for the gradients to come."""
        self._content_weight = weight

    def parts(self) -> Mapping[str, Stateful]:
        """Return the style and palette losses."""
        return {"style": self._style} | ({"palette": self.palette} if self.palette else {})

    def own_state(self) -> dict[str, Tensor]:
        """Return the content and total variation losses summed so far."""
        return {"losses": self._losses}

    def load_own_state(self, state: Mapping[str, Tensor]) -> None:
        """Restore `own_state`."""
        self._losses = state["losses"].to(self._network.device)

    def all_reduce(self, comm: Communicator) -> None:
        """Add the sums of all processes; afterwards all have the same."""
        super().all_reduce(comm)
        comm.all_reduce(self._losses)

    def reset_sums(self) -> None:
        """Reset the sums of the current sweep."""
        super().reset_sums()
        self._reset_losses()

    def _reset_losses(self) -> None:
        self._losses = torch.zeros(2, device=self._network.device)  # content, tv

    @property
    def has_style(self) -> bool:
        """Whether there is a style loss."""
        return bool(self._weights.style_layers)

    @property
    def has_moments(self) -> bool:
        """Whether there are statistics of an earlier sweep, as gradients need them."""
        return self._style.has_moments and (self.palette is None or self.palette.has_histograms)

    def accumulate_moments(self, window: Tensor, patch: Patch) -> None:
        """Add the statistics of a patch to the sums, without computing a gradient.

        Args:
            window: Pixels of the patch, [3, h, w].
            patch: The patch.
        """
        with torch.no_grad():
            features = self._network.features(self._network_input(window), self._weights.style_layers)
            self._style.accumulate_moments(features, patch)
            if self.palette:
                self.palette.accumulate(self._float32_window(window), patch)

    def gradient(
        self,
        window: Tensor,
        patch: Patch,
        rng: SweepRng | None = None,
        *,
        single_patch: bool = False,
        owned_only: bool = False,
    ) -> Tensor:
        """Compute the gradient of the loss in the pixels of a patch, and add the patch to the sums.

        Args:
            window: Pixels of the patch, [3, h, w].
            patch: The patch.
            rng: Random numbers of the sweep, which decide what cells self-similarity compares; by default the
                same in every sweep.
            single_patch: Whether the patch covers the whole canvas. Then its own moments are used instead of
                those of the sweep before.
            owned_only: Whether only the loss of the cells counts that the patch owns. Then the gradients of all
                patches add up to that of the canvas.

        Returns:
            Gradient in patch pixels, [3, h, w], float32 on the network's device; each is the sum over the
            canvas pixels that the patch pixel averages.
        """
        pixels = self._network_input(window)
        forward = self._network.forward_pass(pixels, self._layers, captures=self.captures)
        with torch.no_grad():
            style_gradients = self._style.cotangents(forward.features, patch, single_patch=single_patch)
            content_features = self._content.features(patch) if self._content else {}
            sample = PatchSample(patch, rng or SweepRng(0, 0, 0), owned_only)
            gradients = {}
            for layer, features in forward.features.items():
                gradient = style_gradients.get(layer, FeatureGradient())
                if not forward.takes_affine or owned_only:
                    gradient = FeatureGradient(gradient.at(features))
                if layer in content_features:
                    gradient = self._with_content(layer, features, content_features[layer], gradient, sample)
                if owned_only and gradient.values is not None:
                    owned = patch.owned_cells(self._network.layers[layer].stride)
                    gradient = FeatureGradient(self._zeroed_outside(gradient.values, owned))
                gradients[layer] = gradient
        gradient_in_pixels = forward.gradient(gradients)[0].float()
        if self.palette:
            colors = self._float32_window(window)
            gradient_in_pixels += self.palette.gradient(colors, patch, single_patch=single_patch)
        if self._weights.tv:
            values = pixels[0].float()
            kind = self._weights.tv_form, self._weights.tv_exponent
            self._losses[1] += total_variation(values, *kind) * (patch.owned.area / self._extent.area)
            gradient_in_pixels += self._weights.tv * self._scale**2 * total_variation_gradient(values, *kind)
        return gradient_in_pixels

    def _with_content(
        self, layer: str, features: Tensor, target: Tensor, gradient: FeatureGradient, sample: PatchSample
    ) -> FeatureGradient:
        """Add the content loss of a layer to the sums; return the layer's gradient with its own.

        Args:
            layer: Name of the layer.
            features: Features of the patch, [1, C, h, w].
            target: Features of the content, [1, C, h, w].
            gradient: The layer's gradient, whose values are changed in place.
            sample: The patch.
        """
        values = torch.zeros_like(features) if gradient.values is None else gradient.values
        alike = self._weights.content_loss is ContentLoss.SELF_SIMILARITY
        add = self._add_self_similarity_loss if alike else self._add_feature_loss
        add(layer, features, target, values, sample)
        return FeatureGradient(values, gradient.affine)

    def _add_feature_loss(
        self, layer: str, features: Tensor, target: Tensor, gradient: Tensor, sample: PatchSample
    ) -> None:
        """Add the content loss of a layer to the sums, and its gradient to the layer's cotangent.

        The loss is the mean squared difference of features, relative to their variance in the content, weighted
        by the content map.

        Args:
            layer: Name of the layer.
            features: Features of the patch, [1, C, h, w].
            target: Features of the content, [1, C, h, w].
            gradient: The layer's cotangent, [1, C, h, w], changed in place.
            sample: The patch.
        """
        assert self._content is not None, "content features come from the content"
        density = (self._network.layers[layer].stride * self._scale) ** 2
        share = self._weights.content_layers[layer] / (features.shape[1] * self._content.energies[layer])
        factor = 2 * self._content_weight * share * density
        factors = self._content.cell_factors(layer, sample.patch)
        owned_cells = sample.patch.owned_cells(self._network.layers[layer].stride)
        if factors is None and has_kernels(features.device) and takes(features, gradient):
            total = add_difference(features, target, gradient, factor, owned_cells)
            self._losses[0] += total * (share * density / self._extent.area)
            return
        difference = features - target
        squares = crop_cells(difference, owned_cells).float().square()
        if factors is not None:
            squares *= crop_cells(factors[None, None], owned_cells)
            difference *= factors
        self._losses[0] += share * squares.sum() * density / self._extent.area
        gradient.add_(difference, alpha=factor)

    def _add_self_similarity_loss(
        self, layer: str, features: Tensor, target: Tensor, gradient: Tensor, sample: PatchSample
    ) -> None:
        """Add the content loss of a layer by self-similarity, over the cells that are compared.

        Args:
            layer: Name of the layer.
            features: Features of the patch, [1, C, h, w].
            target: Features of the content, [1, C, h, w].
            gradient: The layer's cotangent, [1, C, h, w], changed in place.
            sample: The patch, and which of its cells are compared.
        """
        assert self._content is not None, "content features come from the content"
        stride, share = self._network.layers[layer].stride, self._weights.content_layers[layer]
        cells = sample.patch.owned_cells(stride) if sample.owned_only else Box(0, 0, *features.shape[2:])
        if not cells.area:
            return
        rows, columns = (
            to_device(torch.from_numpy(x), features.device, torch.int64)
            for x in sample_cells(cells, sample.draw, sample.patch.read)
        )
        min_norm, energy = self._content.min_norm(layer), self._content.energies[layer]
        canvas, content = (values[0][:, rows, columns].float() for values in (features, target))  # [C, n]
        factors = self._content.cell_factors(layer, sample.patch)
        places = None if factors is None else factors[rows, columns]
        loss, slope = self_similarity_loss(canvas, content, min_norm, energy, places)
        self._losses[0] += share * loss * sample.patch.owned.area / self._extent.area
        # The loss is a mean over the cells that the patch sees; it counts for the canvas pixels under them.
        area = cells.area * (stride * self._scale) ** 2
        gradient[0][:, rows, columns] += (slope * (self._content_weight * share * area)).to(gradient.dtype)

    @staticmethod
    def _zeroed_outside(cotangent: Tensor, cells: Box) -> Tensor:
        """Return a cotangent [1, C, h, w] that is zero outside these cells."""
        masked = torch.zeros_like(cotangent)
        crop_cells(masked, cells).copy_(crop_cells(cotangent, cells))
        return masked

    def _network_input(self, window: Tensor) -> Tensor:
        """Return the window as the network takes it: [1, 3, h, w] in its precision, on its device."""
        return to_device(window[None], self._network.device, self._network.dtype)

    def _float32_window(self, window: Tensor) -> Tensor:
        """Return the window in float32 for the palette loss, whose bins are finer than bfloat16."""
        return to_device(window.detach(), self._network.device, torch.float32)

    def use_exact_moments(self, *, calibrate: bool) -> None:
        """Take the sums of `accumulate_moments` as the exact moments of the canvas, for the coming sweep.

        Args:
            calibrate: Whether to compare them, at the end of that sweep, with the moments of its patches, which
                are biased by padding. The difference then corrects the moments of later sweeps.
        """
        self._style.use_exact_moments(calibrate=calibrate)
        if self.palette:
            self.palette.use_exact_histograms()

    def end_sweep(self, ema_decay: float = 0.0, extrapolation: float = 0.0) -> LossTerms:
        """End a sweep: its moments make the style gradient of the next.

        Args:
            ema_decay: Share of the earlier moments in the new ones, for sweeps that do not see every pixel.
            extrapolation: l of docs/algorithm.md: gradients are extrapolated by l times their change since the
                sweep before.

        Returns:
            The loss terms of the sweep.
        """
        style = self._style.end_sweep(ema_decay, extrapolation)
        content, tv = self._losses.tolist()
        self._reset_losses()
        return LossTerms(style, content, tv, palette=self.palette.end_sweep(ema_decay) if self.palette else 0.0)


@dataclass(frozen=True)
class PatchSample:
    """A patch, and how its cells are sampled for the content loss."""

    patch: Patch
    draw: SweepRng  # random numbers of the sweep
    owned_only: bool  # whether only cells that the patch owns count
