"""The difference between features and those of the content, added to a gradient and squared, in one kernel."""

from __future__ import annotations

import torch
from torch import Tensor

from tilestyle.geometry.boxes import Box
from tilestyle.kernels.support import LAUNCH_OPTIONS

CELLS, CHANNELS = 64, 32  # of one program


def add_difference(features: Tensor, target: Tensor, gradient: Tensor, factor: float, cells: Box) -> Tensor:
    """Add `factor` times (features - target) to a gradient.

    Args:
        features: [1, C, h, w], channels-last.
        target: [1, C, h, w], with any strides.
        gradient: [1, C, h, w], channels-last, in place.
        factor: What the difference is multiplied by.
        cells: Cells whose squares count.

    Returns:
        Sum of the squared differences of those cells, a float32 scalar on the device.
    """
    from tilestyle.kernels import triton_content

    _, channels, height, width = features.shape
    grid = height, -(-width // CELLS), -(-channels // CHANNELS)
    # Of each program, and then summed in order: the same features give the same bits every time.
    squares = torch.empty(grid, dtype=torch.float32, device=features.device)
    triton_content.difference_kernel[grid](
        features,
        target,
        gradient,
        squares,
        channels,
        width,
        *target.stride()[1:],
        factor,
        cells.top,
        cells.left,
        cells.height,
        cells.width,
        BLOCK_CELLS=CELLS,
        BLOCK_CHANNELS=CHANNELS,
        **LAUNCH_OPTIONS,
    )
    return squares.sum()


def takes(features: Tensor, gradient: Tensor) -> bool:
    """Return whether `add_difference` can be used: channels-last, one picture."""
    return len(features) == 1 and all(
        each.is_contiguous(memory_format=torch.channels_last) for each in (features, gradient)
    )
