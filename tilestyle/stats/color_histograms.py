"""Colours of a patch on a device, counted and drawn to a palette at all scales together.

What sliced_wasserstein.py does, one scale and a few directions after the other, as a CPU's caches like it, is
here done in few kernels, and nothing is copied that has been copied before: launches are what this costs on a
device.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from itertools import accumulate, pairwise

import torch
from torch import Tensor

from tilestyle.geometry.boxes import Box
from tilestyle.stats.sliced_wasserstein import BINS, PARTS, SCALES, averaged, directions

# Cells times directions whose bins are found at once, and then kept for a second use.
TOGETHER = 2**24
# Cells that are counted in float32 without rounding.
COUNTED = 2**24


@dataclass(frozen=True)
class _Axes:
    """The directions on a device: [K, 3], and columns [K, 1]."""

    vectors: Tensor
    low: Tensor
    scale: Tensor  # bins in a unit
    first: Tensor  # bin of every direction where all bins are in one row


@cache
def _axes(device: torch.device) -> _Axes:
    """Sent once: a small copy, too, is waited for."""
    axes = directions()
    first = BINS * torch.arange(len(axes.vectors), dtype=torch.int32)
    columns = (x[:, None].to(device) for x in (axes.low, 1 / axes.width, first))
    return _Axes(axes.vectors.to(device), *columns)


@dataclass(frozen=True)
class _Along:
    """Some of the directions, and where cells lie along them."""

    part: slice  # of the directions
    places: Tensor  # [k, N]
    bins: Tensor  # [k, N] int32, in one row of all bins [scale, k, BINS]


class Colours:
    """Colours of pixels [3, h, w] as they are and averaged, one after the other."""

    def __init__(self, pixels: Tensor) -> None:
        """Average them."""
        self._pixels = pixels
        planes = [averaged(pixels, scale) for scale in SCALES]
        self._shapes = [tuple(plane.shape[1:]) for plane in planes]
        self._cells = torch.cat([plane.flatten(1) for plane in planes], 1)
        self._ends = [0, *accumulate(plane[0].numel() for plane in planes)]
        self._kept: list[_Along] = []

    def count(self, counts: Tensor, boxes: Sequence[Box], weights: Sequence[Tensor] | None = None) -> None:
        """Count the cells under a box of every scale in: as `counts_of`, into [scale, K, BINS].

        `weights`, if there are some, are of the cells under the boxes, [h, w] each.
        """
        area = sum(box.area for box in boxes)
        parts = None
        if weights is not None:
            parts = (torch.cat([x.flatten() for x in weights]) * PARTS).round().long()
        for along in self._along():
            into, count = counts[:, along.part], len(along.bins)
            # Not where kernels are to be deterministic: torch would warn, not knowing that these are whole.
            rounded = parts is None and area <= COUNTED and not torch.are_deterministic_algorithms_enabled()
            owned = along.bins.new_empty(count, area, dtype=torch.float32 if rounded else torch.int64)
            start = 0
            for box, plane in zip(boxes, self._planes(along.bins), strict=True):
                place = owned[:, start : start + box.area].view(count, box.height, box.width)
                rows, columns = slice(box.top, box.top + box.height), slice(box.left, box.left + box.width)
                place.copy_(plane[:, rows, columns])
                start += box.area
            if rounded:  # counted in a multiprocessor's own memory
                found = torch.histc(owned, into.numel(), min=-0.5, max=into.numel() - 0.5)
                into.add_(found.long().view(into.shape), alpha=PARTS)
                continue
            each = torch.full_like(owned[0], PARTS) if parts is None else parts
            found = torch.zeros(into.numel(), dtype=torch.int64, device=owned.device)
            found.scatter_add_(0, owned.flatten(), each.expand(count, -1).flatten())
            into.add_(found.view(into.shape))

    def slopes(self, maps: Tensor) -> list[Tensor]:
        """As `sliced_wasserstein.slope_at` of every scale, of maps [scale, K, BINS]."""
        total, vectors = torch.zeros_like(self._cells), _axes(self._cells.device).vectors
        for along in self._along():
            goals = maps[:, along.part].flatten().index_select(0, along.bins.flatten())
            goals = goals.view(along.places.shape)
            total.addmm_(vectors[along.part].mT, torch.sub(along.places, goals, out=goals))
        return self._planes(total.mul_(2 * 3 / len(vectors)))

    def _planes(self, cells: Tensor) -> list[Tensor]:
        """Numbers [C, N] of the cells, scale by scale [C, h, w]: views."""
        return [
            cells[:, start:end].view(len(cells), *shape)
            for (start, end), shape in zip(pairwise(self._ends), self._shapes, strict=True)
        ]

    def _along(self) -> Iterator[_Along]:
        """The directions in turn: all together and once, where that is not too much."""
        if self._kept:
            yield from self._kept
            return
        axes, total = _axes(self._cells.device), self._ends[-1]
        count = max(1, TOGETHER // max(1, total))
        for start in range(0, len(axes.vectors), count):
            part = slice(start, min(start + count, len(axes.vectors)))
            places = axes.vectors[part] @ self._cells
            bins = (places - axes.low[part]).mul_(axes.scale[part]).to(torch.int32).clamp_(0, BINS - 1)
            bins.add_(axes.first[: len(bins)])
            for scale, (first, last) in enumerate(pairwise(self._ends)):
                if scale:
                    bins[:, first:last].add_(scale * len(bins) * BINS)
            found = _Along(part, places, bins)
            if count >= len(axes.vectors):
                self._kept = [found]
            yield found


def add_shown(total: Tensor, cells: Tensor, scale: int, factor: float) -> None:
    """Add a gradient in cells [3, h, w] to that in the pixels that they average, times a factor."""
    height, width = total.shape[1:]
    if height % scale or width % scale:
        spread = cells.repeat_interleave(scale, 1)[:, :height].repeat_interleave(scale, 2)[:, :, :width]
        total.add_(spread, alpha=factor)
        return
    blocks = total.view(len(total), height // scale, scale, width // scale, scale)
    blocks.add_(cells[:, :, None, :, None], alpha=factor)
