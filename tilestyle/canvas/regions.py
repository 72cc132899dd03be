"""Regions of the canvas: the weight of each region at each pixel."""

from __future__ import annotations

from collections.abc import Collection, Sequence

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from tilestyle.canvas.canvas import read_box
from tilestyle.canvas.mapped_pages import note_mapped_access
from tilestyle.canvas.storage import STRIP_ROWS
from tilestyle.devices.transfer import accumulator_dtype, to_device
from tilestyle.geometry.boxes import Box, Patch
from tilestyle.stats.sliced_wasserstein import average_blocks

WEIGHT_TOLERANCE = 1e-5  # rounding error of weights that sum to one
# Side of the blocks for which the host knows which regions they contain, pixels; divides STRIP_ROWS.
BLOCK_SIDE = 32


class RegionWeights:
    """Weights of every region at every pixel of a level's canvas: a plane [K, H, W] whose sums are at most 1.

    Attributes:
        area_shares: Fraction of the canvas that belongs to each region.
        has_unstyled: Whether some pixels belong to no region, or only partly to one.
    """

    def __init__(self, plane: Tensor) -> None:
        """Take the weights [K, H, W], and measure on the host which regions each block contains."""
        self._plane = plane
        self._last_cell_weights: tuple[Patch, torch.device, CellWeights] | None = None
        self.area_shares = [0.0] * len(plane)
        self.has_unstyled = False
        # Largest and smallest weight of each block, on the host: patches should not wait for a device.
        largest, smallest = [], []
        for top in range(0, plane.shape[1], STRIP_ROWS):
            rows = plane[:, top : top + STRIP_ROWS]
            largest.append(F.max_pool2d(rows, BLOCK_SIDE, ceil_mode=True).cpu())
            smallest.append(-F.max_pool2d(-rows, BLOCK_SIDE, ceil_mode=True).cpu())
            self.has_unstyled = self.has_unstyled or bool(rows.sum(0).min() < 1 - WEIGHT_TOLERANCE)
            for region, part in enumerate(rows.sum((1, 2), dtype=accumulator_dtype(rows.device)).tolist()):
                self.area_shares[region] += part / plane[0].numel()
            note_mapped_access(rows)
        self._present_blocks = torch.cat(largest, 1).numpy() > WEIGHT_TOLERANCE  # [K, blocks down, across]
        self._full_blocks = torch.cat(smallest, 1).numpy() >= 1 - WEIGHT_TOLERANCE

    def coverage(self, box: Box) -> Tensor:
        """Return the total weight of all regions at every pixel under a box, [1, height, width]."""
        window = read_box(self._plane, box)
        note_mapped_access(window)
        return _coverage(window)

    def coverage_at(self, indices: Tensor) -> Tensor:
        """Return the total weight of all regions at pixel indices (`pixel_indices`), [1, n]."""
        return _coverage(self._plane.flatten(1).index_select(1, indices))

    def restore_unstyled(self, pixels: Tensor, content: Tensor) -> None:
        """Blend the content [3, H, W] into pixels [3, H, W], in place, where they belong to no region."""
        height, width = pixels.shape[1:]
        for top in range(0, height, STRIP_ROWS):
            box = Box(top, 0, min(STRIP_ROWS, height - top), width)
            rows, content_rows = (plane[:, top : top + box.height] for plane in (pixels, content))
            rows.copy_(torch.lerp(content_rows, rows, self.coverage(box)))
            note_mapped_access(rows, content_rows)

    def dominant_region(self, box: Box) -> Tensor:
        """Return the region with the largest weight at every pixel under a box, [height, width]."""
        window = read_box(self._plane, box)
        note_mapped_access(window)
        return window.argmax(0)

    def cell_weights(self, patch: Patch, device: torch.device) -> CellWeights:
        """Return the weights at the cells of a patch, on the device.

        Several loss terms ask for the same patch: it is sent to the device once.
        """
        if self._last_cell_weights is not None and self._last_cell_weights[:2] == (patch, device):
            return self._last_cell_weights[2]
        self._last_cell_weights = None  # freed before the next is allocated
        weights = self._cell_weights(patch, device)
        if device.type != "cpu":
            self._last_cell_weights = patch, device, weights
        return weights

    def _cell_weights(self, patch: Patch, device: torch.device) -> CellWeights:
        """Read the weights under a patch, with the regions that cover some and all of it."""
        box, (_, height, width) = patch.read, self._plane.shape
        down = np.unique(np.arange(box.top, box.top + box.height) % height // BLOCK_SIDE)
        across = np.unique(np.arange(box.left, box.left + box.width) % width // BLOCK_SIDE)
        has_some, has_all = (
            blocks[:, down][:, :, across] for blocks in (self._present_blocks, self._full_blocks)
        )
        present = [region for region, blocks in enumerate(has_some) if blocks.any()]
        window = read_box(self._plane, box, patch.scale)
        note_mapped_access(window, times=patch.scale**2)
        full = {region for region in present if has_all[region].all()}
        return CellWeights(present, full, to_device(window, device, torch.float32))


def _coverage(weights: Tensor) -> Tensor:
    """Sum weights [K, ...] over the regions; sums within rounding of 1 are 1."""
    total = weights.sum(0, keepdim=True)
    return torch.where(total > 1 - WEIGHT_TOLERANCE, 1.0, total)


class CellWeights:
    """Weights of the regions at the cells of one patch; None stands for a weight of 1 everywhere."""

    def __init__(self, present: Sequence[int], full_regions: Collection[int], window: Tensor) -> None:
        """Take the weights under a patch.

        Args:
            present: Regions that may have a weight above 0.
            full_regions: Regions that have a weight of 1 everywhere.
            window: Weights [K, h, w] of all regions.
        """
        self.present = present
        self._full_regions = full_regions
        self._window = window
        self._cells: dict[int, Tensor] = {}

    def of_region(self, region: int, stride: int) -> Tensor | None:
        """Return the weights [h, w] of a region at the cells of a layer of this stride."""
        if region in self._full_regions:
            return None
        if stride not in self._cells:
            self._cells[stride] = average_blocks(self._window, stride)
        return self._cells[stride][region]
