"""The kernel of content.py. One program takes some cells of a row, and some of their channels."""

# mypy: ignore-errors
# ruff: noqa: PLR0913

from __future__ import annotations

import triton
import triton.language as tl


@triton.jit(do_not_specialize=["width", "factor", "top", "left", "owned_height", "owned_width"])
def difference_kernel(
    features,
    target,
    gradient,
    squares,
    channels,
    width,
    target_channel,
    target_row,
    target_cell,
    factor,
    top,
    left,
    owned_height,
    owned_width,
    BLOCK_CELLS: tl.constexpr,
    BLOCK_CHANNELS: tl.constexpr,
):
    """Add the difference of some cells of a row to the gradient, and sum its squares."""
    i = tl.program_id(0)
    j = tl.program_id(1) * BLOCK_CELLS + tl.arange(0, BLOCK_CELLS)
    c = tl.program_id(2) * BLOCK_CHANNELS + tl.arange(0, BLOCK_CHANNELS)
    inside = (j < width)[:, None] & (c < channels)[None, :]
    places = ((i * width + j).to(tl.int64) * channels)[:, None] + c[None, :]
    target_cells = target + i.to(tl.int64) * target_row + (j * target_cell)[:, None]
    target_cells += (c.to(tl.int64) * target_channel)[None, :]
    own = tl.load(features + places, mask=inside, other=0.0).to(tl.float32)
    difference = own - tl.load(target_cells, mask=inside, other=0.0).to(tl.float32)
    gradient_cells = gradient + places
    changed = tl.load(gradient_cells, mask=inside, other=0.0).to(tl.float32) + factor * difference
    tl.store(gradient_cells, changed.to(gradient.dtype.element_ty), mask=inside)
    rows = j * 0 + i
    counts = (rows >= top) & (rows < top + owned_height) & (j >= left) & (j < left + owned_width)
    counted_squares = tl.where(counts[:, None] & inside, difference * difference, 0.0)
    number = (i * tl.num_programs(1) + tl.program_id(1)) * tl.num_programs(2) + tl.program_id(2)
    tl.store(squares + number, tl.sum(tl.sum(counted_squares, 1), 0))
