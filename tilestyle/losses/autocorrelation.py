"""The arrangement loss: autocorrelations of features, which say how a pattern repeats, as moments do not."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

import torch
from torch import Tensor

from tilestyle.canvas.regions import CellWeights, RegionWeights
from tilestyle.distributed import Communicator
from tilestyle.geometry.boxes import Patch
from tilestyle.losses.objective import StyleTerm
from tilestyle.losses.running_moments import LayerFactors
from tilestyle.losses.style_global import GlobalStyleLoss
from tilestyle.networks.base import crop_cells
from tilestyle.networks.forward_pass import FeatureGradient
from tilestyle.stats.autocorrelation import (
    Autocorrelation,
    AutocorrelationCotangent,
    AutocorrelationSum,
    AutocorrelationTarget,
    autocorrelation_gradient,
    mix_autocorrelations,
)


class AutocorrelationLoss(StyleTerm):
    """The distance of the canvas's autocorrelations, or of those of each region, to the style's.

    Gradients use the autocorrelations of the sweep before. The weight of a pair of cells in a region is the
    product of their weights. As with moments (style_global.py), the loss is the sum of the regions' distances
    times their shares of the canvas. The bias by padding is not corrected: it changes moments far more than
    products of distant cells.
    """

    def __init__(
        self,
        targets: Sequence[Mapping[str, AutocorrelationTarget]],
        layers: LayerFactors,
        regions: RegionWeights | None = None,
    ) -> None:
        """Set the targets.

        Args:
            targets: Targets by layer, for each region; without regions, one for the whole canvas.
            layers: The layers.
            regions: Weights of the regions.
        """
        self._targets, self._layers, self._regions = targets, layers, regions
        self._area_shares = regions.area_shares if regions else [1.0]
        self._autocorrelations: list[dict[str, Autocorrelation]] = [{} for _ in targets]
        # The gradients in the features at these autocorrelations, and those extrapolated to the next sweep.
        self._cotangents: list[dict[str, AutocorrelationCotangent]] = [{} for _ in targets]
        self._applied_cotangents: list[dict[str, AutocorrelationCotangent]] = [{} for _ in targets]
        self._is_exact = False  # whether `_autocorrelations` are an exact measurement
        self._known_loss: float | None = None  # the loss of the sweep, if it is known before the end
        self._new_sums()

    def _new_sums(self) -> None:
        fixed_point = self._layers.fixed_point
        self._sums = [
            {
                layer: AutocorrelationSum(target.center, fixed_point=fixed_point)
                for layer, target in targets.items()
            }
            for targets in self._targets
        ]

    def own_state(self) -> dict[str, Tensor]:
        """Return the autocorrelations, their gradients and the sums of the current sweep."""
        parts: Mapping[
            str, Sequence[Mapping[str, Autocorrelation | AutocorrelationCotangent | AutocorrelationSum]]
        ] = {
            "seen": self._autocorrelations,
            "slopes": self._cotangents,
            "led": self._applied_cotangents,
            "sums": self._sums,
        }
        state = {
            f"{part} {region} {layer} {name}": tensor
            for part, regions in parts.items()
            for region, layers in enumerate(regions)
            for layer, statistic in layers.items()
            for name, tensor in statistic.state_dict().items()
        }
        state["exact"] = torch.tensor(self._is_exact)
        if self._known_loss is not None:
            state["value"] = torch.tensor(self._known_loss, dtype=torch.float64)
        return state

    def load_own_state(self, state: Mapping[str, Tensor]) -> None:
        """Restore `own_state`."""
        device = self._layers.network.device
        self._is_exact = bool(state["exact"])
        self._known_loss = float(state["value"]) if "value" in state else None
        for region, targets in enumerate(self._targets):
            for layer in targets:
                parts: dict[str, dict[str, Tensor]] = {}
                for part in ("seen", "slopes", "led", "sums"):
                    prefix = f"{part} {region} {layer} "
                    parts[part] = {k.removeprefix(prefix): x for k, x in state.items() if k.startswith(prefix)}
                if parts["seen"]:
                    self._autocorrelations[region][layer] = Autocorrelation.from_state_dict(
                        parts["seen"], device
                    )
                for part, cotangents in (("slopes", self._cotangents), ("led", self._applied_cotangents)):
                    if parts[part]:
                        cotangents[region][layer] = AutocorrelationCotangent.from_state_dict(
                            parts[part], device
                        )
                if parts["sums"]:
                    self._sums[region][layer].load_state_dict(parts["sums"])

    @property
    def has_moments(self) -> bool:
        """Whether there are autocorrelations of an earlier sweep."""
        return any(self._autocorrelations)

    def accumulate_moments(self, features: Mapping[str, Tensor], patch: Patch) -> None:
        """Add the pairs of cells of a patch to the sums."""
        cell_weights = self._cell_weights(patch)
        for layer, cells in self._owned_cells(features, patch):
            if cells.numel():
                for region, weights in self._region_weights(layer, patch, cell_weights):
                    self._sums[region][layer].add(cells, weights)

    def cotangents(
        self, features: Mapping[str, Tensor], patch: Patch, *, single_patch: bool
    ) -> dict[str, FeatureGradient]:
        """Add a patch to the sums; return its gradients at every cell of each layer (StyleTerm.cotangents).

        They are zero at cells that the patch does not own, whose pairs count with their owner.
        """
        self.accumulate_moments(features, patch)
        if single_patch:
            self._known_loss = self._set_autocorrelations()
        cell_weights = self._cell_weights(patch)
        gradients = {}
        for layer, cells in self._owned_cells(features, patch):
            gradient = torch.zeros_like(features[layer])
            owned = patch.owned_cells(self._layers.network.layers[layer].stride)
            for region, weights in self._region_weights(layer, patch, cell_weights) if cells.numel() else []:
                if layer not in self._applied_cotangents[region]:
                    continue
                centered = self._sums[region][layer].centered(cells, weights)
                part = autocorrelation_gradient(
                    centered, self._applied_cotangents[region][layer].coefficients * self._layers.factors[layer]
                )  # [C, h, w]
                part = part if weights is None else part * weights.to(part)
                crop_cells(gradient, owned).add_(part.to(gradient.dtype)[None])
            gradients[layer] = FeatureGradient(gradient)
        return gradients

    def use_exact_moments(self, *, calibrate: bool) -> None:
        """Take the sums since the last sweep as the autocorrelations of the canvas."""
        self._set_autocorrelations()
        self._is_exact = True
        self._new_sums()

    def all_reduce(self, comm: Communicator) -> None:
        """Add the sums of all processes."""
        if comm.world_size == 1:
            return
        for sums in self._sums:
            for total in sums.values():
                total.allocate()
                for part in total.state_dict().values():
                    comm.all_reduce(part)

    def reset_sums(self) -> None:
        """Reset the sums of the current sweep."""
        self._known_loss = None
        self._new_sums()

    def end_sweep(self, ema_decay: float, extrapolation: float) -> float:
        """End a sweep: its autocorrelations make the gradients of the next.

        Args:
            ema_decay: Share of the earlier autocorrelations in the new ones.
            extrapolation: l of docs/algorithm.md; left out after a sweep that began with exact ones.

        Returns:
            The loss.
        """
        loss = self._known_loss
        if loss is None:
            previous = self._cotangents
            loss = self._set_autocorrelations(ema_decay)
            if extrapolation and not self._is_exact:
                self._extrapolate(previous, extrapolation)
        self._known_loss, self._is_exact = None, False
        self._new_sums()
        return loss

    def _extrapolate(
        self, previous: Sequence[Mapping[str, AutocorrelationCotangent]], extrapolation: float
    ) -> None:
        """Extrapolate the gradients from those of the sweep before, for each region by layer."""
        for region, cotangents in enumerate(previous):
            for layer, earlier in cotangents.items():
                self._applied_cotangents[region][layer] = self._cotangents[region][layer].extrapolated(
                    earlier, extrapolation
                )

    def _set_autocorrelations(self, ema_decay: float = 0.0) -> float:
        """Take the sums' autocorrelations, mixed with earlier ones, and compute their gradients.

        Args:
            ema_decay: Share of the earlier autocorrelations.

        Returns:
            The loss.
        """
        loss = 0.0
        cotangents: list[dict[str, AutocorrelationCotangent]] = []
        for region, targets in enumerate(self._targets):
            cotangents.append({})
            for layer, target in targets.items():
                current, previous = self._sums[region][layer].mean(), self._autocorrelations[region].get(layer)
                if current is not None and previous is not None and ema_decay:
                    current = mix_autocorrelations([previous, current], [ema_decay, 1 - ema_decay])
                current = previous if current is None else current
                if current is not None:
                    self._autocorrelations[region][layer] = current
                    cotangents[region][layer] = cotangent = target.cotangent(current)
                    loss += self._area_shares[region] * self._layers.weights[layer] * cotangent.value
        self._cotangents, self._applied_cotangents = cotangents, [dict(by_layer) for by_layer in cotangents]
        return loss

    def _cell_weights(self, patch: Patch) -> CellWeights | None:
        """Return the weights of the regions under a patch; None without regions."""
        return self._regions.cell_weights(patch, self._layers.network.device) if self._regions else None

    def _owned_cells(self, features: Mapping[str, Tensor], patch: Patch) -> Iterator[tuple[str, Tensor]]:
        """Iterate over the layers with the features that a patch owns, [1, C, h, w]."""
        for layer in self._layers.weights:
            cells = patch.owned_cells(self._layers.network.layers[layer].stride)
            yield layer, crop_cells(features[layer].detach(), cells)

    def _region_weights(
        self, layer: str, patch: Patch, cell_weights: CellWeights | None
    ) -> Iterator[tuple[int, Tensor | None]]:
        """Iterate over the regions under a patch that have a target for a layer.

        Args:
            layer: Name of the layer.
            patch: The patch.
            cell_weights: Weights of the regions under it; None without regions.

        Yields:
            The region, and its weights for the cells that the patch owns, [h, w]; None if all are 1.
        """
        stride = self._layers.network.layers[layer].stride
        for region in [0] if cell_weights is None else cell_weights.present:
            if layer not in self._targets[region]:
                continue
            weights = cell_weights.of_region(region, stride) if cell_weights else None
            yield (
                region,
                None if weights is None else crop_cells(weights[None, None], patch.owned_cells(stride))[0, 0],
            )


class StyleLossSum(StyleTerm):
    """The sum of a style loss of moments and one of autocorrelations."""

    def __init__(self, moments: GlobalStyleLoss, arrangement: AutocorrelationLoss) -> None:
        self._terms: Mapping[str, GlobalStyleLoss | AutocorrelationLoss] = {
            "moments": moments,
            "arrangement": arrangement,
        }

    def parts(self) -> Mapping[str, StyleTerm]:
        """Return both losses."""
        return self._terms

    @property
    def has_moments(self) -> bool:
        """Whether both have statistics of an earlier sweep."""
        return all(term.has_moments for term in self._terms.values())

    def accumulate_moments(self, features: Mapping[str, Tensor], patch: Patch) -> None:
        """Add the statistics of a patch to the sums."""
        for term in self._terms.values():
            term.accumulate_moments(features, patch)

    def cotangents(
        self, features: Mapping[str, Tensor], patch: Patch, *, single_patch: bool
    ) -> dict[str, FeatureGradient]:
        """Add a patch to the sums; return its gradients at every cell of each layer (StyleTerm.cotangents)."""
        moments, arrangement = self._terms.values()
        gradients = moments.cotangents(features, patch, single_patch=single_patch)
        for layer, gradient in arrangement.cotangents(features, patch, single_patch=single_patch).items():
            gradients[layer] = FeatureGradient(
                gradients[layer].at(features[layer]) + gradient.at(features[layer])
            )
        return gradients

    def use_exact_moments(self, *, calibrate: bool) -> None:
        """Take the sums since the last sweep as exact statistics of the canvas."""
        for term in self._terms.values():
            term.use_exact_moments(calibrate=calibrate)

    def end_sweep(self, ema_decay: float, extrapolation: float) -> float:
        """End a sweep (Objective.end_sweep); return the loss."""
        return sum(term.end_sweep(ema_decay, extrapolation) for term in self._terms.values())
