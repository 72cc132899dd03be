"""Sums in fixed point, which do not depend on the order of summation.

A float32 is split into three integers, in units of 2^20, 2^-10 and 2^-44. Sums of integers have no rounding, so
that processes that share work differently get the same result to the bit. Less than 2^-44 is cut off each
number that is added, which is itself a sum over a patch. A million of them do not overflow.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache

import torch
from torch import Tensor

UNITS = (2.0**20, 2.0**-10, 2.0**-44)
CARRIES = (2**30, 2**34)  # units in one of the next higher unit
MAX_VALUE = 2.0**50  # largest number that can be added
NOT_A_NUMBER = 2**52  # highest units that stand for a larger number, or for NaN


def to_fixed(values: Tensor) -> Tensor:
    """Convert float32 numbers [...] to fixed point, int64 [3, ...], which can be summed.

    All units are computed at once, in few kernels. Products with powers of two are exact, and so is the
    remainder after the next higher units are subtracted, because it is the end of the same float32.
    """
    good = values.abs() < MAX_VALUE
    scales, carries = (x.view(-1, *[1] * values.ndim) for x in _factors(values.device))
    integers = (scales * torch.where(good, values, 0.0)).trunc_()
    integers[1:] -= integers[:-1] * carries
    parts = integers.long()
    parts[0].masked_fill_(~good, NOT_A_NUMBER)
    return parts


def to_fixed_batch(values: Sequence[Tensor]) -> list[Tensor]:
    """Convert several tensors at once."""
    whole = to_fixed(torch.cat([tensor.flatten() for tensor in values]))
    parts = torch.split(whole, [tensor.numel() for tensor in values], 1)
    return [part.view(len(part), *tensor.shape) for part, tensor in zip(parts, values, strict=True)]


@cache
def _factors(device: torch.device) -> tuple[Tensor, Tensor]:
    """Return the units per 1 [3], and the units in each next higher unit [2], copied to the device once."""
    return torch.tensor([1 / unit for unit in UNITS]).to(device), torch.tensor(CARRIES).float().to(device)


def from_fixed(sums: Tensor) -> Tensor:
    """Convert sums [3, ...] in fixed point to float32; NaN where a number was not finite or too large."""
    high, middle, low = sums
    carry = low.div(CARRIES[1], rounding_mode="trunc")
    middle, low = middle + carry, low - carry * CARRIES[1]
    carry = middle.div(CARRIES[0], rounding_mode="trunc")
    high, middle = high + carry, middle - carry * CARRIES[0]
    values = low.float() * UNITS[2] + middle.float() * UNITS[1] + high.float() * UNITS[0]
    return torch.where(high > NOT_A_NUMBER // 2, torch.full_like(values, torch.nan), values)
