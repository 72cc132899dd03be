"""A plane around a picture, filled by reflections of it."""

from __future__ import annotations

import torch
from torch import Tensor


def fill_by_reflection(plane: Tensor, axis: int, offset: int, size: int) -> None:
    """Continue a picture along one axis by reflections that fade into one another, in place.

    Args:
        plane: [C, H, W], or some rows of it, with the picture in a part of it.
        axis: 1 for rows, 2 for columns.
        offset: Where the picture begins along the axis.
        size: Length of the picture along the axis.
    """
    length = plane.shape[axis]
    margin_length = length - size
    picture = plane.narrow(axis, offset, size)
    # From the end of the picture on: its reflection there, and the one in front of its start.
    after_end = _index_rows(picture, axis, reflect_indices(size, 0, margin_length)[size:])
    before_start = _index_rows(picture, axis, reflect_indices(size, margin_length, 0)[:margin_length])
    blend = (torch.arange(margin_length) + 0.5) / max(margin_length, 1)
    blend = (blend * blend * (3 - 2 * blend)).reshape([-1 if k == axis else 1 for k in range(3)])
    margin = torch.lerp(after_end, before_start, blend.to(plane))
    # The margin runs from the end of the picture to its start, in one piece or across the edge of the torus.
    start = (size + offset) % length
    first = min(margin_length, length - start)
    plane.narrow(axis, start, first).copy_(margin.narrow(axis, 0, first))
    plane.narrow(axis, 0, margin_length - first).copy_(margin.narrow(axis, first, margin_length - first))


def reflect_indices(size: int, before: int, after: int) -> Tensor:
    """Return indices in [0, size) that continue an axis by reflection, with the edge repeated.

    Args:
        size: Length of the axis.
        before: Number of indices in front of its start.
        after: Number of indices behind its end.

    Returns:
        [before + size + after].
    """
    position = torch.arange(-before, size + after) % (2 * size)
    return torch.minimum(position, 2 * size - 1 - position)


def _index_rows(plane: Tensor, axis: int, index: Tensor) -> Tensor:
    """Return rows (axis 1) or columns (axis 2) of a plane; memory outside their range is not touched."""
    if not len(index):
        return plane.narrow(axis, 0, 0)
    low, high = int(index.min()), int(index.max())
    return plane.narrow(axis, low, high + 1 - low).index_select(axis, (index - low).to(plane.device))
