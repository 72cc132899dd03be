"""The kernels of moments.py. One program sums some cells, of one pair of channel blocks."""

# mypy: ignore-errors
# ruff: noqa: PLR0913

from __future__ import annotations

import triton
import triton.language as tl


@triton.jit
def _pair(number, blocks):
    """Return the two channel blocks of a pair: (0, 0), (0, 1), ... (0, blocks - 1), (1, 1), ..."""
    first = number * 0
    rest = number
    for _ in range(blocks - 1):
        row = blocks - first
        further = rest >= row
        rest = tl.where(further, rest - row, rest)
        first = tl.where(further, first + 1, first)
    return first, first + rest


@triton.jit(do_not_specialize=["cells", "width", "blocks"])
def moments_kernel(
    features,
    parts,
    part_totals,
    channels,
    cells,
    width,
    row_stride,
    cell_stride,
    blocks,
    BLOCK_CELLS: tl.constexpr,
    BLOCK_CHANNELS: tl.constexpr,
):
    """Sum the products of two blocks of channels over some cells; and the first block itself."""
    program, count = tl.program_id(0), tl.num_programs(0)
    number, pairs = tl.program_id(1), tl.num_programs(1)
    i, j = _pair(number, blocks)
    c = tl.arange(0, BLOCK_CHANNELS)
    left, right = i * BLOCK_CHANNELS + c, j * BLOCK_CHANNELS + c
    products = tl.zeros([BLOCK_CHANNELS, BLOCK_CHANNELS], tl.float32)
    total = tl.zeros([BLOCK_CHANNELS], tl.float32)
    for start in range(program * BLOCK_CELLS, cells, count * BLOCK_CELLS):
        n = start + tl.arange(0, BLOCK_CELLS)
        inside = (n < cells)[:, None]
        places = features + ((n // width).to(tl.int64) * row_stride + (n % width) * cell_stride)[:, None]
        a = tl.load(places + left[None, :], mask=inside & (left < channels)[None, :], other=0.0)
        b = tl.load(places + right[None, :], mask=inside & (right < channels)[None, :], other=0.0)
        products = tl.dot(tl.trans(a), b, products)
        total += tl.sum(a.to(tl.float32), 0)
    part_sums = parts + (program * pairs + number).to(tl.int64) * (BLOCK_CHANNELS * BLOCK_CHANNELS)
    tl.store(part_sums + c[:, None] * BLOCK_CHANNELS + c[None, :], products)
    if i == j:
        tl.store(part_totals + (program * blocks + i) * BLOCK_CHANNELS + c, total)


@triton.jit(do_not_specialize=["count", "blocks"])
def add_parts_kernel(
    parts,
    part_totals,
    total,
    products,
    channels,
    count,
    blocks,
    BLOCK_CHANNELS: tl.constexpr,
    BLOCK_PARTS: tl.constexpr,
):
    """Add the sums of all programs to those before: a row of a pair of blocks, and its mirror image."""
    number, pairs = tl.program_id(0), tl.num_programs(0)
    i, j = _pair(number, blocks)
    r = tl.program_id(1)
    c = tl.arange(0, BLOCK_CHANNELS)
    size = BLOCK_CHANNELS * BLOCK_CHANNELS
    block_sum = tl.zeros([BLOCK_CHANNELS], tl.float32)
    for first in range(0, count, BLOCK_PARTS):
        k = first + tl.arange(0, BLOCK_PARTS)
        rows = parts + ((k * pairs + number).to(tl.int64) * size + r * BLOCK_CHANNELS)[:, None] + c[None, :]
        block_sum += tl.sum(tl.load(rows, mask=(k < count)[:, None], other=0.0), 0)
    row, column = i * BLOCK_CHANNELS + r, j * BLOCK_CHANNELS + c
    known = (column < channels) & (column * 0 + row < channels)
    own = products + row * channels + column
    tl.store(own, tl.load(own, mask=known, other=0.0) + block_sum, mask=known)
    if i != j:
        mirror = products + column * channels + row
        tl.store(mirror, tl.load(mirror, mask=known, other=0.0) + block_sum, mask=known)
    elif r == 0:
        part_sum = tl.zeros([BLOCK_CHANNELS], tl.float32)
        for first in range(0, count, BLOCK_PARTS):
            k = first + tl.arange(0, BLOCK_PARTS)
            rows = part_totals + ((k * blocks + i) * BLOCK_CHANNELS)[:, None] + c[None, :]
            part_sum += tl.sum(tl.load(rows, mask=(k < count)[:, None], other=0.0), 0)
        total_cells, valid = total + column, column < channels
        tl.store(total_cells, tl.load(total_cells, mask=valid, other=0.0) + part_sum, mask=valid)
