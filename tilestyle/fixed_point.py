"""Sums that are the same in whatever order they are taken: of numbers in fixed point.

A float32 is cut into three whole numbers, in units of 2^20, 2^-10 and 2^-44. Sums of whole numbers have no
rounding, so that processes which share work out in another way find the same to the bit. What is cut off is
less than 2^-44 of each number added, itself a sum over a patch. A million of them do not overflow.
"""

from __future__ import annotations

import torch
from torch import Tensor

UNITS = (2.0**20, 2.0**-10, 2.0**-44)
CARRIES = (2**30, 2**34)  # of a unit, in one of the next higher
LARGEST = 2.0**50  # number that can be added
SPOILED = 2**52  # of the highest units: what stands for a larger one, or for none


def fixed(values: Tensor) -> Tensor:
    """Float32 numbers [...] as whole ones, int64 [3, ...], which can be added up."""
    good = values.abs() < LARGEST
    rest, parts = torch.where(good, values, torch.zeros_like(values)), []
    for unit in UNITS:  # exact: quotients by powers of two, and remainders
        whole = (rest / unit).trunc()
        rest = rest - whole * unit
        parts.append(whole.long())
    parts[0] = torch.where(good, parts[0], SPOILED)
    return torch.stack(parts)


def floating(sums: Tensor) -> Tensor:
    """What such sums [3, ...] come to, float32; not a number where one of them was none."""
    high, middle, low = sums
    carry = low.div(CARRIES[1], rounding_mode="trunc")
    middle, low = middle + carry, low - carry * CARRIES[1]
    carry = middle.div(CARRIES[0], rounding_mode="trunc")
    high, middle = high + carry, middle - carry * CARRIES[0]
    values = low.float() * UNITS[2] + middle.float() * UNITS[1] + high.float() * UNITS[0]
    return torch.where(high > SPOILED // 2, torch.full_like(values, torch.nan), values)
