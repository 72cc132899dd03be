"""Pictures at another size, in new planes."""

from __future__ import annotations

from torch import Tensor

from tilestyle.canvas.resample import Filter, resample_into
from tilestyle.canvas.storage import MemoryStore, PlaneStore
from tilestyle.geometry.boxes import Box


def resize(picture: Tensor, size: Box, kind: Filter = Filter.CUBIC, store: PlaneStore | None = None) -> Tensor:
    """Resample a [C, h, w] picture to the height and width of `size`, without aliasing when it shrinks."""
    if picture.shape[1:] == (size.height, size.width):
        return picture.clone()
    store = store or MemoryStore(picture.device)
    return resample_into(picture, store.empty(picture.shape[0], size.height, size.width), kind)


def resize_to_plane(
    picture: Tensor, size: Box, store: PlaneStore, repeats: tuple[bool, bool] = (False, False)
) -> Tensor:
    """Resample a [C, h, w] picture to the height and width of `size`, clamped to [0, 1], into a new plane.

    Args:
        picture: [C, h, w].
        size: A box of the new height and width.
        store: Where the plane is allocated.
        repeats: Whether the picture tiles (down, across).
    """
    plane = store.empty(picture.shape[0], size.height, size.width)
    return resample_into(picture, plane, repeats=repeats, clamped=True)
