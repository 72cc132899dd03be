"""The style term of autocorrelations: how things are arranged, besides what they are made of."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

import torch
from torch import Tensor

from tilestyle.canvas.regions import Places, Regions
from tilestyle.distributed import Ranks
from tilestyle.geometry.boxes import Patch
from tilestyle.losses.objective import StyleTerm
from tilestyle.losses.running_moments import Pulled
from tilestyle.losses.style_global import Global
from tilestyle.networks.base import inner
from tilestyle.stats.autocorrelation import (
    Autocorrelation,
    AutocorrelationSum,
    AutocorrelationTarget,
    Slopes,
    mixed,
    spread,
)


class Arrangement(StyleTerm):
    """Autocorrelations of the canvas, or of each of its regions, against those of its style; one sweep old.

    A pair of cells is as much of a region as the product of what both are. The term is the sum of the regions'
    distances times their shares of the canvas, as that of moments is (style_global.py). What padding does to
    patches' edges is not taken off: it bends moments far more than products of cells that are apart.
    """

    def __init__(
        self,
        targets: Sequence[Mapping[str, AutocorrelationTarget]],
        layers: Pulled,
        regions: Regions | None = None,
    ) -> None:
        """`targets` of every layer for each region; one, without regions, is for all of the canvas."""
        self._targets, self._layers, self._regions = targets, layers, regions
        self._shares = regions.shares if regions else [1.0]
        self._seen: list[dict[str, Autocorrelation]] = [{} for _ in targets]
        self._slopes: list[dict[str, Slopes]] = [{} for _ in targets]  # at those
        self._led: list[dict[str, Slopes]] = [{} for _ in targets]  # as they are applied
        self._exact = False  # whether those are of an exact measurement
        self._value: float | None = None  # once it is known
        self._begin()

    def _begin(self) -> None:
        fixed = self._layers.fixed
        self._sums = [
            {layer: AutocorrelationSum(target.centre, fixed=fixed) for layer, target in targets.items()}
            for targets in self._targets
        ]

    def own_state(self) -> dict[str, Tensor]:
        """Return the statistics as tensors by name."""
        parts: Mapping[str, Sequence[Mapping[str, Autocorrelation | Slopes | AutocorrelationSum]]] = {
            "seen": self._seen,
            "slopes": self._slopes,
            "led": self._led,
            "sums": self._sums,
        }
        state = {
            f"{part} {region} {layer} {name}": tensor
            for part, regions in parts.items()
            for region, layers in enumerate(regions)
            for layer, one in layers.items()
            for name, tensor in one.state.items()
        }
        state["exact"] = torch.tensor(self._exact)
        if self._value is not None:
            state["value"] = torch.tensor(self._value, dtype=torch.float64)
        return state

    def load_own_state(self, state: Mapping[str, Tensor]) -> None:
        """Restore `own_state`."""
        device = self._layers.network.device
        self._exact = bool(state["exact"])
        self._value = float(state["value"]) if "value" in state else None
        for region, targets in enumerate(self._targets):
            for layer in targets:
                kept: dict[str, dict[str, Tensor]] = {}
                for part in ("seen", "slopes", "led", "sums"):
                    mark = f"{part} {region} {layer} "
                    kept[part] = {k.removeprefix(mark): x for k, x in state.items() if k.startswith(mark)}
                if kept["seen"]:
                    self._seen[region][layer] = Autocorrelation.of_state(kept["seen"], device)
                for part, slopes in (("slopes", self._slopes), ("led", self._led)):
                    if kept[part]:
                        slopes[region][layer] = Slopes.of_state(kept[part], device)
                if kept["sums"]:
                    self._sums[region][layer].restore(kept["sums"])

    @property
    def ready(self) -> bool:
        """Whether there are autocorrelations of an earlier sweep to work with."""
        return any(self._seen)

    def measure(self, features: Mapping[str, Tensor], patch: Patch) -> None:
        """Count the pairs of a patch in."""
        under = self._under(patch)
        for layer, cells in self._owned(features, patch):
            if cells.numel():
                for region, weights in self._places(layer, patch, under):
                    self._sums[region][layer].add(cells, weights)

    def pull(self, features: Mapping[str, Tensor], patch: Patch, *, alone: bool) -> dict[str, Tensor]:
        """Count a patch in; its gradients, times the canvas's pixels, at every cell of each layer.

        Cells that a patch sees and does not own have none: their pairs are their owner's.
        """
        self.measure(features, patch)
        if alone:
            self._value = self._aim()
        under = self._under(patch)
        pulled = {}
        for layer, cells in self._owned(features, patch):
            gradient = torch.zeros_like(features[layer])
            owned = patch.cells(self._layers.network.layers[layer].stride)
            for region, weights in self._places(layer, patch, under) if cells.numel() else []:
                if layer not in self._led[region]:
                    continue
                centred = self._sums[region][layer].centred(cells, weights)
                found = spread(centred, self._led[region][layer].slopes * self._layers.factors[layer])
                found = found if weights is None else found * weights.to(found)
                inner(gradient, owned).add_(found.to(gradient.dtype)[None])
            pulled[layer] = gradient
        return pulled

    def correct(self, *, lasting: bool) -> None:
        """Take what was measured since the last sweep as the autocorrelations of the canvas."""
        self._aim()
        self._exact = True
        self._begin()

    def all_reduce(self, comm: Ranks) -> None:
        """Add up the sums over all processes."""
        if comm.count == 1:
            return
        for sums in self._sums:
            for total in sums.values():
                total.begin()
                for part in total.state.values():
                    comm.add(part)

    def reset_sums(self) -> None:
        """Forget the sums since the last sweep."""
        self._value = None
        self._begin()

    def turn(self, memory: float, lead: float) -> float:
        """End a sweep: what it has seen makes the slopes of the next; answers the term.

        `memory` is the share of what was seen earlier that is kept. `lead` is how far slopes are taken on along
        the way they came since the sweep before; not after a sweep that was drawn to exact measurements.
        """
        value = self._value
        if value is None:
            before = [{} for _ in self._targets] if self._exact else self._slopes
            value = self._aim(memory)
            for region, slopes in enumerate(before) if lead else []:
                for layer, earlier in slopes.items():
                    self._led[region][layer] = self._slopes[region][layer].led(earlier, lead)
        self._value, self._exact = None, False
        self._begin()
        return value

    def _aim(self, memory: float = 0.0) -> float:
        """Make the slopes from what has been counted, mixed with earlier; answers the distance."""
        value = 0.0
        slopes: list[dict[str, Slopes]] = []
        for region, targets in enumerate(self._targets):
            slopes.append({})
            for layer, target in targets.items():
                found, before = self._sums[region][layer].mean(), self._seen[region].get(layer)
                if found is not None and before is not None and memory:
                    found = mixed([before, found], [memory, 1 - memory])
                found = before if found is None else found
                if found is not None:
                    self._seen[region][layer] = found
                    slopes[region][layer] = one = target.slopes(found)
                    value += self._shares[region] * self._layers.weights[layer] * one.value
        self._slopes, self._led = slopes, [dict(of_region) for of_region in slopes]
        return value

    def _under(self, patch: Patch) -> Places | None:
        return self._regions.under(patch, self._layers.network.device) if self._regions else None

    def _owned(self, features: Mapping[str, Tensor], patch: Patch) -> Iterator[tuple[str, Tensor]]:
        """The cells of every layer that a patch answers for."""
        for layer in self._layers.weights:
            cells = patch.cells(self._layers.network.layers[layer].stride)
            yield layer, inner(features[layer].detach(), cells)

    def _places(self, layer: str, patch: Patch, under: Places | None) -> Iterator[tuple[int, Tensor | None]]:
        """The regions with a style under a patch, and the weights of its own cells in each; None: all are."""
        stride = self._layers.network.layers[layer].stride
        for region in [0] if under is None else under.regions:
            if layer not in self._targets[region]:
                continue
            weights = under.at(region, stride) if under else None
            yield region, None if weights is None else inner(weights[None, None], patch.cells(stride))[0, 0]


class Together(StyleTerm):
    """A style loss of moments plus one of autocorrelations."""

    def __init__(self, moments: Global, arrangement: Arrangement) -> None:
        self._terms: Mapping[str, Global | Arrangement] = {"moments": moments, "arrangement": arrangement}

    def parts(self) -> Mapping[str, StyleTerm]:
        """Return both losses."""
        return self._terms

    @property
    def ready(self) -> bool:
        """Whether there is something of an earlier sweep to work with."""
        return all(term.ready for term in self._terms.values())

    def measure(self, features: Mapping[str, Tensor], patch: Patch) -> None:
        """Count a patch in."""
        for term in self._terms.values():
            term.measure(features, patch)

    def pull(self, features: Mapping[str, Tensor], patch: Patch, *, alone: bool) -> dict[str, Tensor]:
        """Count a patch in; its gradients, times the canvas's pixels, at every cell of each layer."""
        moments, arrangement = self._terms.values()
        pulled = moments.pull(features, patch, alone=alone)
        for layer, gradient in arrangement.pull(features, patch, alone=alone).items():
            pulled[layer] = pulled[layer] + gradient
        return pulled

    def correct(self, *, lasting: bool) -> None:
        """Take what was measured since the last sweep as exact."""
        for term in self._terms.values():
            term.correct(lasting=lasting)

    def turn(self, memory: float, lead: float) -> float:
        """End a sweep; answers the term."""
        return sum(term.turn(memory, lead) for term in self._terms.values())
