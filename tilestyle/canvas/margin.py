"""The margin of a canvas: the picture in its plane, continued by reflections so that the torus has no seam."""

from __future__ import annotations

from torch import Tensor

from tilestyle.canvas.mapped_pages import note_mapped_access
from tilestyle.canvas.reflection import fill_by_reflection
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
    comm.on_rank_zero(lambda: fill_by_reflection(plane[:, :, across], 1, box.top, box.height))
    first, end = comm.row_share(extent.height, STRIP_ROWS)
    for top in range(first, end, STRIP_ROWS):
        strip = plane[:, top : min(top + STRIP_ROWS, end)]
        fill_by_reflection(strip, 2, box.left, box.width)
        note_mapped_access(strip)
    comm.barrier()
    return plane
