"""The local style loss (`--locality` t): each patch is matched to the style at its own place.

Mean and second raw moment of a patch are mixed with the canvas's, S = (1 - t) S_canvas + t S_patch, and so are
the targets. The loss is the mean of the patches' distances over the canvas. Let A_p, b_p be the gradient of
patch p's distance at its mixture. A cell of patch q changes the moments of q, and those of the canvas in every
mixture:

    N dL/dF = t (2 A_q F + b_q) + (1 - t) (2 A F + b),    A, b: means of A_p, b_p over the canvas

The means are of the sweep before, as are the moments of the canvas. With t = 1 nothing global is left.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import torch
from torch import Tensor

from tilestyle.config.render import RenderConfig
from tilestyle.devices.transfer import float64_device
from tilestyle.distributed import Communicator
from tilestyle.geometry.boxes import Patch
from tilestyle.losses.objective import StyleTerm
from tilestyle.losses.patch_distances import PatchDistances
from tilestyle.losses.running_moments import LaggedMomentLoss, LayerFactors
from tilestyle.losses.stateful import prefixed, unprefixed
from tilestyle.networks.base import crop_cells
from tilestyle.networks.forward_pass import FeatureGradient
from tilestyle.planning.style_windows import StyleWindows
from tilestyle.stats.distances import Cotangent
from tilestyle.stats.moments import Moments


class LocalStyleLoss(StyleTerm):
    """The style loss of single patches, mixed with that of the whole canvas."""

    def __init__(
        self,
        style_moments: Mapping[str, Moments],
        windows: StyleWindows,
        layers: LayerFactors,
        config: RenderConfig,
    ) -> None:
        """Set the targets.

        Args:
            style_moments: Moments of the whole style, by layer.
            windows: Gives the moments of the style at the place of a patch.
            layers: The style layers.
            config: Settings; `locality` is t above.
        """
        self._windows, self._layers, self._locality = windows, layers, config.locality
        self._patch_distances = PatchDistances(style_moments, layers, config)
        self._canvas_loss = LaggedMomentLoss(self._patch_distances.canvas_targets, layers)
        self._mean_cotangents: dict[str, Cotangent] = {}  # of the last sweep
        self._reset_cotangents()

    def _reset_cotangents(self) -> None:
        # Cotangents of this sweep's patches, each times its share of the canvas; and the sum of these shares.
        self._cotangent_sums: dict[str, Cotangent] = {}
        self._accumulated_area = 0.0

    def parts(self) -> Mapping[str, LaggedMomentLoss]:
        """Return the loss of the whole canvas."""
        return {"whole": self._canvas_loss}

    def own_state(self) -> dict[str, Tensor]:
        """Return the cotangents summed over patches, and their mean over the last sweep."""
        state = {"seen": torch.tensor(self._accumulated_area, dtype=torch.float64)}
        for prefix, cotangents in (("means", self._mean_cotangents), ("sums", self._cotangent_sums)):
            for layer, cotangent in cotangents.items():
                state |= prefixed(f"{prefix} {layer}", cotangent.state_dict())
        return state

    def load_own_state(self, state: Mapping[str, Tensor]) -> None:
        """Restore `own_state`."""
        self._accumulated_area = float(state["seen"])
        device = float64_device(self._layers.network.device)
        for prefix, cotangents in (("means", self._mean_cotangents), ("sums", self._cotangent_sums)):
            for layer in self._layers.weights:
                stored = unprefixed(f"{prefix} {layer}", state)
                if stored:
                    on_device = {name: tensor.to(device) for name, tensor in stored.items()}
                    cotangents[layer] = Cotangent.from_state_dict(on_device)

    @property
    def has_moments(self) -> bool:
        """Whether there are moments of an earlier sweep, or none are needed."""
        return self._locality == 1 or self._canvas_loss.has_moments

    def accumulate_moments(self, features: Mapping[str, Tensor], patch: Patch) -> None:
        """Add the moments of a patch to the sums."""
        for layer, cells in self._owned_cells(features, patch):
            self._canvas_loss.add(layer, cells)

    def cotangents(
        self, features: Mapping[str, Tensor], patch: Patch, *, single_patch: bool
    ) -> dict[str, FeatureGradient]:
        """Add a patch to the sums; return its gradients at every cell of each layer (StyleTerm.cotangents).

        The host waits for the device, because the gradients depend on the patch's own moments.
        """
        targets = self._windows.moments(patch)
        area = patch.owned.area / self._windows.extent.area
        owned = dict(self._owned_cells(features, patch))
        canvas_moments = {} if single_patch else self._canvas_loss.moments
        cotangents = self._patch_distances.cotangents(owned, targets, canvas_moments)
        gradients = {}
        for layer, cells in owned.items():
            if self._locality < 1:
                self._canvas_loss.add(layer, cells)
            part = cotangents[layer].scaled(area)
            self._cotangent_sums[layer] = (
                self._cotangent_sums[layer].plus(part) if layer in self._cotangent_sums else part
            )
            mixed = cotangents[layer]
            if self._locality < 1 and not single_patch:
                mean = self._mean_cotangents.get(layer, mixed)
                mixed = mixed.scaled(self._locality).plus(mean.scaled(1 - self._locality))
            gradients[layer] = FeatureGradient(
                affine=self._layers.applied_gradient(layer, mixed.matrix, mixed.offset)
            )
        self._accumulated_area += area
        return gradients

    def _owned_cells(self, features: Mapping[str, Tensor], patch: Patch) -> Iterator[tuple[str, Tensor]]:
        """Iterate over the layers with the features that a patch owns, [1, C, h, w]."""
        for layer in self._layers.weights:
            cells = patch.owned_cells(self._layers.network.layers[layer].stride)
            yield layer, crop_cells(features[layer].detach(), cells)

    def use_exact_moments(self, *, calibrate: bool) -> None:
        """Take the sums since the last sweep as exact moments (LaggedMomentLoss.use_exact_moments)."""
        self._canvas_loss.use_exact_moments(calibrate=calibrate)

    def all_reduce(self, comm: Communicator) -> None:
        """Add the sums of all processes."""
        if comm.world_size == 1:
            return
        super().all_reduce(comm)
        for layer in self._layers.weights:
            count = self._layers.network.layers[layer].channels
            device = float64_device(self._layers.network.device)
            flat = torch.zeros(1 + count + count * count, dtype=torch.float64, device=device)
            if layer in self._cotangent_sums:
                total = self._cotangent_sums[layer]
                # [1], [C], [C C] -> [1 + C + C C]
                flat = torch.cat([flat.new_tensor([total.value]), total.offset, total.matrix.flatten()])
            comm.all_reduce(flat)
            self._cotangent_sums[layer] = Cotangent(
                float(flat[0]), flat[1 + count :].reshape(count, count), flat[1 : 1 + count]
            )
        area = torch.tensor([self._accumulated_area], dtype=torch.float64)
        comm.all_reduce(area)
        self._accumulated_area = float(area)

    def reset_sums(self) -> None:
        """Reset the sums of the current sweep."""
        super().reset_sums()
        self._reset_cotangents()

    def end_sweep(self, ema_decay: float, extrapolation: float) -> float:
        """End a sweep (Objective.end_sweep); return the loss.

        Gradients are not extrapolated: most of a patch's gradient comes from its own moments, which are new.
        """
        self._mean_cotangents = {
            layer: total.scaled(1 / self._accumulated_area) for layer, total in self._cotangent_sums.items()
        }
        self._canvas_loss.end_sweep(ema_decay, 0.0, moments_set=False)
        self._reset_cotangents()
        return sum(self._layers.weights[layer] * mean.value for layer, mean in self._mean_cotangents.items())
