"""The style loss of one region: moments of the sweep before, and the gradients that follow from them.

Per layer and sweep: sum moments over the patches; correct their bias by padding; compute the cotangent A, b of
the distance to the target; extrapolate it from the past (docs/algorithm.md).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from torch import Tensor

from tilestyle.devices.transfer import float64_device
from tilestyle.distributed import Communicator
from tilestyle.losses.stateful import Stateful
from tilestyle.losses.style_targets import Target, TargetDistances, check_finite
from tilestyle.networks.base import FeatureNetwork
from tilestyle.stats.affine_gradient import AffineGradient
from tilestyle.stats.bias_correction import MomentCorrection
from tilestyle.stats.distances import Cotangent
from tilestyle.stats.moments import Moments, MomentSum, all_reduce_moments, mix_moments


@dataclass(frozen=True)
class LayerFactors:
    """The layers of a style loss with their weights."""

    network: FeatureNetwork
    weights: Mapping[str, float]  # share of each layer in the loss
    factors: Mapping[str, float]  # of each layer's gradient: weight of the loss times canvas pixels per cell
    fixed_point: bool = False  # whether to sum in fixed point, so that the order does not matter
    energy_floors: Mapping[str, float] = field(
        default_factory=dict
    )  # least energy of each layer (networks.energy)
    captures: bool = False  # whether memory of a device is spent on speed

    def applied_gradient(self, layer: str, matrix: Tensor, offset: Tensor) -> AffineGradient:
        """Return the gradient 2 A F + b of a layer as it is applied: scaled, on the network's device."""
        scaled = Cotangent(0.0, matrix, offset).scaled(self.factors[layer])
        return scaled.to(self.network.device, self.network.dtype).affine(self.network.dtype)


class LaggedMomentLoss(Stateful):
    """The distance of one region's moments, one sweep old, to a target for each layer."""

    def __init__(self, targets: Mapping[str, Target], layers: LayerFactors) -> None:
        self._targets = targets
        self._distances = TargetDistances(targets, layers.applied_gradient, branches=layers.captures)
        self._layers = layers
        self._cotangents: dict[str, Cotangent] = {}  # of the distance at `_moments`
        self._extrapolations: dict[str, Cotangent] = {}  # extrapolation: l (A_t - A_(t-1)), the same for b
        self._applied: dict[str, AffineGradient] = {}  # of the sum of both, as applied to features
        self._moments: dict[str, Moments] = {}  # of the sweep before, corrected
        self._exact_moments: dict[str, Moments] = {}  # measured before this sweep, to calibrate the correction
        self._corrections: dict[str, MomentCorrection] = {}  # from the biased moments of patches to exact ones
        self._new_sums()

    def _new_sums(self) -> None:
        self._sums = {layer: MomentSum(fixed_point=self._layers.fixed_point) for layer in self._targets}

    @property
    def current_moments(self) -> dict[str, Moments]:
        """Moments of what was added since the sweep began, for the layers that have any."""
        return {layer: total.moments() for layer, total in self._sums.items() if total.count > 0}

    @property
    def has_moments(self) -> bool:
        """Whether there are moments of an earlier sweep, as gradients need them."""
        return bool(self._moments)

    @property
    def moments(self) -> Mapping[str, Moments]:
        """The moments at which the gradients are taken."""
        return self._moments

    def own_state(self) -> dict[str, Tensor]:
        """Return the statistics as tensors by name."""
        parts: dict[str, Mapping[str, Moments | Cotangent | MomentCorrection | MomentSum]] = {
            "moments": self._moments,
            "leads": self._extrapolations,
            "exact": self._exact_moments,
            "corrections": self._corrections,
            "sums": self._sums,
        }
        return {
            f"{part} {layer} {name}": tensor
            for part, layers in parts.items()
            for layer, statistic in layers.items()
            for name, tensor in statistic.state_dict().items()
        }

    def load_own_state(self, state: Mapping[str, Tensor]) -> None:
        """Restore `own_state`."""
        parts: dict[str, dict[str, dict[str, Tensor]]] = {}
        device = self._layers.network.device
        matrices = float64_device(device)
        for key, tensor in state.items():
            part, layer, name = key.split(" ")
            home = matrices if part in ("leads", "corrections") else device
            if name != "count":  # float64, which not every device has
                tensor = tensor.to(home)
            parts.setdefault(part, {}).setdefault(layer, {})[name] = tensor
        self.set_moments(
            {layer: Moments.from_state_dict(tensors) for layer, tensors in parts.get("moments", {}).items()}
        )
        self._extrapolate(
            {layer: Cotangent.from_state_dict(tensors) for layer, tensors in parts.get("leads", {}).items()}
        )
        self._exact_moments = {
            layer: Moments.from_state_dict(tensors) for layer, tensors in parts.get("exact", {}).items()
        }
        self._corrections = {
            layer: MomentCorrection.from_state_dict(tensors)
            for layer, tensors in parts.get("corrections", {}).items()
        }
        self._sums |= {
            layer: MomentSum.from_state_dict(tensors) for layer, tensors in parts.get("sums", {}).items()
        }

    def add(self, layer: str, features: Tensor, weights: Tensor | None = None) -> None:
        """Add cells to the sums.

        Args:
            layer: Name of the layer.
            features: Features of the cells, [1, C, h, w].
            weights: Weight of each cell, [h, w]; 1 by default.
        """
        self._sums[layer].add(features, weights)

    def cell_gradient(self, layer: str) -> AffineGradient | None:
        """Return a layer's gradient, times the number of canvas pixels, at every cell; None without moments."""
        return self._applied.get(layer)

    def all_reduce(self, comm: Communicator) -> None:
        """Add the sums of all processes."""
        network = self._layers.network
        channels = {layer: network.layers[layer].channels for layer in self._sums}
        all_reduce_moments(self._sums, channels, network.device, comm)

    def reset_sums(self) -> None:
        """Reset the sums of the current sweep."""
        self._new_sums()

    def use_exact_moments(self, *, calibrate: bool) -> None:
        """Take the sums since the last sweep as exact moments, for the gradients of the coming sweep.

        Args:
            calibrate: Whether to derive a correction at the end of that sweep, from the moments of its patches,
                which are biased by padding, to these; it applies to the sweeps after it.
        """
        exact = self.current_moments
        self.set_moments(exact)
        self._exact_moments = exact if calibrate else {}
        self._new_sums()

    def end_sweep(self, ema_decay: float, extrapolation: float, *, moments_set: bool) -> float | None:
        """End a sweep: its moments make the gradients of the next.

        Args:
            ema_decay: Share of the earlier moments in the new ones.
            extrapolation: l of docs/algorithm.md. It is left out after a sweep that began with exact moments,
                because both then describe the same canvas.
            moments_set: Whether `set_moments` was called with the moments of this sweep already.

        Returns:
            The distance, if it was computed here.
        """
        value = None
        if not moments_set:
            # Copied, as a device writes the next ones to the same place.
            extrapolates = extrapolation and not self._exact_moments
            previous = {k: past.copied() for k, past in self._cotangents.items()} if extrapolates else {}
            value = self.set_moments(self._updated_moments(ema_decay))
            if extrapolation:
                self._extrapolate(
                    {k: self._cotangents[k].minus(past).scaled(extrapolation) for k, past in previous.items()}
                )
        self._new_sums()
        return value

    def _extrapolate(self, extrapolations: Mapping[str, Cotangent]) -> None:
        """Add extrapolations to the cotangents."""
        self._extrapolations = dict(extrapolations)
        for layer, extrapolation in extrapolations.items():
            self._applied[layer] = self._applied_at(layer, self._cotangents[layer].plus(extrapolation))

    def _updated_moments(self, ema_decay: float) -> dict[str, Moments]:
        """Return the moments of the sweep that ends: mixed with earlier ones, or corrected for padding."""
        current = self.current_moments
        if self._exact_moments and not ema_decay:
            check_finite(current)
            self._corrections = {
                layer: MomentCorrection.between(current[layer], exact)
                for layer, exact in self._exact_moments.items()
                if layer in current
            }
        self._exact_moments = {}
        for layer, moments in current.items():
            if ema_decay and layer in self._moments:
                current[layer] = mix_moments([self._moments[layer], moments], [ema_decay, 1 - ema_decay])
            elif layer in self._corrections:
                current[layer] = self._corrections[layer](moments)
        return {**self._moments, **current}

    def set_moments(self, moments: Mapping[str, Moments]) -> float:
        """Take these moments and compute the cotangents at them; return the distance over all layers."""
        self._moments, self._extrapolations = dict(moments), {}
        gradients = self._distances.gradients(moments)
        self._cotangents = {layer: gradient.cotangent for layer, gradient in gradients.items()}
        self._applied |= {
            layer: gradient.applied or self._applied_at(layer, gradient.cotangent)
            for layer, gradient in gradients.items()
        }
        return sum(
            self._layers.weights[layer] * cotangent.value for layer, cotangent in self._cotangents.items()
        )

    def _applied_at(self, layer: str, cotangent: Cotangent) -> AffineGradient:
        """Return a layer's gradient as it is applied to features."""
        return self._layers.applied_gradient(layer, cotangent.matrix, cotangent.offset)
