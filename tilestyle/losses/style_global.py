"""Regions of the canvas: as much of every pixel as is of each, and the style term that keeps them apart.

Guided moments (Gatys et al. 2017, arXiv 1611.07865, on spatial control; moments in place of Gram matrices):
those of a region are of all cells, weighed by how much of it each is. The term is the sum of the regions'
distances times their shares of the canvas, so that its gradient at a cell is the sum over the regions of
weight x (2 A F + b), at the density of a canvas without regions.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor

from tilestyle.canvas.regions import Places, Regions
from tilestyle.geometry.boxes import Patch
from tilestyle.losses.objective import StyleTerm
from tilestyle.losses.running_moments import Pull, Pulled
from tilestyle.losses.style_targets import Target
from tilestyle.networks.base import inner


class Global(StyleTerm):
    """The style term of the whole canvas, or of each of its regions: against moments one sweep old."""

    def __init__(
        self, targets: Sequence[Mapping[str, Target]], layers: Pulled, regions: Regions | None = None
    ) -> None:
        """`targets` of every layer for each region; one, without regions, is for all of the canvas."""
        self._layers = layers
        self._regions = regions
        self._shares = regions.shares if regions else [1.0]
        self._pulls = [Pull(wanted, layers) for wanted in targets]
        self._value: float | None = None  # once it is known

    def parts(self) -> Mapping[str, Pull]:
        """Return the losses of the regions, by number."""
        return {str(region): pull for region, pull in enumerate(self._pulls)}

    def own_state(self) -> dict[str, Tensor]:
        """Return the value of the sweep, once it is known."""
        return {} if self._value is None else {"value": torch.tensor(self._value, dtype=torch.float64)}

    def load_own_state(self, state: Mapping[str, Tensor]) -> None:
        """Restore `own_state`."""
        self._value = float(state["value"]) if "value" in state else None

    @property
    def ready(self) -> bool:
        """Whether there are moments of an earlier sweep to work with."""
        return any(pull.ready for pull in self._pulls)

    def measure(self, features: Mapping[str, Tensor], patch: Patch) -> None:
        """Count the moments of a patch in."""
        self._count(features, patch, self._under(patch))

    def pull(self, features: Mapping[str, Tensor], patch: Patch, *, alone: bool) -> dict[str, Tensor]:
        """Count a patch in; its gradients, times the canvas's pixels, at every cell of each layer."""
        under = self._under(patch)
        self._count(features, patch, under)
        if alone:
            self._value = self._total([pull.aim(pull.counted) for pull in self._pulls])
        return {layer: self._gradient(layer, features[layer], under) for layer in self._layers.weights}

    def correct(self, *, lasting: bool) -> None:
        """Take what was measured since the last sweep as the exact moments of the canvas (Pull.correct)."""
        for pull in self._pulls:
            pull.correct(lasting=lasting)

    def reset_sums(self) -> None:
        """Forget the sums since the last sweep."""
        self._value = None
        super().reset_sums()

    def turn(self, memory: float, lead: float) -> float:
        """End a sweep, with `memory` and `lead` as Pull.turn has them; answers the term."""
        known = self._value
        values = [pull.turn(memory, lead, aimed=known is not None) for pull in self._pulls]
        self._value = None
        return self._total([value or 0.0 for value in values]) if known is None else known

    def _under(self, patch: Patch) -> Places | None:
        return self._regions.under(patch, self._layers.network.device) if self._regions else None

    def _total(self, values: Sequence[float]) -> float:
        return sum(share * value for share, value in zip(self._shares, values, strict=True))

    def _count(self, features: Mapping[str, Tensor], patch: Patch, under: Places | None) -> None:
        for layer in self._layers.weights:
            stride = self._layers.network.layers[layer].stride
            cells = patch.cells(stride)
            seen = inner(features[layer].detach(), cells)
            if under is None:
                self._pulls[0].add(layer, seen)
                continue
            for region in under.regions:
                weights = under.at(region, stride)
                part = None if weights is None else inner(weights[None, None], cells)[0, 0]
                self._pulls[region].add(layer, seen, part)

    def _gradient(self, layer: str, features: Tensor, under: Places | None) -> Tensor:
        """The sum over the regions of weight x (2 A F + b)."""
        total: Tensor | None = None
        for region in [0] if under is None else under.regions:
            gradient = self._pulls[region].at(layer, features)
            weights = under.at(region, self._layers.network.layers[layer].stride) if under else None
            if gradient is None:
                continue
            if weights is not None:
                gradient = gradient.mul_(weights.to(gradient))
            total = gradient if total is None else total.add_(gradient)
        return torch.zeros_like(features) if total is None else total
