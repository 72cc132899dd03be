"""Gradients of overlapping patches, averaged with weights that fall towards the edges of a patch."""

from __future__ import annotations

import torch
from torch import Tensor

from tilestyle.canvas.canvas import add_to_box
from tilestyle.canvas.mapped_pages import note_mapped_access
from tilestyle.canvas.storage import CPU, PlaneStore
from tilestyle.geometry.boxes import CanvasExtent, Patch

# Weights rise to 1 in the middle of a window. A pixel takes a full step where its weights sum to at least
# 1 / OVERLAP_FADE.
OVERLAP_FADE = 8


class GradientAccumulator:
    """Weighted mean of the gradients of a sweep's patches; takes 16 bytes per pixel next to the canvas."""

    def __init__(self, extent: CanvasExtent, store: PlaneStore) -> None:
        self._gradient = store.zeros(3, extent.height, extent.width)
        self._weight = store.zeros(1, extent.height, extent.width)

    def add(self, patch: Patch, gradient: Tensor) -> None:
        """Add the gradient of a patch in the pixels that it reads, [3, height, width]."""
        weight = overlap_weights(patch, gradient.device)
        add_to_box(self._gradient, patch.read, gradient * weight)
        add_to_box(self._weight, patch.read, weight)
        note_mapped_access(gradient, weight)

    def mean(self, rows: slice) -> tuple[Tensor, Tensor]:
        """Return the mean gradient of some rows of the canvas, and how much of a step their pixels take.

        Returns:
            - The mean gradient, [3, h, W].
            - The fraction of a step, [1, h, W] from 0 to 1. It is below 1 only near the edge of an independent
              window that no other window covers. With full steps there and none outside, the edge would show.
        """
        weight = self._weight[:, rows]
        return self._gradient[:, rows] / weight.clamp(min=1e-12), (OVERLAP_FADE * weight).clamp(max=1)


def overlap_weights(patch: Patch, device: torch.device = CPU) -> Tensor:
    """Return the weights [1, height, width] of a patch in the pixels that it reads: lower towards the edges.

    With a halo, the weights of two neighbors sum to one where they overlap. Without a halo (an independent
    window), they form a pyramid.
    """
    rows = _ramp(patch.read.height, patch.read.height - patch.owned.height, device)
    columns = _ramp(patch.read.width, patch.read.width - patch.owned.width, device)
    return (rows[:, None] * columns[None])[None]


def _ramp(length: int, overlap: int, device: torch.device) -> Tensor:
    """Return a trapezoid of `length` pixels that rises and falls over `overlap`; a triangle without overlap."""
    rise = overlap if overlap else length / 2
    position = torch.arange(length, device=device) + 0.5
    return torch.minimum(position, length - position).div(rise).clamp(max=1)
