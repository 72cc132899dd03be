"""The kernel of adam.py. One program steps some pixels of a row in all channels."""

# mypy: ignore-errors
# ruff: noqa: PLR0913

from __future__ import annotations

import triton
import triton.language as tl

# Sizes and places differ from patch to patch: a kernel for each kind would be built again and again.
_CHANGING = [
    "width",
    *(f"{name}_{axis}" for name in ("pixels", "first", "second", "gradient") for axis in ("channel", "row")),
    "gradient_column",
    "steps_row",
    "share_row",
    "learning_rate",
]


@triton.jit(do_not_specialize=_CHANGING)
def adam_kernel(
    pixels,
    first,
    second,
    steps,
    gradient,
    share,
    width,
    pixels_channel,
    pixels_row,
    first_channel,
    first_row,
    second_channel,
    second_row,
    steps_row,
    gradient_channel,
    gradient_row,
    gradient_column,
    share_row,
    beta1,
    beta2,
    epsilon,
    learning_rate,
    SHARED: tl.constexpr,
    BLOCK: tl.constexpr,
):
    """Step some pixels of a row."""
    row = tl.program_id(0).to(tl.int64)
    j = tl.program_id(1) * BLOCK + tl.arange(0, BLOCK)
    inside = j < width
    pixels += row * pixels_row
    first += row * first_row
    second += row * second_row
    gradient += row * gradient_row
    count = tl.load(steps + row * steps_row + j, mask=inside, other=1.0)
    part = 1.0
    if SHARED:
        part = tl.load(share + row * share_row + j, mask=inside, other=0.0)
    count += part
    tl.store(steps + row * steps_row + j, count, mask=inside)
    count = tl.maximum(count, 1.0)
    unbiased1 = 1 - tl.exp2(count * tl.log2(beta1 + count * 0))
    unbiased2 = 1 - tl.exp2(count * tl.log2(beta2 + count * 0))
    for _ in tl.static_range(3):
        g = tl.load(gradient + j * gradient_column, mask=inside, other=0.0)
        m = tl.load(first + j, mask=inside, other=0.0)
        v = tl.load(second + j, mask=inside, other=0.0)
        p = tl.load(pixels + j, mask=inside, other=0.0)
        m += (1 - beta1) * part * (g - m)
        v += (1 - beta2) * part * (g * g - v)
        step = part * (m / unbiased1) / (tl.sqrt(v / unbiased2) + epsilon)
        p = tl.minimum(tl.maximum(p - learning_rate * step, 0.0), 1.0)
        tl.store(first + j, m, mask=inside)
        tl.store(second + j, v, mask=inside)
        tl.store(pixels + j, p, mask=inside)
        pixels += pixels_channel
        first += first_channel
        second += second_channel
        gradient += gradient_channel
