"""Pictures at other sizes, a few rows at a time: memory does not grow with them.

Separable filters, sampled at the centres of the new pixels, widened when a picture shrinks so that nothing
aliases, and normalised where they reach over its edge: what Pillow and torch call antialiased.
"""

from __future__ import annotations

from collections.abc import Iterator
from enum import StrEnum
from functools import lru_cache
from math import ceil, floor

import torch
from torch import Tensor

from tilestyle.canvas.storage import touched

# Rows and columns of a band: their taps are a banded matrix, multiplied as if it were full, so that more is
# waste, and fewer leave the matrix units idle.
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
    size: tuple[int, int],
    kind: Filter = Filter.CUBIC,
    repeats: tuple[bool, bool] = (False, False),
    rows: tuple[int, int] | None = None,
) -> Iterator[tuple[int, Tensor]]:
    """A [C, h, w] picture at another size (height, width), as (top, [C, n, width]) from top to bottom.

    Along an axis that it `repeats`, (down, across), what lies beyond an edge is what lies at the opposite one.
    Or only what lies between two `rows`, which are multiples of `ROWS` or the end.
    """
    first, last = rows or (0, size[0])
    columns, width = picture.shape[2], size[1]
    bands = [] if columns == width else _bands((columns, width), kind, repeats[1])
    across = [part.to(picture.device) for part in bands]
    for top in range(first, last, ROWS):
        strip = _strip(picture, size[0], kind, top, repeats[0])
        yield top, _across(strip, width, *across) if across else strip


def _strip(picture: Tensor, height: int, kind: Filter, top: int, repeats: bool) -> Tensor:
    """Rows from `top` on at another height, as wide as ever."""
    channels, rows, columns = picture.shape
    first, weights = _band((rows, height), kind, top, min(ROWS, height - top), repeats)
    weights = weights.to(picture.device)
    at_once = max(1, READ // (4 * channels * columns))
    strip = picture.new_zeros(channels, len(weights), columns)
    for start in range(0, weights.shape[1], at_once):
        part = weights[:, start : start + at_once]
        source = _span(picture, first + start, part.shape[1])
        strip += part @ source  # [n, m] @ [C, m, w]
        touched(source)
    return strip


def _across(strip: Tensor, width: int, index: Tensor, weights: Tensor) -> Tensor:
    """A [C, n, w] strip at another width, by all its bands in one product: each waits for all threads once."""
    channels, rows, _ = strip.shape
    parts = strip.index_select(2, index.flatten()).view(channels * rows, *index.shape)
    found = parts.movedim(1, 0) @ weights.mT  # [bands, C n, COLUMNS]
    return found.movedim(0, 1).reshape(channels, rows, -1)[:, :, :width]


def _span(plane: Tensor, first: int, count: int) -> Tensor:
    """So many rows of a [C, h, w] plane, a view where they do not go round."""
    length = plane.shape[1]
    if first >= 0 and first + count <= length:
        return plane.narrow(1, first, count)
    index = torch.arange(first, first + count, device=plane.device) % length
    return plane.index_select(1, index)


def _bands(sides: tuple[int, int], kind: Filter, repeats: bool) -> tuple[Tensor, Tensor]:
    """Source pixels [bands, n] of every `COLUMNS` target pixels, and their weights [bands, COLUMNS, n]."""
    source, target = sides
    found = [
        _band(sides, kind, start, min(COLUMNS, target - start), repeats) for start in range(0, target, COLUMNS)
    ]
    longest = max(part.shape[1] for _, part in found)
    index = torch.tensor([first for first, _ in found])[:, None] + torch.arange(longest)
    weights = torch.zeros(len(found), COLUMNS, longest)
    for place, (_, part) in zip(weights, found, strict=True):
        place[: part.shape[0], : part.shape[1]] = part
    return index % source if repeats else index.clamp(max=source - 1), weights  # what is beyond weighs nothing


@lru_cache(maxsize=64)
def _band(sides: tuple[int, int], kind: Filter, start: int, count: int, repeats: bool) -> tuple[int, Tensor]:
    """The first source pixel, and weights [count, n] of it and the next, of target pixels from `start` on.

    `sides` are those of source and target; one that repeats goes on beyond its edges.
    """
    source, target = sides
    ratio = source / target
    # The nearest pixel is not widened: it would be a mean.
    widened = 1.0 if kind is Filter.NEAREST else max(1.0, ratio)
    centres = (torch.arange(start, start + count, dtype=torch.float64) + 0.5) * ratio
    reach = REACH[kind] * widened
    first, last = floor(float(centres[0]) - reach - 1), ceil(float(centres[-1]) + reach + 1)
    if not repeats:
        first, last = max(0, first), min(source, last)
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
