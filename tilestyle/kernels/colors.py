"""Colors of a patch counted along directions, and taken where transport maps say: a kernel each."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from tilestyle.geometry.boxes import Box
from tilestyle.kernels.support import LAUNCH_OPTIONS

COUNTED, MAPPED = 2048, 1024  # cells of one program


def count_colors(planes: Sequence[Tensor], boxes: Sequence[Box], axes: Tensor, bins: int) -> Tensor:
    """Count cells along every direction.

    Args:
        planes: Colors at every scale, [3, h, w] float32 each.
        boxes: Which cells count, for every scale.
        axes: Of every direction its vector, where the first bin begins, and bins per unit: [K, 5] float32.
        bins: Bins of a direction, a power of two.

    Returns:
        [scales, K, bins] int32.
    """
    from tilestyle.kernels import triton_colors

    counts = torch.zeros(len(planes), len(axes), bins, dtype=torch.int32, device=axes.device)
    for plane, box, into in zip(planes, boxes, counts, strict=True):
        if box.area:
            triton_colors.count_kernel[(-(-box.area // COUNTED),)](
                plane,
                into,
                axes,
                *plane.stride(),
                box.top,
                box.left,
                box.width,
                box.area,
                DIRECTIONS=len(axes),
                BINS=bins,
                BLOCK=COUNTED,
                num_warps=8,
                **LAUNCH_OPTIONS,
            )
    return counts


def palette_slope(planes: Sequence[Tensor], maps: Tensor, axes: Tensor, factor: float) -> Tensor:
    """Return the sum over the scales of factor x (color - where the maps take it), in pixels.

    Args:
        planes: Colors at scales 1, 2 and 4, [3, h, w] float32 each; blocks at the far edges may be smaller.
        maps: Where each bin goes along each direction, [3, K, bins] float32.
        axes: See `count_colors`.
        factor: What the slope is multiplied by.

    Returns:
        [3, H, W] float32.
    """
    from tilestyle.kernels import triton_colors

    slope = torch.empty(planes[0].shape, device=axes.device)
    height, width = slope.shape[1:]
    triton_colors.palette_kernel[(-(-height * width // MAPPED),)](
        *planes,
        maps,
        axes,
        slope,
        *(stride for plane in planes for stride in plane.stride()),
        width,
        height * width,
        factor,
        DIRECTIONS=len(axes),
        BINS=maps.shape[2],
        BLOCK=MAPPED,
        **LAUNCH_OPTIONS,
    )
    return slope
