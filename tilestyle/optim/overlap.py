"""Gradients of overlapping patches, blended by weights that sum to one."""

from __future__ import annotations

import torch
from torch import Tensor

from tilestyle.canvas.canvas import add
from tilestyle.canvas.storage import CPU, Store, touched
from tilestyle.geometry.boxes import Extent, Patch

# Weights rise to 1 at the middle of a window; a step is whole where they are above one eighth.
FADE = 8


class Blend:
    """Weighted mean of the patches' gradients over one sweep; costs 16 bytes a pixel where the canvas is."""

    def __init__(self, extent: Extent, store: Store) -> None:
        self._gradient = store.zeros(3, extent.height, extent.width)
        self._weight = store.zeros(1, extent.height, extent.width)

    def add(self, patch: Patch, gradient: Tensor) -> None:
        """Add what a patch says, [3, height, width] of its read box, fading towards the box's edges."""
        weight = window(patch, gradient.device)
        add(self._gradient, patch.read, gradient * weight)
        add(self._weight, patch.read, weight)
        touched(gradient, weight)

    def mean(self, rows: slice) -> tuple[Tensor, Tensor]:
        """Of some rows: the mean gradient [3, h, W], and how far each pixel has been seen, 0 to 1 [1, h, W].

        Less than 1 only near the edge of an independent window that no other covers: were pixels there stepped
        fully, and their neighbours outside not at all, the edge would show.
        """
        weight = self._weight[:, rows]
        return self._gradient[:, rows] / weight.clamp(min=1e-12), (FADE * weight).clamp(max=1)


def window(patch: Patch, device: torch.device = CPU) -> Tensor:
    """Blend weights [1, height, width] of a read box, made where they are used: positive, falling to its edges.

    Over a halo's overlap the ramps of two neighbours sum to one; a window without halo is a pyramid.
    """
    rows = _ramp(patch.read.height, patch.read.height - patch.owned.height, device)
    columns = _ramp(patch.read.width, patch.read.width - patch.owned.width, device)
    return (rows[:, None] * columns[None])[None]


def _ramp(length: int, overlap: int, device: torch.device) -> Tensor:
    """Trapezoid over `length` pixels, rising and falling over `overlap` (or half the length, without)."""
    rise = overlap if overlap else length / 2
    position = torch.arange(length, device=device) + 0.5
    return torch.minimum(position, length - position).div(rise).clamp(max=1)
