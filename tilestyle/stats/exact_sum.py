"""Sums that are the same in whatever order they are taken: of numbers in fixed point.

A float32 is cut into three whole numbers, in units of 2^20, 2^-10 and 2^-44. Sums of whole numbers have no
rounding, so that processes which share work out in another way find the same to the bit. What is cut off is
less than 2^-44 of each number added, itself a sum over a patch. A million of them do not overflow.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache

import torch
from torch import Tensor

UNITS = (2.0**20, 2.0**-10, 2.0**-44)
CARRIES = (2**30, 2**34)  # of a unit, in one of the next higher
LARGEST = 2.0**50  # number that can be added
SPOILED = 2**52  # of the highest units: what stands for a larger one, or for none


def fixed(values: Tensor) -> Tensor:
    """Float32 numbers [...] as whole ones, int64 [3, ...], which can be added up.

    All units at once, in few kernels. Products with powers of two are exact; so is what is left of a number of
    units when the next higher ones are taken away, being the end of the same float32.
    """
    good = values.abs() < LARGEST
    scales, carries = (x.view(-1, *[1] * values.ndim) for x in _factors(values.device))
    whole = (scales * torch.where(good, values, 0.0)).trunc_()
    whole[1:] -= whole[:-1] * carries
    parts = whole.long()
    parts[0].masked_fill_(~good, SPOILED)
    return parts


def fixed_together(values: Sequence[Tensor]) -> list[Tensor]:
    """The same of several tensors at once."""
    whole = fixed(torch.cat([each.flatten() for each in values]))
    parts = torch.split(whole, [each.numel() for each in values], 1)
    return [part.view(len(part), *each.shape) for part, each in zip(parts, values, strict=True)]


@cache
def _factors(device: torch.device) -> tuple[Tensor, Tensor]:
    """Units in 1, [3], and of each but the lowest how many there are in a higher one: sent to a device once."""
    return torch.tensor([1 / unit for unit in UNITS]).to(device), torch.tensor(CARRIES).float().to(device)


def floating(sums: Tensor) -> Tensor:
    """What such sums [3, ...] come to, float32; not a number where one of them was none."""
    high, middle, low = sums
    carry = low.div(CARRIES[1], rounding_mode="trunc")
    middle, low = middle + carry, low - carry * CARRIES[1]
    carry = middle.div(CARRIES[0], rounding_mode="trunc")
    high, middle = high + carry, middle - carry * CARRIES[0]
    values = low.float() * UNITS[2] + middle.float() * UNITS[1] + high.float() * UNITS[0]
    return torch.where(high > SPOILED // 2, torch.full_like(values, torch.nan), values)
