"""The global style loss: moments of the whole canvas, or of each of its regions, against the style's.

Regions have guided moments (the guided Gram matrices of Gatys et al. 2017, arXiv 1611.07865, applied to
moments): cells are weighted by how much of them belongs to the region. The loss is the sum of the regions'
distances times their shares of the canvas. So the gradient at a cell is the sum over the regions of
weight x (2 A F + b), and means the same as on a canvas without regions.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor

from tilestyle.canvas.regions import CellWeights, RegionWeights
from tilestyle.geometry.boxes import Patch
from tilestyle.losses.objective import StyleTerm
from tilestyle.losses.running_moments import LaggedMomentLoss, LayerFactors
from tilestyle.losses.style_targets import Target
from tilestyle.networks.base import crop_cells
from tilestyle.networks.forward_pass import FeatureGradient


class GlobalStyleLoss(StyleTerm):
    """The style loss of the whole canvas, or the sum over its regions, with moments one sweep old."""

    def __init__(
        self,
        targets: Sequence[Mapping[str, Target]],
        layers: LayerFactors,
        regions: RegionWeights | None = None,
    ) -> None:
        """Set the targets.

        Args:
            targets: Targets by layer, for each region; without regions, one for the whole canvas.
            layers: The style layers.
            regions: Weights of the regions.
        """
        self._layers = layers
        self._regions = regions
        self._area_shares = regions.area_shares if regions else [1.0]
        self._losses = [LaggedMomentLoss(of_region, layers) for of_region in targets]
        self._known_value: float | None = None  # of the sweep, if it is known before its end

    def parts(self) -> Mapping[str, LaggedMomentLoss]:
        """Return the losses of the regions, by number."""
        return {str(region): loss for region, loss in enumerate(self._losses)}

    def own_state(self) -> dict[str, Tensor]:
        """Return the loss of the sweep, if it is known."""
        return (
            {} if self._known_value is None else {"value": torch.tensor(self._known_value, dtype=torch.float64)}
        )

    def load_own_state(self, state: Mapping[str, Tensor]) -> None:
        """Restore `own_state`."""
        self._known_value = float(state["value"]) if "value" in state else None

    @property
    def has_moments(self) -> bool:
        """Whether there are moments of an earlier sweep."""
        return any(loss.has_moments for loss in self._losses)

    def accumulate_moments(self, features: Mapping[str, Tensor], patch: Patch) -> None:
        """Add the moments of a patch to the sums."""
        self._accumulate(features, patch, self._cell_weights(patch))

    def cotangents(
        self, features: Mapping[str, Tensor], patch: Patch, *, single_patch: bool
    ) -> dict[str, FeatureGradient]:
        """Add a patch to the sums; return its gradients at every cell of each layer (StyleTerm.cotangents)."""
        under = self._cell_weights(patch)
        self._accumulate(features, patch, under)
        if single_patch:
            self._known_value = self._total([loss.set_moments(loss.current_moments) for loss in self._losses])
        return {layer: self._gradient(layer, features[layer], under) for layer in self._layers.weights}

    def use_exact_moments(self, *, calibrate: bool) -> None:
        """Take the sums since the last sweep as exact moments (LaggedMomentLoss.use_exact_moments)."""
        for loss in self._losses:
            loss.use_exact_moments(calibrate=calibrate)

    def reset_sums(self) -> None:
        """Reset the sums of the current sweep."""
        self._known_value = None
        super().reset_sums()

    def end_sweep(self, ema_decay: float, extrapolation: float) -> float:
        """End a sweep (LaggedMomentLoss.end_sweep); return the loss."""
        known_value = self._known_value
        values = [
            loss.end_sweep(ema_decay, extrapolation, moments_set=known_value is not None)
            for loss in self._losses
        ]
        self._known_value = None
        return self._total([value or 0.0 for value in values]) if known_value is None else known_value

    def _cell_weights(self, patch: Patch) -> CellWeights | None:
        """Return the weights of the regions under a patch; None without regions."""
        return self._regions.cell_weights(patch, self._layers.network.device) if self._regions else None

    def _total(self, values: Sequence[float]) -> float:
        """Sum the losses of the regions, weighted by their shares of the canvas."""
        return sum(share * value for share, value in zip(self._area_shares, values, strict=True))

    def _accumulate(
        self, features: Mapping[str, Tensor], patch: Patch, cell_weights: CellWeights | None
    ) -> None:
        """Add the cells that a patch owns to the sums of the regions."""
        for layer in self._layers.weights:
            stride = self._layers.network.layers[layer].stride
            cells = patch.owned_cells(stride)
            owned = crop_cells(features[layer].detach(), cells)  # [1, C, h, w]
            if cell_weights is None:
                self._losses[0].add(layer, owned)
                continue
            for region in cell_weights.present:
                weights = cell_weights.of_region(region, stride)
                part = None if weights is None else crop_cells(weights[None, None], cells)[0, 0]
                self._losses[region].add(layer, owned, part)

    def _gradient(self, layer: str, features: Tensor, cell_weights: CellWeights | None) -> FeatureGradient:
        """Return the sum over the regions of weight x (2 A F + b) at the cells of features [1, C, h, w]."""
        if cell_weights is None:
            return FeatureGradient(affine=self._losses[0].cell_gradient(layer))
        total: Tensor | None = None
        for region in cell_weights.present:
            affine = self._losses[region].cell_gradient(layer)
            if affine is None:
                continue
            gradient = affine.at(features)
            weights = cell_weights.of_region(region, self._layers.network.layers[layer].stride)
            if weights is not None:
                gradient = gradient.mul_(weights.to(gradient))
            total = gradient if total is None else total.add_(gradient)
        return FeatureGradient(total)
