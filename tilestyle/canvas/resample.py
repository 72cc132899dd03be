"""Resampling of pictures, a few rows at a time, so that memory does not grow with them.

The filters are separable and sampled at the centers of the new pixels. They are widened when a picture shrinks,
so that nothing aliases, and normalized where they reach over its edge: what Pillow and torch call antialiased.
"""

from __future__ import annotations

from collections.abc import Iterator
from enum import StrEnum
from functools import lru_cache
from math import ceil, floor

import torch
from torch import Tensor

from tilestyle.canvas.mapped_pages import note_mapped_access
from tilestyle.canvas.storage import STRIP_ROWS

# Rows and columns of a band. Its taps are a banded matrix that is multiplied as if it were full: larger bands
# waste operations, and smaller ones leave the processor's matrix units idle.
BAND_ROWS, BAND_COLUMNS = 32, 128
# Bytes of the picture that are read at once.
READ_BYTES = 2**24


class Filter(StrEnum):
    """Resampling filter."""

    CUBIC = "cubic"  # Keys 1981 with a = -1/2
    SPLINE = "spline"  # cubic B-spline: soft, and stays within the range of its input
    LINEAR = "linear"
    NEAREST = "nearest"


# Pixels.
FILTER_RADIUS = {Filter.CUBIC: 2.0, Filter.SPLINE: 2.0, Filter.LINEAR: 1.0, Filter.NEAREST: 0.5}


def resample_into(
    picture: Tensor,
    plane: Tensor,
    kind: Filter = Filter.CUBIC,
    repeats: tuple[bool, bool] = (False, False),
    *,
    clamped: bool = False,
    rows: tuple[int, int] | None = None,
) -> Tensor:
    """Fill a plane with a picture, resampled to its size.

    Args:
        picture: [C, h, w].
        plane: [C, H, W], changed in place.
        kind: The filter.
        repeats: Whether the picture tiles (down, across).
        clamped: Whether to clamp the result to [0, 1].
        rows: First and end of the rows to fill, as `resample_strips` takes them; None: all.

    Returns:
        The plane.
    """
    _, height, width = plane.shape
    first, end = rows or (0, height)
    if picture.shape == plane.shape:
        strips: Iterator[tuple[int, Tensor]] = (
            (top, picture[:, top : min(top + STRIP_ROWS, end)]) for top in range(first, end, STRIP_ROWS)
        )
    else:
        strips = resample_strips(picture, (height, width), kind, repeats, (first, end))
    for top, strip in strips:
        target = plane[:, top : top + strip.shape[1]]
        target.copy_(strip.clamp(0, 1) if clamped else strip)
        note_mapped_access(target, strip)
    return plane


def resample_strips(
    picture: Tensor,
    size: tuple[int, int],
    kind: Filter = Filter.CUBIC,
    repeats: tuple[bool, bool] = (False, False),
    rows: tuple[int, int] | None = None,
) -> Iterator[tuple[int, Tensor]]:
    """Resample a picture strip by strip, from top to bottom.

    Args:
        picture: [C, h, w].
        size: New (height, width).
        kind: The filter.
        repeats: Whether the picture tiles (down, across): what lies beyond an edge is then taken from the
            other.
        rows: First and end of the rows to compute, multiples of `BAND_ROWS` or the last; None: all.

    Yields:
        (top, strip [C, n, width]).
    """
    first, end = rows or (0, size[0])
    columns, width = picture.shape[2], size[1]
    bands = [] if columns == width else _band_weights((columns, width), kind, repeats[1])
    band_tensors = [part.to(picture.device) for part in bands]
    for top in range(first, end, BAND_ROWS):
        strip = _resample_rows(picture, size[0], kind, top, repeats[0])
        yield top, _resample_columns(strip, width, *band_tensors) if band_tensors else strip


def _resample_rows(picture: Tensor, height: int, kind: Filter, top: int, repeats: bool) -> Tensor:
    """Return the rows from `top` on at another height, at the width of the picture."""
    channels, rows, columns = picture.shape
    first, weights = _band_taps((rows, height), kind, top, min(BAND_ROWS, height - top), repeats)
    weights = weights.to(picture.device)
    at_once = max(1, READ_BYTES // (4 * channels * columns))
    strip = picture.new_zeros(channels, len(weights), columns)
    for start in range(0, weights.shape[1], at_once):
        part = weights[:, start : start + at_once]
        source = _read_rows(picture, first + start, part.shape[1])
        strip += part @ source  # [n, m] @ [C, m, w]
        note_mapped_access(source)
    return strip


def _resample_columns(strip: Tensor, width: int, index: Tensor, weights: Tensor) -> Tensor:
    """Resample the columns of a strip [C, n, w] to another width.

    All bands are multiplied in one call, because every call waits for all threads.
    """
    channels, rows, _ = strip.shape
    parts = strip.index_select(2, index.flatten()).view(channels * rows, *index.shape)  # [C n, bands, m]
    products = parts.movedim(1, 0) @ weights.mT  # [bands, C n, COLUMNS]
    return products.movedim(0, 1).reshape(channels, rows, -1)[:, :, :width]


def _read_rows(plane: Tensor, first: int, count: int) -> Tensor:
    """Return `count` rows of a [C, h, w] plane that repeats; a view where they do not cross its edge."""
    length = plane.shape[1]
    if first >= 0 and first + count <= length:
        return plane.narrow(1, first, count)
    index = torch.arange(first, first + count, device=plane.device) % length
    return plane.index_select(1, index)


def _band_weights(sides: tuple[int, int], kind: Filter, repeats: bool) -> tuple[Tensor, Tensor]:
    """Return the source pixels and weights of all bands of target pixels along an axis.

    Args:
        sides: Length of source and target.
        kind: The filter.
        repeats: Whether the source tiles.

    Returns:
        Indices [bands, n] of source pixels, and their weights [bands, BAND_COLUMNS, n].
    """
    source, target = sides
    bands = [
        _band_taps(sides, kind, start, min(BAND_COLUMNS, target - start), repeats)
        for start in range(0, target, BAND_COLUMNS)
    ]
    longest = max(part.shape[1] for _, part in bands)
    index = torch.tensor([first for first, _ in bands])[:, None] + torch.arange(longest)
    weights = torch.zeros(len(bands), BAND_COLUMNS, longest)
    for band_weights, (_, part) in zip(weights, bands, strict=True):
        band_weights[: part.shape[0], : part.shape[1]] = part
    return index % source if repeats else index.clamp(max=source - 1), weights  # padding has weight 0


@lru_cache(maxsize=64)
def _band_taps(
    sides: tuple[int, int], kind: Filter, start: int, count: int, repeats: bool
) -> tuple[int, Tensor]:
    """Return the first source pixel of a band, and the weights [count, n] of the n source pixels from there on.

    Args:
        sides: Length of source and target.
        kind: The filter.
        start: First target pixel.
        count: Number of target pixels.
        repeats: Whether the source tiles.
    """
    source, target = sides
    ratio = source / target
    # The nearest filter is not widened: it would become a mean.
    widening = 1.0 if kind is Filter.NEAREST else max(1.0, ratio)
    centers = (torch.arange(start, start + count, dtype=torch.float64) + 0.5) * ratio
    reach = FILTER_RADIUS[kind] * widening
    first, end = floor(float(centers[0]) - reach - 1), ceil(float(centers[-1]) + reach + 1)
    if not repeats:
        first, end = max(0, first), min(source, end)
    positions = torch.arange(first, end, dtype=torch.float64) + 0.5
    weights = _kernel(kind, (positions - centers[:, None]) / widening)
    return first, (weights / weights.sum(1, keepdim=True)).float()


def _kernel(kind: Filter, distance: Tensor) -> Tensor:
    """Evaluate a filter at signed distances in pixels."""
    if kind is Filter.NEAREST:
        return ((distance > -0.5) & (distance <= 0.5)).to(distance)
    distance_abs = distance.abs()
    if kind is Filter.LINEAR:
        return (1 - distance_abs).clamp(min=0)
    if kind is Filter.SPLINE:
        return torch.where(
            distance_abs < 1,
            (0.5 * distance_abs - 1) * distance_abs**2 + 2 / 3,
            (2 - distance_abs).clamp(min=0) ** 3 / 6,
        )
    near = (1.5 * distance_abs - 2.5) * distance_abs**2 + 1
    far = ((-0.5 * distance_abs + 2.5) * distance_abs - 4) * distance_abs + 2
    return torch.where(
        distance_abs < 1, near, torch.where(distance_abs < 2, far, torch.zeros_like(distance_abs))
    )
