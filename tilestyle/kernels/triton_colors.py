"""The kernels of colors.py. One program takes some cells along all directions."""

# mypy: ignore-errors
# ruff: noqa: PLR0913

from __future__ import annotations

import triton
import triton.language as tl

_STRIDES = ["plane_channel", "plane_row", "plane_column"]
_ALL_STRIDES = [f"{plane}_{axis}" for plane in ("one", "two", "four") for axis in ("channel", "row", "column")]


@triton.jit
def _bins(red, green, blue, axes, k, BINS: tl.constexpr):
    """Project colors onto direction k: vector, position, bin."""
    x, y, z = tl.load(axes + 5 * k), tl.load(axes + 5 * k + 1), tl.load(axes + 5 * k + 2)
    low, scale = tl.load(axes + 5 * k + 3), tl.load(axes + 5 * k + 4)
    position = red * x + green * y + blue * z
    index = ((position - low) * scale).to(tl.int32)
    return x, y, z, position, tl.minimum(tl.maximum(index, 0), BINS - 1)


@triton.jit(do_not_specialize=[*_STRIDES, "top", "left", "width", "count"])
def count_kernel(
    plane,
    counts,
    axes,
    plane_channel,
    plane_row,
    plane_column,
    top,
    left,
    width,
    count,
    DIRECTIONS: tl.constexpr,
    BINS: tl.constexpr,
    BLOCK: tl.constexpr,
):
    """Count some cells along all directions."""
    n = tl.program_id(0) * BLOCK + tl.arange(0, BLOCK)
    inside = n < count
    start = plane + (n // width + top) * plane_row + (n % width + left) * plane_column
    red = tl.load(start, mask=inside, other=0.0)
    green = tl.load(start + plane_channel, mask=inside, other=0.0)
    blue = tl.load(start + 2 * plane_channel, mask=inside, other=0.0)
    outside = tl.maximum((tl.program_id(0) + 1) * BLOCK - count, 0)
    number = tl.arange(0, BINS)
    for k in range(DIRECTIONS):
        _, _, _, _, index = _bins(red, green, blue, axes, k, BINS)
        # Cells outside the box are counted in the first bin, and subtracted.
        histogram = tl.histogram(tl.where(inside, index, 0), BINS)
        histogram = tl.where(number == 0, histogram - outside, histogram)
        tl.atomic_add(counts + k * BINS + number, histogram, mask=histogram != 0)


@triton.jit(do_not_specialize=[*_ALL_STRIDES, "width", "count", "factor"])
def palette_kernel(
    one,
    two,
    four,
    maps,
    axes,
    slope,
    one_channel,
    one_row,
    one_column,
    two_channel,
    two_row,
    two_column,
    four_channel,
    four_row,
    four_column,
    width,
    count,
    factor,
    DIRECTIONS: tl.constexpr,
    BINS: tl.constexpr,
    BLOCK: tl.constexpr,
):
    """Compute the slope at some pixels."""
    n = tl.program_id(0) * BLOCK + tl.arange(0, BLOCK)
    inside = n < count
    i, j = n // width, n % width
    along_x = tl.full([BLOCK], 0.0, tl.float32)
    along_y = tl.full([BLOCK], 0.0, tl.float32)
    along_z = tl.full([BLOCK], 0.0, tl.float32)
    for scale in tl.static_range(3):
        if scale == 0:
            start, channel = one + i * one_row + j * one_column, one_channel
        elif scale == 1:
            start, channel = two + (i // 2) * two_row + (j // 2) * two_column, two_channel
        else:
            start, channel = four + (i // 4) * four_row + (j // 4) * four_column, four_channel
        red = tl.load(start, mask=inside, other=0.0)
        green = tl.load(start + channel, mask=inside, other=0.0)
        blue = tl.load(start + 2 * channel, mask=inside, other=0.0)
        for k in range(DIRECTIONS):
            x, y, z, position, index = _bins(red, green, blue, axes, k, BINS)
            difference = position - tl.load(
                maps + (scale * DIRECTIONS + k) * BINS + index, mask=inside, other=0.0
            )
            along_x += difference * x
            along_y += difference * y
            along_z += difference * z
    tl.store(slope + n, factor * along_x, mask=inside)
    tl.store(slope + count + n, factor * along_y, mask=inside)
    tl.store(slope + 2 * count + n, factor * along_z, mask=inside)
