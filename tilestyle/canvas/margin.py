"""The margin of a canvas: the picture in its plane, continued by reflections so that the torus has no seam."""

from __future__ import annotations

import torch
from torch import Tensor

from tilestyle.canvas.mapped_pages import note_mapped_access
from tilestyle.canvas.resample import Filter, resample_into
from tilestyle.canvas.storage import STRIP_ROWS, MemoryStore, PlaneStore
from tilestyle.geometry.boxes import CanvasExtent


def with_margin(
    picture: Tensor,
    extent: CanvasExtent,
    store: PlaneStore | None = None,
    kind: Filter = Filter.CUBIC,
    *,
    clamped: bool = False,
    name: str = "",
) -> Tensor:
    """Return a picture in a new plane of the canvas, resampled to its box, with its margin.

    The margin consists of reflections that fade into one another: from one edge of the picture round the torus,
    the reflection at that edge turns into the one at the opposite edge. So the torus has no seam, and patches
    that cross it see nothing that is not in the picture. Along an axis that repeats there is no margin: the
    picture continues at its opposite edge.

    Args:
        picture: [C, h, w], of any size.
        extent: The canvas.
        store: Where the plane is allocated; None: where the picture is. Ranks that share it fill it together.
        kind: Filter that resamples the picture.
        clamped: Whether to clamp the picture to [0, 1].
        name: Name of the plane in the store.

    Returns:
        The plane, [C, H, W].
    """
    store = store or MemoryStore(picture.device)
    box, comm = extent.picture, store.comm
    plane = store.zeros(len(picture), extent.height, extent.width, name)
    down, across = slice(box.top, box.top + box.height), slice(box.left, box.left + box.width)
    rows = comm.row_share(box.height, STRIP_ROWS)
    resample_into(picture, plane[:, down, across], kind, extent.repeats, clamped=clamped, rows=rows)
    comm.barrier()
    comm.on_rank_zero(lambda: _fill_margin(plane[:, :, across], 1, box.top, box.height))
    first, end = comm.row_share(extent.height, STRIP_ROWS)
    for top in range(first, end, STRIP_ROWS):
        strip = plane[:, top : min(top + STRIP_ROWS, end)]
        _fill_margin(strip, 2, box.left, box.width)
        note_mapped_access(strip)
    comm.barrier()
    return plane


def _fill_margin(plane: Tensor, axis: int, offset: int, size: int) -> None:
    """Fill the margin of `with_margin` along one axis, in place.

    Args:
        plane: [C, H, W] or some rows of it.
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
