"""Locality: patches held to what the style is at their own place, rather than to what it is on the whole.

With S = (1 - t) S_canvas + t S_patch for mean and second raw moment alike, and targets mixed in the same way,
the term is the mean over the canvas of the patches' distances. Let A_p, b_p be the cotangent of the distance of
patch p, at its mixture. A cell of patch q moves the moments of q, and those of the canvas, in every mixture:

    N dL/dF = t (2 A_q F + b_q) + (1 - t) (2 A F + b),    A, b: means of A_p, b_p over the canvas

The means are those of the sweep before, as the moments of the canvas are. With t = 1 nothing is global.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from functools import partial

import torch
from torch import Tensor

from tilestyle.config.render import RenderConfig
from tilestyle.devices.threads import abreast
from tilestyle.devices.transfer import matrix_device
from tilestyle.distributed import Ranks
from tilestyle.geometry.boxes import Patch
from tilestyle.losses.objective import StyleTerm
from tilestyle.losses.running_moments import Pull, Pulled, check_finite
from tilestyle.losses.stateful import prefixed, unprefixed
from tilestyle.losses.style_targets import Target, target
from tilestyle.networks.base import inner
from tilestyle.planning.style_windows import Windows
from tilestyle.stats.distances import TINY, Cotangent
from tilestyle.stats.moments import Moments, MomentSum, combined


class Local(StyleTerm):
    """The style term of patches by themselves, mixed with that of the whole canvas."""

    def __init__(
        self,
        goal: Mapping[str, Moments],
        windows: Windows,
        layers: Pulled,
        config: RenderConfig,
    ) -> None:
        """`goal` is that of the whole canvas; the setting `locality` is t above."""
        self._goal, self._windows, self._layers = goal, windows, layers
        self._config, self._share = config, config.locality
        targets = {layer: self._target(layer, moments) for layer, moments in goal.items()}
        # Relative to the whole style: were it to each window, the flat ones would outweigh all others.
        self._energy = {layer: distance.energy for layer, distance in targets.items()}
        self._whole = Pull(targets, layers)  # the canvas
        self._means: dict[str, Cotangent] = {}  # of the last sweep
        self._begin()

    def _begin(self) -> None:
        self._sums: dict[str, Cotangent] = {}  # of this one, times the patches' shares of the canvas
        self._seen = 0.0  # of the canvas

    def parts(self) -> Mapping[str, Pull]:
        """Return the loss of the whole canvas."""
        return {"whole": self._whole}

    def own_state(self) -> dict[str, Tensor]:
        """Return the cotangents summed over patches, and their mean over the last sweep."""
        state = {"seen": torch.tensor(self._seen, dtype=torch.float64)}
        for prefix, cotangents in (("means", self._means), ("sums", self._sums)):
            for layer, cotangent in cotangents.items():
                state |= prefixed(f"{prefix} {layer}", cotangent.state)
        return state

    def load_own_state(self, state: Mapping[str, Tensor]) -> None:
        """Restore `own_state`."""
        self._seen = float(state["seen"])
        device = matrix_device(self._layers.network.device)
        for prefix, cotangents in (("means", self._means), ("sums", self._sums)):
            for layer in self._layers.weights:
                stored = unprefixed(f"{prefix} {layer}", state)
                if stored:
                    on_device = {name: tensor.to(device) for name, tensor in stored.items()}
                    cotangents[layer] = Cotangent.of_state(on_device)

    @property
    def ready(self) -> bool:
        """Whether there is something of an earlier sweep to work with, if it is needed."""
        return self._share == 1 or self._whole.ready

    def measure(self, features: Mapping[str, Tensor], patch: Patch) -> None:
        """Count the moments of a patch in."""
        for layer, cells in self._owned(features, patch):
            self._whole.add(layer, cells)

    def pull(self, features: Mapping[str, Tensor], patch: Patch, *, alone: bool) -> dict[str, Tensor]:
        """Count a patch in; its gradients, times the canvas's pixels, at every cell of each layer.

        Synchronises host and device: a patch's cotangents are made of its own moments.
        """
        wanted = self._windows.moments(patch)
        area = patch.owned.area / self._windows.extent.area
        owned = dict(self._owned(features, patch))
        drawn = self._drawn(owned, wanted, alone=alone)
        pulled = {}
        for layer, cells in owned.items():
            if self._share < 1:
                self._whole.add(layer, cells)
            part = drawn[layer].scaled(area)
            self._sums[layer] = self._sums[layer].plus(part) if layer in self._sums else part
            mixed = drawn[layer]
            if self._share < 1 and not alone:
                mean = self._means.get(layer, mixed)
                mixed = mixed.scaled(self._share).plus(mean.scaled(1 - self._share))
            pulled[layer] = self._layers.sent(layer, mixed).at(features[layer])
        self._seen += area
        return pulled

    def _drawn(
        self, owned: Mapping[str, Tensor], wanted: Mapping[str, Moments], *, alone: bool
    ) -> dict[str, Cotangent]:
        """Of every layer, the cotangent of a patch's distance at its mixture: on a host, side by side."""

        def piece(layer: str) -> Cotangent:
            total = MomentSum()
            total.add(owned[layer])
            own = total.moments()
            check_finite(layer, own)
            return self._cotangent(layer, own, wanted[layer], alone=alone)

        largest_first = sorted(owned, key=lambda layer: -owned[layer].shape[1])
        if self._layers.network.device.type != "cpu":
            return {layer: piece(layer) for layer in largest_first}
        made = abreast([partial(piece, layer) for layer in largest_first])
        return dict(zip(largest_first, made, strict=True))

    def _cotangent(self, layer: str, own: Moments, wanted: Moments, *, alone: bool) -> Cotangent:
        """Of a patch's distance at its mixture."""
        whole, share = self._whole.moments.get(layer), self._share
        goal = combined([self._goal[layer], wanted], [1 - share, share])
        if whole is not None and not alone:
            own = combined([whole, own], [1 - share, share])
        distance = self._target(layer, goal)
        return distance.cotangent(own).scaled(distance.energy / self._energy[layer])

    def _target(self, layer: str, moments: Moments) -> Target:
        """The distance of a layer to some moments."""
        return target(moments, self._config, self._layers.faint.get(layer, TINY))

    def _owned(self, features: Mapping[str, Tensor], patch: Patch) -> Iterator[tuple[str, Tensor]]:
        """The cells of every layer that a patch answers for."""
        for layer in self._layers.weights:
            cells = patch.cells(self._layers.network.layers[layer].stride)
            yield layer, inner(features[layer].detach(), cells)

    def correct(self, *, lasting: bool) -> None:
        """Take what was measured since the last sweep as the exact moments of the canvas (Pull.correct)."""
        self._whole.correct(lasting=lasting)

    def all_reduce(self, comm: Ranks) -> None:
        """Add up the sums over all processes."""
        if comm.count == 1:
            return
        super().all_reduce(comm)
        for layer in self._layers.weights:
            count = self._layers.network.layers[layer].channels
            device = matrix_device(self._layers.network.device)
            flat = torch.zeros(1 + count + count * count, dtype=torch.float64, device=device)
            if layer in self._sums:
                one = self._sums[layer]
                flat = torch.cat([flat.new_tensor([one.value]), one.offset, one.matrix.flatten()])
            comm.add(flat)
            self._sums[layer] = Cotangent(
                float(flat[0]), flat[1 + count :].reshape(count, count), flat[1 : 1 + count]
            )
        seen = torch.tensor([self._seen], dtype=torch.float64)
        comm.add(seen)
        self._seen = float(seen)

    def reset_sums(self) -> None:
        """Forget the sums since the last sweep."""
        super().reset_sums()
        self._begin()

    def turn(self, memory: float, lead: float) -> float:
        """End a sweep, of which `memory` is the share of earlier moments kept; answers the term.

        Without a `lead`: most of what draws a patch is of its own moments, which are new.
        """
        self._means = {layer: total.scaled(1 / self._seen) for layer, total in self._sums.items()}
        self._whole.turn(memory, 0.0, aimed=False)
        self._begin()
        return sum(self._layers.weights[layer] * mean.value for layer, mean in self._means.items())
