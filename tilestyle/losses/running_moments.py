"""What the moments of a part of the canvas are drawn to: those seen, and the cotangents that they make."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import torch
from torch import Tensor

from tilestyle.devices.transfer import matrix_device
from tilestyle.distributed import Ranks
from tilestyle.errors import DivergedError
from tilestyle.losses.stateful import Stateful
from tilestyle.losses.style_targets import Target, cotangents
from tilestyle.networks.base import FeatureNetwork
from tilestyle.stats.bias_correction import Correction
from tilestyle.stats.distances import Cotangent
from tilestyle.stats.moments import Moments, MomentSum, combined, pooled


@dataclass(frozen=True)
class Pulled:
    """Layers that are drawn, and how strongly."""

    network: FeatureNetwork
    weights: Mapping[str, float]  # of the layers: shares of the style term
    factors: Mapping[str, float]  # of their cotangents: weight of the term, canvas pixels a cell
    fixed: bool = False  # whether sums are in fixed point
    faint: Mapping[str, float] = field(default_factory=dict)  # least energy of each layer (networks.energy)

    def sent(self, layer: str, cotangent: Cotangent) -> Cotangent:
        """A layer's cotangent as it is applied to features."""
        return cotangent.scaled(self.factors[layer]).to(self.network.device, self.network.dtype)


class Pull(Stateful):
    """Moments of one part of the canvas, one sweep old, against a target for each layer."""

    def __init__(self, targets: Mapping[str, Target], layers: Pulled) -> None:
        self._targets = targets
        self._layers = layers
        self._cotangents: dict[str, Cotangent] = {}  # of the moments
        self._leads: dict[str, Cotangent] = {}  # what is added to them
        self._sent: dict[str, Cotangent] = {}  # both, as features meet them
        self._moments: dict[str, Moments] = {}
        self._exact: dict[str, Moments] = {}
        self._corrections: dict[str, Correction] = {}
        self._begin()

    def _begin(self) -> None:
        self._sums = {layer: MomentSum(fixed=self._layers.fixed) for layer in self._targets}

    @property
    def counted(self) -> dict[str, Moments]:
        """Moments of what has been added since the sweep began; none where nothing was.

        Raises DivergedError where they are not finite.
        """
        found = {layer: total.moments() for layer, total in self._sums.items() if total.count > 0}
        for layer, moments in found.items():
            check_finite(layer, moments)
        return found

    @property
    def ready(self) -> bool:
        """Whether there are moments of an earlier sweep to work with."""
        return bool(self._moments)

    @property
    def moments(self) -> Mapping[str, Moments]:
        """Those of the canvas that cotangents are of."""
        return self._moments

    def own_state(self) -> dict[str, Tensor]:
        """Return the statistics as tensors by name."""
        parts: dict[str, Mapping[str, Moments | Cotangent | Correction | MomentSum]] = {
            "moments": self._moments,
            "leads": self._leads,
            "exact": self._exact,
            "corrections": self._corrections,
            "sums": self._sums,
        }
        return {
            f"{part} {layer} {name}": tensor
            for part, layers in parts.items()
            for layer, seen in layers.items()
            for name, tensor in seen.state.items()
        }

    def load_own_state(self, state: Mapping[str, Tensor]) -> None:
        """Restore `own_state`."""
        parts: dict[str, dict[str, dict[str, Tensor]]] = {}
        device = self._layers.network.device
        matrices = matrix_device(device)
        for key, tensor in state.items():
            part, layer, name = key.split(" ")
            home = matrices if part in ("leads", "corrections") else device
            if name != "count":  # in float64, which not every device has
                tensor = tensor.to(home)
            parts.setdefault(part, {}).setdefault(layer, {})[name] = tensor
        self.aim({layer: Moments.of_state(seen) for layer, seen in parts.get("moments", {}).items()})
        self._lead({layer: Cotangent.of_state(seen) for layer, seen in parts.get("leads", {}).items()})
        self._exact = {layer: Moments.of_state(seen) for layer, seen in parts.get("exact", {}).items()}
        self._corrections = {
            layer: Correction.of_state(seen) for layer, seen in parts.get("corrections", {}).items()
        }
        self._sums |= {layer: MomentSum.of_state(seen) for layer, seen in parts.get("sums", {}).items()}

    def add(self, layer: str, features: Tensor, weights: Tensor | None = None) -> None:
        """Count cells [1, C, h, w] in, as much of each as `weights` [h, w] say."""
        self._sums[layer].add(features, weights)

    def at(self, layer: str, features: Tensor) -> Tensor | None:
        """Gradient of the term, times the canvas's pixels, at every cell; None before anything is known."""
        return self._sent[layer].at(features) if layer in self._sent else None

    def all_reduce(self, comm: Ranks) -> None:
        """Add up the sums over all processes."""
        network = self._layers.network
        channels = {layer: network.layers[layer].channels for layer in self._sums}
        pooled(self._sums, channels, network.device, comm)

    def reset_sums(self) -> None:
        """Forget the sums since the last sweep."""
        self._begin()

    def correct(self, *, lasting: bool) -> None:
        """Take what was counted since the last sweep as exact.

        It makes the cotangents of the coming sweep. If `lasting`, what the padded edges of its patches add to
        it is noted at its end, and taken off the moments of the sweeps after it.
        """
        exact = self.counted
        self.aim(exact)
        self._exact = exact if lasting else {}
        self._begin()

    def turn(self, memory: float, lead: float, *, aimed: bool) -> float | None:
        """End a sweep: unless it is `aimed` already, its moments make the cotangents of the next.

        `memory` is the share of the earlier moments kept. `lead` is how far cotangents are taken on along the
        way they came since the sweep before, as a share of it; not after a sweep that was drawn to exact
        moments: what it has seen is the same canvas. Answers the distance, where it was computed.
        """
        value = None
        if not aimed:
            before = {} if self._exact else self._cotangents
            value = self.aim(self._recent(memory))
            if lead:
                self._lead({k: self._cotangents[k].minus(one).scaled(lead) for k, one in before.items()})
        self._begin()
        return value

    def _lead(self, leads: Mapping[str, Cotangent]) -> None:
        """Add these to the cotangents."""
        self._leads = dict(leads)
        for layer, lead in leads.items():
            self._sent[layer] = self._layers.sent(layer, self._cotangents[layer].plus(lead))

    def _recent(self, memory: float) -> dict[str, Moments]:
        """The moments of the sweep that ends, corrected or mixed with earlier ones."""
        found = self.counted
        if self._exact and not memory:
            self._corrections = {
                layer: Correction.between(found[layer], exact)
                for layer, exact in self._exact.items()
                if layer in found
            }
        self._exact = {}
        for layer, moments in found.items():
            if memory and layer in self._moments:
                found[layer] = combined([self._moments[layer], moments], [memory, 1 - memory])
            elif layer in self._corrections:
                found[layer] = self._corrections[layer](moments)
        return {**self._moments, **found}

    def aim(self, found: Mapping[str, Moments]) -> float:
        """Make the cotangents from these moments; answers their distance."""
        self._moments, self._leads = dict(found), {}
        self._cotangents = cotangents(self._targets, found)
        self._sent |= {layer: self._layers.sent(layer, one) for layer, one in self._cotangents.items()}
        return sum(self._layers.weights[layer] * one.value for layer, one in self._cotangents.items())


def check_finite(layer: str, moments: Moments) -> None:
    """Raise DivergedError for moments that no distance can be taken of."""
    if not torch.isfinite(moments.second).all():
        raise DivergedError(
            f"the features of {layer} are not finite any more",
            hint="use lower weights (and a lower learning_rate from Python), or --precision fp32",
        )
