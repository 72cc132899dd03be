"""Steps on a device of a canvas that is on the host: what a patch owns goes there, is stepped, and comes back.

The optimiser reads and writes 40 bytes a pixel, in a dozen passes. On one thread of a host that takes 25 ms a
megapixel, and copying all of it to the device's buffers and back 12 ms; on two threads 15 and 6. (AMD EPYC, a
window of 1024 x 1024 pixels of a canvas of 8192 x 2048: `Adam().update` beside copies of the same views.) What
travels does so while the device is at work on other patches.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from itertools import accumulate, pairwise

import torch
from torch import Tensor

from tilestyle.canvas.canvas import PLANES, Canvas, put, read
from tilestyle.canvas.storage import touched
from tilestyle.devices.staging import Landing
from tilestyle.devices.transfer import sent
from tilestyle.geometry.boxes import Box, Patch
from tilestyle.optim.adam import Adam, Room

# Bytes of a pixel: its channels in all planes.
PIXEL = 4 * sum(channels for channels, _ in PLANES.values())


@dataclass(frozen=True)
class Visits:
    """How the pixels of a canvas are stepped on a device."""

    canvas: Canvas
    device: torch.device
    adam: Adam
    rate: float
    styled: Callable[[Box], Tensor] | None = None  # how much of a step pixels take, [1, h, w]

    def begin(self, patch: Patch, gradient: Tensor, window: Tensor) -> Landing:
        """Begin to step what no other patch sees.

        Args:
            patch: What owns it.
            gradient: Of what the patch reads, [3, height, width] on the device.
            window: The same part of the canvas on the device, float32, which is used up; at scales above 1, as
                it was shown.
        """
        inner, rims = patch.parts
        planes = {}
        for name, plane in self.canvas.planes.items():
            if name == "pixels" and patch.scale == 1:
                planes[name] = under(inner, patch, window)
                continue
            part = read(plane, inner)
            planes[name] = sent(part, self.device, torch.float32)
            touched(part)
        styled = None if self.styled is None else sent(self.styled(inner), self.device, torch.float32)
        with torch.no_grad():
            if inner.area:
                self.adam.update(planes, under(inner, patch, gradient), self.rate, styled, Room.of(planes))
            parts = [*planes.values(), *(under(rim, patch, gradient) for rim in rims)]
            ends = [0, *accumulate(part.numel() for part in parts)]
            together = torch.empty(ends[-1], device=self.device)
            for part, (start, end) in zip(parts, pairwise(ends), strict=True):
                together[start:end].view(part.shape).copy_(part)
        return Landing.of(together, self.canvas.pixels.device)

    def landed(self, patch: Patch, values: Tensor) -> tuple[dict[str, Tensor], dict[Box, Tensor]]:
        """What came back: the planes of the part that was stepped, and the gradients of the rims; views."""
        inner, rims = patch.parts
        found, start = [], 0
        shapes = [(channels, inner) for channels, _ in PLANES.values()] + [(3, rim) for rim in rims]
        for channels, box in shapes:
            count = channels * box.area
            found.append(values[start : start + count].view(channels, box.height, box.width))
            start += count
        count = len(PLANES)
        return dict(zip(PLANES, found[:count], strict=True)), dict(zip(rims, found[count:], strict=True))

    def end(self, patch: Patch, planes: dict[str, Tensor]) -> None:
        """Put what was stepped in its place."""
        inner, _ = patch.parts
        for name, plane in self.canvas.planes.items():
            put(plane, inner, planes[name])
            touched(planes[name])


def under(box: Box, patch: Patch, window: Tensor) -> Tensor:
    """What a window [C, height, width] of what a patch reads says of a box in it: a view."""
    top, left = box.top - patch.read.top, box.left - patch.read.left
    return window[:, top : top + box.height, left : left + box.width]
