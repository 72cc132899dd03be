"""Pictures at other sizes, a few rows at a time: memory does not grow with them.

Separable filters, sampled at the centres of the new pixels, widened when a picture shrinks so that nothing
aliases, and normalised where they reach over its edge: what Pillow and torch call antialiased.
"""

from __future__ import annotations

from collections.abc import Iterator
from enum import StrEnum
from functools import lru_cache
from math import ceil

import torch
from torch import Tensor

from tilestyle.planes import touched

# Rows and columns computed at once: their taps are a banded matrix, multiplied as if it were full, so that more
# is waste, and fewer leave the matrix units idle.
ROWS, COLUMNS = 32, 128
# Of what is read at once, bytes.
READ = 2**24


class Filter(StrEnum):
    """How a pixel comes from those around it."""

    CUBIC = "cubic"  # Keys 1981 with a = -1/2
    SPLINE = "spline"  # the cubic B-spline: soft, and cannot leave the range of what it is given
    LINEAR = "linear"
    NEAREST = "nearest"


REACH = {
    Filter.CUBIC: 2.0,
    Filter.SPLINE: 2.0,
    Filter.LINEAR: 1.0,
    Filter.NEAREST: 0.5,
}  # pixels to either side


def strips(
    picture: Tensor,
    height: int,
    width: int,
    kind: Filter = Filter.CUBIC,
    rows: tuple[int, int] | None = None,
) -> Iterator[tuple[int, Tensor]]:
    """A [C, h, w] picture at another size, as (top, [C, n, width]) from top to bottom.

    Or only what lies between two `rows`, which are multiples of `ROWS` or the end.
    """
    first, last = rows or (0, height)
    for top in range(first, last, ROWS):
        yield top, _strip(picture, height, width, kind, top)


def _strip(picture: Tensor, height: int, width: int, kind: Filter, top: int) -> Tensor:
    channels, rows, columns = picture.shape
    first, weights = _band(rows, height, kind, top, min(ROWS, height - top))
    weights = weights.to(picture.device)
    at_once = max(1, READ // (4 * channels * columns))
    strip = picture.new_zeros(channels, len(weights), columns)
    for start in range(0, weights.shape[1], at_once):
        part = weights[:, start : start + at_once]
        source = picture[:, first + start : first + start + part.shape[1]]
        strip += part @ source  # [n, m] @ [C, m, w]
        touched(source)
    if columns == width:
        return strip
    result = picture.new_empty(channels, len(weights), width)
    for left in range(0, width, COLUMNS):
        first, across = _band(columns, width, kind, left, min(COLUMNS, width - left))
        part = strip[:, :, first : first + across.shape[1]]
        result[:, :, left : left + COLUMNS] = part @ across.mT.to(picture.device)
    return result


@lru_cache(maxsize=64)
def _band(source: int, target: int, kind: Filter, start: int, count: int) -> tuple[int, Tensor]:
    """The first source pixel, and weights [count, n] of it and the next, of target pixels from `start` on."""
    ratio = source / target
    # The nearest pixel is not widened: it would be a mean.
    widened = 1.0 if kind is Filter.NEAREST else max(1.0, ratio)
    centres = (torch.arange(start, start + count, dtype=torch.float64) + 0.5) * ratio
    reach = REACH[kind] * widened
    first = max(0, int(centres[0] - reach - 1))
    last = min(source, ceil(float(centres[-1]) + reach + 1))
    positions = torch.arange(first, last, dtype=torch.float64) + 0.5
    weights = _kernel(kind, (positions - centres[:, None]) / widened)
    return first, (weights / weights.sum(1, keepdim=True)).float()


def _kernel(kind: Filter, distance: Tensor) -> Tensor:
    if kind is Filter.NEAREST:
        return ((distance > -0.5) & (distance <= 0.5)).to(distance)
    away = distance.abs()
    if kind is Filter.LINEAR:
        return (1 - away).clamp(min=0)
    if kind is Filter.SPLINE:
        return torch.where(away < 1, (0.5 * away - 1) * away**2 + 2 / 3, (2 - away).clamp(min=0) ** 3 / 6)
    near = (1.5 * away - 2.5) * away**2 + 1
    far = ((-0.5 * away + 2.5) * away - 4) * away + 2
    return torch.where(away < 1, near, torch.where(away < 2, far, torch.zeros_like(away)))
