"""The kernels of cells.py. One program computes some cells of a row, and some of their channels."""

# mypy: ignore-errors
# ruff: noqa: PLR0913

from __future__ import annotations

import triton
import triton.language as tl


@triton.jit
def _loaded(pointer, row, columns, width, channels, stride, UNIT: tl.constexpr, mask):
    """Load cells of a row: [cells, channels], float32. `stride` counts the channels in units."""
    offsets = (row * width).to(tl.int64) * (stride * UNIT)
    places = columns[:, None] * (stride * UNIT) + channels[None, :]
    return tl.load(pointer + offsets + places, mask=mask, other=0.0).to(tl.float32)


# Sizes differ from layer to layer and patch to patch: a kernel for each kind would be built again and again.
_PADDED_SIZES = ["channels", "height", "width", "out_height", "out_width", "scale"]
_PIXEL_STRIDES = ["picture_stride", "channel_stride", "row_stride", "column_stride"]
_OUT_SIZES = ["out_channels", "out_height", "out_width", "inner_height", "inner_width"]


@triton.jit(do_not_specialize=_PADDED_SIZES)
def pool_and_pad_kernel(
    features,
    out,
    channels,
    height,
    width,
    out_height,
    out_width,
    scale,
    UNIT: tl.constexpr,
    POOL: tl.constexpr,
    PAD: tl.constexpr,
    BLOCK_CELLS: tl.constexpr,
    BLOCK_CHANNELS: tl.constexpr,
):
    """Pool some cells of a row, and pad."""
    row = tl.program_id(0)
    picture, i = row // out_height, row % out_height
    j = tl.program_id(1) * BLOCK_CELLS + tl.arange(0, BLOCK_CELLS)
    c = tl.program_id(2) * BLOCK_CHANNELS + tl.arange(0, BLOCK_CHANNELS)
    stride = channels // UNIT
    known = (j < out_width)[:, None] & (c < stride * UNIT)[None, :]
    # The cell that is shown: of the pooled picture, where the padding repeats its edge.
    pi = tl.minimum(tl.maximum(i - PAD, 0), out_height - 2 * PAD - 1)
    pj = tl.minimum(tl.maximum(j - PAD, 0), out_width - 2 * PAD - 1)
    first = picture * height
    if POOL == 0:
        values = _loaded(features, first + pi, pj, width, c, stride, UNIT, known)
    else:
        a = _loaded(features, first + 2 * pi, 2 * pj, width, c, stride, UNIT, known)
        b = _loaded(features, first + 2 * pi, 2 * pj + 1, width, c, stride, UNIT, known)
        d = _loaded(features, first + 2 * pi + 1, 2 * pj, width, c, stride, UNIT, known)
        e = _loaded(features, first + 2 * pi + 1, 2 * pj + 1, width, c, stride, UNIT, known)
        if POOL == 1:
            values = tl.maximum(tl.maximum(a, b), tl.maximum(d, e)) * scale
        else:
            values = (a + b + d + e) * scale
    offsets = (row * out_width).to(tl.int64) * (stride * UNIT)
    places = j[:, None] * (stride * UNIT) + c[None, :]
    tl.store(out + offsets + places, values.to(out.dtype.element_ty), mask=known)


@triton.jit
def _folded(
    gradient, first, pi, pj, inner_height, inner_width, c, stride, UNIT: tl.constexpr, PAD: tl.constexpr, below
):
    """Load the gradient of cells, with that of the padding that repeats them."""
    padded_width = inner_width + 2 * PAD
    total = _loaded(gradient, first + pi + PAD, pj + PAD, padded_width, c, stride, UNIT, below)
    if PAD == 1:
        left, right = below & (pj == 0)[:, None], below & (pj == inner_width - 1)[:, None]
        far = pj * 0 + inner_width + 1
        total += _loaded(gradient, first + pi + 1, pj * 0, padded_width, c, stride, UNIT, left)
        total += _loaded(gradient, first + pi + 1, far, padded_width, c, stride, UNIT, right)
        if pi == 0:
            total += _loaded(gradient, first, pj + 1, padded_width, c, stride, UNIT, below)
            total += _loaded(gradient, first, pj * 0, padded_width, c, stride, UNIT, left)
            total += _loaded(gradient, first, far, padded_width, c, stride, UNIT, right)
        if pi == inner_height - 1:
            last = first + inner_height + 1
            total += _loaded(gradient, last, pj + 1, padded_width, c, stride, UNIT, below)
            total += _loaded(gradient, last, pj * 0, padded_width, c, stride, UNIT, left)
            total += _loaded(gradient, last, far, padded_width, c, stride, UNIT, right)
    return total


@triton.jit(do_not_specialize=[*_OUT_SIZES, "channels"])
def fold_gradient_kernel(
    gradient,
    features,
    cotangent,
    out,
    matrix,
    offset,
    channels,
    inner_height,
    inner_width,
    out_channels,
    out_height,
    out_width,
    UNIT: tl.constexpr,
    OUT_UNIT: tl.constexpr,
    PAD: tl.constexpr,
    RECTIFIED: tl.constexpr,
    ADDED: tl.constexpr,
    AFFINE: tl.constexpr,
    BLOCK_CELLS: tl.constexpr,
    BLOCK_CHANNELS: tl.constexpr,
):
    """Take the gradient of some cells of a row back through padding and rectifier."""
    row = tl.program_id(0)
    picture, i = row // out_height, row % out_height
    j = tl.program_id(1) * BLOCK_CELLS + tl.arange(0, BLOCK_CELLS)
    c = tl.program_id(2) * BLOCK_CHANNELS + tl.arange(0, BLOCK_CHANNELS)
    stride, out_stride = channels // UNIT, out_channels // OUT_UNIT
    inside = (j < out_width)[:, None] & (c < out_stride * OUT_UNIT)[None, :]
    first = picture * (inner_height + 2 * PAD)
    total = _folded(gradient, first, i, j, inner_height, inner_width, c, stride, UNIT, PAD, inside)
    offsets = (row * out_width).to(tl.int64) * (out_stride * OUT_UNIT)
    places = offsets + j[:, None] * (out_stride * OUT_UNIT) + c[None, :]
    if ADDED:
        total += tl.load(cotangent + places, mask=inside, other=0.0).to(tl.float32)
    if AFFINE:
        known = c < channels
        start = features + offsets + j[:, None] * (out_stride * OUT_UNIT)
        product = tl.load(offset + c, mask=known, other=0.0).to(tl.float32)[None, :] + total * 0
        for first_channel in range(0, channels, BLOCK_CHANNELS):
            k = first_channel + tl.arange(0, BLOCK_CHANNELS)
            inside_input = (j < out_width)[:, None] & (k < channels)[None, :]
            values = tl.load(start + k[None, :], mask=inside_input, other=0.0)
            weights = matrix + k[:, None] * (out_stride * OUT_UNIT) + c[None, :]
            factors = tl.load(weights, mask=(k < channels)[:, None] & known[None, :], other=0.0)
            product = tl.dot(values, factors, product)
        total += product
    if RECTIFIED:
        own = tl.load(features + places, mask=inside, other=0.0).to(tl.float32)
        total = tl.where(own > 0, total, 0.0)
    tl.store(out + places, total.to(out.dtype.element_ty), mask=inside)


@triton.jit
def _store_unpooled(
    cotangent, out, row, columns, width, c, units, UNIT: tl.constexpr, mask, own, share, ADDED: tl.constexpr
):
    """Store one of the four cells of a pooled one: the pooled gradient's share and the cotangent, rectified."""
    offsets = (row * width).to(tl.int64) * (units * UNIT)
    places = offsets + columns[:, None] * (units * UNIT) + c[None, :]
    if ADDED:
        share += tl.load(cotangent + places, mask=mask, other=0.0).to(tl.float32)
    tl.store(out + places, tl.where(own > 0, share, 0.0).to(out.dtype.element_ty), mask=mask)


@triton.jit(do_not_specialize=[*_OUT_SIZES, "half_height", "scale"])
def unpool_gradient_kernel(
    gradient,
    features,
    cotangent,
    out,
    inner_height,
    inner_width,
    out_channels,
    out_height,
    out_width,
    half_height,
    scale,
    UNIT: tl.constexpr,
    POOL: tl.constexpr,
    PAD: tl.constexpr,
    ADDED: tl.constexpr,
    BLOCK_CELLS: tl.constexpr,
    BLOCK_CHANNELS: tl.constexpr,
):
    """Take the gradient of some pooled cells of a row back through padding, pooling and rectifier."""
    row = tl.program_id(0)
    picture, pi = row // half_height, row % half_height
    pj = tl.program_id(1) * BLOCK_CELLS + tl.arange(0, BLOCK_CELLS)
    c = tl.program_id(2) * BLOCK_CHANNELS + tl.arange(0, BLOCK_CHANNELS)
    units = out_channels // UNIT
    known = (c < units * UNIT)[None, :]
    # Cells that pooling left over have no gradient.
    below = known & ((pj * 0 + pi < inner_height) & (pj < inner_width))[:, None]
    first = picture * (inner_height + 2 * PAD)
    total = _folded(gradient, first, pi, pj, inner_height, inner_width, c, units, UNIT, PAD, below) * scale
    top, edge = picture * out_height + 2 * pi, 2 * pj
    under = pj * 0 + 2 * pi + 1 < out_height  # the last row may have none below it
    upper_left, upper_right = known & (edge < out_width)[:, None], known & (edge + 1 < out_width)[:, None]
    lower_left = known & ((edge < out_width) & under)[:, None]
    lower_right = known & ((edge + 1 < out_width) & under)[:, None]
    a = _loaded(features, top, edge, out_width, c, units, UNIT, upper_left)
    b = _loaded(features, top, edge + 1, out_width, c, units, UNIT, upper_right)
    d = _loaded(features, top + 1, edge, out_width, c, units, UNIT, lower_left)
    e = _loaded(features, top + 1, edge + 1, out_width, c, units, UNIT, lower_right)
    if POOL == 1:  # it goes to the first of the four cells that has the maximum
        largest = tl.maximum(tl.maximum(a, b), tl.maximum(d, e))
        of_a = tl.where(a == largest, total, 0.0)
        of_b = tl.where((b == largest) & (a < largest), total, 0.0)
        of_d = tl.where((d == largest) & (a < largest) & (b < largest), total, 0.0)
        of_e = tl.where((a < largest) & (b < largest) & (d < largest), total, 0.0)
    else:
        of_a, of_b, of_d, of_e = total, total, total, total
    _store_unpooled(cotangent, out, top, edge, out_width, c, units, UNIT, upper_left, a, of_a, ADDED)
    _store_unpooled(cotangent, out, top, edge + 1, out_width, c, units, UNIT, upper_right, b, of_b, ADDED)
    _store_unpooled(cotangent, out, top + 1, edge, out_width, c, units, UNIT, lower_left, d, of_d, ADDED)
    _store_unpooled(cotangent, out, top + 1, edge + 1, out_width, c, units, UNIT, lower_right, e, of_e, ADDED)


@triton.jit(do_not_specialize=[*_PIXEL_STRIDES, "height", "width", "out_channels"])
def first_convolution_kernel(
    pixels,
    weight,
    bias,
    out,
    picture_stride,
    channel_stride,
    row_stride,
    column_stride,
    height,
    width,
    out_channels,
    OUT_UNIT: tl.constexpr,
    BLOCK_CELLS: tl.constexpr,
    BLOCK_CHANNELS: tl.constexpr,
):
    """Convolve some pixels of a row with 3 x 3 filters and rectify; beyond an edge it is repeated."""
    row = tl.program_id(0)
    picture, i = row // height, row % height
    j = tl.program_id(1) * BLOCK_CELLS + tl.arange(0, BLOCK_CELLS)
    c = tl.program_id(2) * BLOCK_CHANNELS + tl.arange(0, BLOCK_CHANNELS)
    # The 27 values that a pixel sees, filled up with zeros: channels of neighbor after neighbor.
    k = tl.arange(0, 32)
    channel, neighbor = k % 3, k // 3
    rows = tl.minimum(tl.maximum(i + neighbor // 3 - 1, 0), height - 1)
    columns = tl.minimum(tl.maximum(j[:, None] + (neighbor % 3)[None, :] - 1, 0), width - 1)
    places = (rows * row_stride + channel * channel_stride)[None, :] + columns * column_stride
    start = pixels + picture.to(tl.int64) * picture_stride
    neighborhood = tl.load(start + places, mask=(j < width)[:, None] & (k < 27)[None, :], other=0.0)
    units = out_channels // OUT_UNIT
    known = c < units * OUT_UNIT
    filters = tl.load(weight + k[:, None] * (units * OUT_UNIT) + c[None, :], mask=known[None, :], other=0.0)
    values = tl.dot(neighborhood, filters, input_precision="ieee")
    values = tl.maximum(values + tl.load(bias + c, mask=known, other=0.0).to(tl.float32)[None, :], 0.0)
    offsets = (row * width).to(tl.int64) * (units * OUT_UNIT)
    out_cells = out + offsets + j[:, None] * (units * OUT_UNIT) + c[None, :]
    tl.store(out_cells, values.to(out.dtype.element_ty), mask=(j < width)[:, None] & known[None, :])
