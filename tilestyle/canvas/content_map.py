"""The content map of a level: the factor of the content weight at each pixel of its canvas."""

from __future__ import annotations

import torch
from torch import Tensor

from tilestyle.canvas.canvas import read_box
from tilestyle.canvas.mapped_pages import note_mapped_access
from tilestyle.devices.transfer import to_device
from tilestyle.geometry.boxes import Patch
from tilestyle.stats.sliced_wasserstein import average_blocks


class ContentMap:
    """Factors of the content weight over a level's canvas.

    Attributes:
        plane: The factors, [1, H, W], numbers from 0 up.
    """

    def __init__(self, plane: Tensor) -> None:
        """Take the factors, [1, H, W]."""
        self.plane = plane
        self._last: tuple[Patch, torch.device, Tensor] | None = None

    def cell_factors(self, patch: Patch, stride: int, device: torch.device) -> Tensor:
        """Return the factor of every cell of a patch, [h, w] in float32, on the device.

        Several layers ask for the same patch: it is read and sent to the device once.

        Args:
            patch: The patch.
            stride: Patch pixels per cell, per axis.
            device: Where the factors are needed.
        """
        if self._last is None or self._last[:2] != (patch, device):
            self._last = None  # freed before the next is allocated
            window = read_box(self.plane, patch.read, patch.scale)
            note_mapped_access(window, times=patch.scale**2)
            self._last = patch, device, to_device(window, device, torch.float32)
        return average_blocks(self._last[2], stride)[0]
