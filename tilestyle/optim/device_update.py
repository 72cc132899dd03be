"""Adam steps on a device for a canvas on the host: pixels and state are uploaded, stepped, downloaded.

Adam reads and writes 40 bytes per pixel in a dozen passes. On one thread of a host that takes 25 ms per
megapixel, and copying everything to the device's buffers and back 12 ms; on two threads 15 and 6 ms. (AMD EPYC,
a window of 1024 x 1024 pixels of a canvas of 8192 x 2048: `Adam().update` against copies of the same views.)
The copies run while the device computes other patches.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from itertools import accumulate, pairwise

import torch
from torch import Tensor

from tilestyle.canvas.canvas import PLANES, Canvas, read_box, write_box
from tilestyle.canvas.mapped_pages import note_mapped_access
from tilestyle.devices.staging import AsyncCopy
from tilestyle.devices.transfer import to_device
from tilestyle.geometry.boxes import Box, Patch
from tilestyle.optim.adam import Adam, AdamBuffers

# Bytes per pixel: its channels in all planes.
PIXEL_BYTES = 4 * sum(channels for channels, _ in PLANES.values())


@dataclass(frozen=True)
class DeviceUpdate:
    """Steps the pixels of a canvas on a device where the canvas is not."""

    canvas: Canvas
    device: torch.device
    adam: Adam
    learning_rate: float
    coverage: Callable[[Box], Tensor] | None = None  # fraction of a step that pixels take, [1, h, w]

    def start(self, patch: Patch, gradient: Tensor, window: Tensor) -> AsyncCopy:
        """Step the interior of a patch, which no other patch reads, and start the download.

        Args:
            patch: The patch.
            gradient: Gradient in the pixels that it reads, [3, height, width] on the device.
            window: The same pixels of the canvas on the device, float32; overwritten. At scales above 1, the
                reduced pixels that the network saw, which are not used.

        Returns:
            A copy under way to the canvas's device: one flat tensor with the stepped planes of the interior and
            the gradients of the borders. `unpack` takes it apart.
        """
        interior, borders = patch.interior_and_borders
        planes = {}
        for name, plane in self.canvas.planes.items():
            if name == "pixels" and patch.scale == 1:
                planes[name] = window_at(interior, patch, window)
                continue
            part = read_box(plane, interior)
            planes[name] = to_device(part, self.device, torch.float32)
            note_mapped_access(part)
        styled = (
            None if self.coverage is None else to_device(self.coverage(interior), self.device, torch.float32)
        )
        with torch.no_grad():
            if interior.area:
                self.adam.update(
                    planes,
                    window_at(interior, patch, gradient),
                    self.learning_rate,
                    styled,
                    AdamBuffers.allocate(planes),
                )
            parts = [*planes.values(), *(window_at(border, patch, gradient) for border in borders)]
            ends = [0, *accumulate(part.numel() for part in parts)]
            packed = torch.empty(ends[-1], device=self.device)
            for part, (start, end) in zip(parts, pairwise(ends), strict=True):
                packed[start:end].view(part.shape).copy_(part)
        return AsyncCopy.start(packed, self.canvas.pixels.device)

    def unpack(self, patch: Patch, values: Tensor) -> tuple[dict[str, Tensor], dict[Box, Tensor]]:
        """Take apart what `start` sent back.

        Args:
            patch: The patch.
            values: The flat tensor, after its download.

        Returns:
            - The planes of the interior by name, [C, h, w].
            - The gradients of the borders by box, [3, h, w].

            All are views of `values`.
        """
        interior, borders = patch.interior_and_borders
        views, start = [], 0
        shapes = [(channels, interior) for channels, _ in PLANES.values()] + [(3, border) for border in borders]
        for channels, box in shapes:
            count = channels * box.area
            views.append(values[start : start + count].view(channels, box.height, box.width))
            start += count
        count = len(PLANES)
        return dict(zip(PLANES, views[:count], strict=True)), dict(zip(borders, views[count:], strict=True))

    def write_back(self, patch: Patch, planes: dict[str, Tensor]) -> None:
        """Write the stepped interior of a patch to the canvas."""
        interior, _ = patch.interior_and_borders
        for name, plane in self.canvas.planes.items():
            write_box(plane, interior, planes[name])
            note_mapped_access(planes[name])


def window_at(box: Box, patch: Patch, window: Tensor) -> Tensor:
    """Return the part of a patch's window [C, height, width] that lies under a box: a view [C, h, w]."""
    top, left = box.top - patch.read.top, box.left - patch.read.left
    return window[:, top : top + box.height, left : left + box.width]
