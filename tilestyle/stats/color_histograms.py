"""Colors of a patch on a device: counted, and compared to a palette, at all scales together.

sliced_wasserstein.py processes one scale and a few directions after the other, as suits a CPU's caches. Here
the same takes few kernels and does not copy anything twice, because on a device the cost is kernel launches.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cache, cached_property
from itertools import accumulate, pairwise

import torch
from torch import Tensor

from tilestyle.geometry.boxes import Box
from tilestyle.kernels.colors import count_colors, palette_slope
from tilestyle.kernels.support import has_kernels
from tilestyle.stats.sliced_wasserstein import BINS, SCALES, WEIGHT_UNITS, average_blocks, color_axes

# Cells times directions whose bins are computed at once, and then cached for a second use.
MAX_CACHED_BINS = 2**24
# Largest number of cells that is counted in float32 without rounding.
MAX_FLOAT32_COUNT = 2**24


@dataclass(frozen=True)
class _DeviceAxes:
    """The directions on a device: [K, 3], and columns [K, 1]."""

    vectors: Tensor
    low: Tensor
    scale: Tensor  # bins per unit
    first: Tensor  # first bin of every direction, where all bins are in one row


@cache
def _device_directions(device: torch.device) -> _DeviceAxes:
    """Return the directions on a device, copied there once: even a small copy is waited for."""
    axes = color_axes()
    first = BINS * torch.arange(len(axes.vectors), dtype=torch.int32)
    columns = (x[:, None].to(device) for x in (axes.low, 1 / axes.width, first))
    return _DeviceAxes(axes.vectors.to(device), *columns)


@cache
def _axes_table(device: torch.device) -> Tensor:
    """Return the directions as kernels take them (kernels/colors.py), on a device: [K, 5]."""
    axes = color_axes()
    return torch.cat([axes.vectors, axes.low[:, None], 1 / axes.width[:, None]], 1).to(device)


@dataclass(frozen=True)
class _Projection:
    """Some of the directions, and the projections of the cells onto them."""

    axes: slice  # which of the directions
    positions: Tensor  # projections [k, N]
    bins: Tensor  # [k, N] int32, in one row of all bins [scale, k, BINS]


class PatchColors:
    """Colors of pixels [3, h, w] and of their averages at all scales."""

    def __init__(self, pixels: Tensor) -> None:
        """Average the pixels [3, h, w] at every scale."""
        self._averages = [average_blocks(pixels, scale) for scale in SCALES]
        self._shapes = [tuple(plane.shape[1:]) for plane in self._averages]
        self._ends = [0, *accumulate(plane[0].numel() for plane in self._averages)]
        self._cached_projections: list[_Projection] = []

    @cached_property
    def _cells(self) -> Tensor:
        """The cells of all scales, [3, N]."""
        return torch.cat([plane.flatten(1) for plane in self._averages], 1)

    def accumulate(self, counts: Tensor, boxes: Sequence[Box], weights: Sequence[Tensor] | None = None) -> None:
        """Add the histograms of the cells under a box of every scale to `counts`.

        Args:
            counts: [scale, K, BINS], int64, as `count_histograms` returns for each scale.
            boxes: A box of cells for every scale.
            weights: Weights [h, w] of the cells under each box, from 0 to 1; None: all 1.
        """
        if weights is None and has_kernels(counts.device):
            counts.add_(
                count_colors(self._averages, boxes, _axes_table(counts.device), BINS), alpha=WEIGHT_UNITS
            )
            return
        area = sum(box.area for box in boxes)
        parts = None
        if weights is not None:
            parts = (torch.cat([x.flatten() for x in weights]) * WEIGHT_UNITS).round().long()
        for along in self._projections():
            bin_counts, count = counts[:, along.axes], len(along.bins)
            # Not in deterministic mode: torch would warn, since it does not know that these are whole numbers.
            rounded = (
                parts is None and area <= MAX_FLOAT32_COUNT and not torch.are_deterministic_algorithms_enabled()
            )
            owned = along.bins.new_empty(count, area, dtype=torch.float32 if rounded else torch.int64)
            start = 0
            for box, plane in zip(boxes, self._planes(along.bins), strict=True):
                plane_cells = owned[:, start : start + box.area].view(count, box.height, box.width)
                rows, columns = slice(box.top, box.top + box.height), slice(box.left, box.left + box.width)
                plane_cells.copy_(plane[:, rows, columns])
                start += box.area
            if rounded:  # histc counts in the shared memory of a multiprocessor
                histogram = torch.histc(owned, bin_counts.numel(), min=-0.5, max=bin_counts.numel() - 0.5)
                bin_counts.add_(histogram.long().view(bin_counts.shape), alpha=WEIGHT_UNITS)
                continue
            cell_weights = torch.full_like(owned[0], WEIGHT_UNITS) if parts is None else parts
            histogram = torch.zeros(bin_counts.numel(), dtype=torch.int64, device=owned.device)
            histogram.scatter_add_(0, owned.flatten(), cell_weights.expand(count, -1).flatten())
            bin_counts.add_(histogram.view(bin_counts.shape))

    def gradient(self, maps: Tensor, factor: float) -> Tensor:
        """Return `factor` times the sum of the scales' gradients, in the pixels [3, H, W].

        Args:
            maps: See `transport_gradients`.
            factor: What the gradient is multiplied by.
        """
        device = maps.device
        if has_kernels(device):
            axes = _axes_table(device)
            return palette_slope(self._averages, maps, axes, factor * 2 * 3 / len(axes))
        total = torch.zeros_like(self._averages[0])
        for scale, slope in zip(SCALES, self.transport_gradients(maps), strict=True):
            add_upsampled(total, slope, scale, factor)
        return total

    def transport_gradients(self, maps: Tensor) -> list[Tensor]:
        """Return the `transport_gradient` of every scale, [3, h, w] each, for maps [scale, K, BINS]."""
        total, vectors = torch.zeros_like(self._cells), _device_directions(self._cells.device).vectors
        for along in self._projections():
            targets = maps[:, along.axes].flatten().index_select(0, along.bins.flatten())
            targets = targets.view(along.positions.shape)
            total.addmm_(vectors[along.axes].mT, torch.sub(along.positions, targets, out=targets))
        return self._planes(total.mul_(2 * 3 / len(vectors)))

    def _planes(self, cells: Tensor) -> list[Tensor]:
        """Return values [C, N] of all cells as views [C, h, w], scale by scale."""
        return [
            cells[:, start:end].view(len(cells), *shape)
            for (start, end), shape in zip(pairwise(self._ends), self._shapes, strict=True)
        ]

    def _projections(self) -> Iterator[_Projection]:
        """Yield the directions in batches: all in one, computed once, where memory allows."""
        if self._cached_projections:
            yield from self._cached_projections
            return
        axes, total = _device_directions(self._cells.device), self._ends[-1]
        count = max(1, MAX_CACHED_BINS // max(1, total))
        for start in range(0, len(axes.vectors), count):
            part = slice(start, min(start + count, len(axes.vectors)))
            positions = axes.vectors[part] @ self._cells
            bins = (positions - axes.low[part]).mul_(axes.scale[part]).to(torch.int32).clamp_(0, BINS - 1)
            bins.add_(axes.first[: len(bins)])
            for scale, (first, last) in enumerate(pairwise(self._ends)):
                if scale:
                    bins[:, first:last].add_(scale * len(bins) * BINS)
            projection = _Projection(part, positions, bins)
            if count >= len(axes.vectors):
                self._cached_projections = [projection]
            yield projection


def add_upsampled(total: Tensor, cells: Tensor, scale: int, factor: float) -> None:
    """Add a gradient in cells [3, h, w] to that in the pixels that they average.

    Args:
        total: Gradient in pixels [3, H, W], in place.
        cells: Gradient in cells.
        scale: Pixels per cell, along an axis.
        factor: What the gradient is multiplied by.
    """
    height, width = total.shape[1:]
    if height % scale or width % scale:
        spread = cells.repeat_interleave(scale, 1)[:, :height].repeat_interleave(scale, 2)[:, :, :width]
        total.add_(spread, alpha=factor)
        return
    blocks = total.view(len(total), height // scale, scale, width // scale, scale)
    blocks.add_(cells[:, :, None, :, None], alpha=factor)
