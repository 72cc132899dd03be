"""Regions of the canvas: how much of every pixel belongs to each."""

from __future__ import annotations

from collections.abc import Collection, Sequence

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from tilestyle.canvas.canvas import ROWS, read
from tilestyle.canvas.storage import touched
from tilestyle.devices.transfer import sent, widest
from tilestyle.geometry.boxes import Box, Patch
from tilestyle.stats.sliced_wasserstein import averaged

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
