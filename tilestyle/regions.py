"""Regions of the canvas: as much of every pixel as is of each, and the style term that keeps them apart.

Guided moments (Gatys et al. 2017, arXiv 1611.07865, on spatial control; moments in place of Gram matrices):
those of a region are of all cells, weighed by how much of it each is. The term is the sum of the regions'
distances times their shares of the canvas, so that its gradient at a cell is the sum over the regions of
weight x (2 A F + b), at the density of a canvas without regions.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from tilestyle.canvas import ROWS, read
from tilestyle.geometry import Box, Patch
from tilestyle.planes import touched
from tilestyle.pull import Pull, Pulled
from tilestyle.ranks import Ranks
from tilestyle.sliced import averaged
from tilestyle.style import Target, inner
from tilestyle.transfer import sent, widest

ROUNDING = 1e-5  # of weights that sum to one
# Side of the blocks, in pixels, of which it is known on the host what is in them; divides ROWS.
BLOCK = 32


class Regions:
    """Weights of every region at every pixel of a level's canvas: a plane [K, H, W], at most 1 in sum."""

    def __init__(self, plane: Tensor) -> None:
        self._plane = plane
        self._last: tuple[Patch, torch.device, Places] | None = None
        self.shares = [0.0] * len(plane)  # of the canvas
        self.partial = False  # whether there are pixels that are of none, or not wholly
        largest, smallest = [], []  # in blocks: patches ask, and should not wait for a device
        for top in range(0, plane.shape[1], ROWS):
            rows = plane[:, top : top + ROWS]
            largest.append(F.max_pool2d(rows, BLOCK, ceil_mode=True).cpu())
            smallest.append(-F.max_pool2d(-rows, BLOCK, ceil_mode=True).cpu())
            self.partial = self.partial or bool(rows.sum(0).min() < 1 - ROUNDING)
            for region, part in enumerate(rows.sum((1, 2), dtype=widest(rows.device)).tolist()):
                self.shares[region] += part / plane[0].numel()
            touched(rows)
        self._there = torch.cat(largest, 1).numpy() > ROUNDING  # [K, blocks down, across]
        self._whole = torch.cat(smallest, 1).numpy() >= 1 - ROUNDING

    def styled(self, box: Box) -> Tensor:
        """How much of every pixel under a box is of any region, [1, height, width]."""
        window = read(self._plane, box)
        touched(window)
        return _styled(window)

    def styled_at(self, places: Tensor) -> Tensor:
        """The same of pixels by their place on the canvas (canvas.places), [1, n]."""
        return _styled(self._plane.flatten(1).index_select(1, places))

    def expose(self, pixels: Tensor, content: Tensor) -> None:
        """Let the content [3, H, W] show through pixels [3, H, W], in place, where they are of no region."""
        height, width = pixels.shape[1:]
        for top in range(0, height, ROWS):
            box = Box(top, 0, min(ROWS, height - top), width)
            rows, shown = (plane[:, top : top + box.height] for plane in (pixels, content))
            rows.copy_(torch.lerp(shown, rows, self.styled(box)))
            touched(rows, shown)

    def largest(self, box: Box) -> Tensor:
        """The region that has most of every pixel under a box, [height, width]."""
        window = read(self._plane, box)
        touched(window)
        return window.argmax(0)

    def under(self, patch: Patch, device: torch.device) -> Places:
        """The weights at the cells of a patch; on a device, where several terms ask, they are sent once."""
        if self._last is not None and self._last[:2] == (patch, device):
            return self._last[2]
        self._last = None  # before there are others
        found = self._under(patch, device)
        if device.type != "cpu":
            self._last = patch, device, found
        return found

    def _under(self, patch: Patch, device: torch.device) -> Places:
        box, (_, height, width) = patch.read, self._plane.shape
        down = np.unique(np.arange(box.top, box.top + box.height) % height // BLOCK)
        across = np.unique(np.arange(box.left, box.left + box.width) % width // BLOCK)
        there, whole = (blocks[:, down][:, :, across] for blocks in (self._there, self._whole))
        regions = [region for region, blocks in enumerate(there) if blocks.any()]
        window = read(self._plane, box, patch.scale)
        touched(window, times=patch.scale**2)
        everywhere = {region for region in regions if whole[region].all()}
        return Places(regions, everywhere, sent(window, device, torch.float32))


def _styled(weights: Tensor) -> Tensor:
    total = weights.sum(0, keepdim=True)
    return torch.where(total > 1 - ROUNDING, 1.0, total)


class Places:
    """Weights of the regions at the cells of one patch; None stands for a weight of 1 everywhere."""

    def __init__(self, regions: Sequence[int], everywhere: Collection[int], window: Tensor) -> None:
        """`regions` that there may be some of, those that are `everywhere`, `window` [K, h, w] of weights."""
        self.regions = regions
        self._everywhere = everywhere
        self._window = window
        self._cells: dict[int, Tensor] = {}

    def at(self, region: int, stride: int) -> Tensor | None:
        """The weights [h, w] of a region at the cells of a layer."""
        if region in self._everywhere:
            return None
        if stride not in self._cells:
            self._cells[stride] = averaged(self._window, stride)
        return self._cells[stride][region]


class Global:
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

    @property
    def state(self) -> dict[str, Tensor]:
        """All that it has seen of the canvas, as tensors by name, to be stored."""
        state = {
            f"{region} {name}": tensor
            for region, pull in enumerate(self._pulls)
            for name, tensor in pull.state.items()
        }
        if self._value is not None:
            state["value"] = torch.tensor(self._value, dtype=torch.float64)
        return state

    def restore(self, state: Mapping[str, Tensor]) -> None:
        """Go on from such a state."""
        self._value = float(state["value"]) if "value" in state else None
        for region, pull in enumerate(self._pulls):
            mark = f"{region} "
            pull.restore({k.removeprefix(mark): seen for k, seen in state.items() if k.startswith(mark)})

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

    def pool(self, ranks: Ranks) -> None:
        """Take in what other ranks have counted."""
        for pull in self._pulls:
            pull.pool(ranks)

    def leave(self) -> None:
        """Leave to another rank what has been counted."""
        self._value = None
        for pull in self._pulls:
            pull.leave()

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
