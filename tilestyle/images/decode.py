"""Files to stored samples, whole or in strips, as their description says: decoding and nothing else."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tilestyle.errors import PictureError
from tilestyle.images import read_pillow, vips
from tilestyle.images.file_header import Decoder, Description
from tilestyle.images.pixel_limit import check_pixels
from tilestyle.images.raster import TiffWindows

_SHRUNK_WHILE_DECODED = ("JPEG", "MPO")
_FACTORS = (8, 4, 2)


def decoded(seen: Description) -> NDArray[Any]:
    """All stored samples [H, W, C] of a file.

    Raises PictureError when there are too many pixels, or others than described, and what libraries raise.
    """
    check_pixels(seen.name, seen.stored_height, seen.stored_width)
    if seen.decoder is Decoder.TIFFFILE:
        windows = TiffWindows.opened(seen)
        try:
            return windows.stored(0, 0, seen.stored_height, seen.stored_width)
        finally:
            windows.close()
    if seen.decoder is Decoder.LIBVIPS:
        return _joined(seen)
    stored = read_pillow.decode_tiff(seen) if seen.decoder is Decoder.LIBTIFF else read_pillow.decode_file(seen)
    return seen.checked(stored, seen.stored_height, seen.stored_width)


def decoded_strips(
    seen: Description, height: int, width: int
) -> tuple[tuple[float, float], Iterator[NDArray[Any]]]:
    """Strips of stored samples of a streamed file, and the sides they make up.

    Args:
        seen: Of a file that is streamed.
        height: Rows that the picture is wanted at, as stored.
        width: Columns that the picture is wanted at, as stored.

    Returns:
        The sides (height, width) of what is decoded: those of the file, or smaller ones JPEG decodes to, of at
        least twice what is wanted. Smaller sides need not be whole: their last row and column reach beyond.
        And the strips [h, W, C], from top to bottom.
    """
    check_pixels(seen.name, seen.stored_height, seen.stored_width)
    sides = float(seen.stored_height), float(seen.stored_width)
    factor = 1
    if seen.format in _SHRUNK_WHILE_DECODED:
        room = min(sides[0] / height, sides[1] / width)
        factor = next((factor for factor in _FACTORS if room >= 2 * factor), 1)
    sides = sides[0] / factor, sides[1] / factor
    stream = vips.Stream(seen, factor)
    whole = math.ceil(sides[0]), math.ceil(sides[1])
    missing = whole[0] - stream.image.height, whole[1] - stream.image.width
    if (factor == 1 and any(missing)) or not all(0 <= count <= 1 for count in missing):
        raise PictureError(
            f"{seen.label} decodes to {stream.image.width} x {stream.image.height} pixels where {whole[1]} x "
            f"{whole[0]} are described",
            hint="it may be damaged or an unusual variant: convert it to PNG or TIFF",
        )
    return sides, _completed(stream.strips(), *missing)


def _joined(seen: Description) -> NDArray[Any]:
    _, strips = decoded_strips(seen, seen.stored_height, seen.stored_width)
    stored = np.zeros((seen.stored_height, seen.stored_width, seen.channels), seen.dtype)
    top = 0
    for strip in strips:
        stored[top : top + len(strip)] = strip
        top += len(strip)
    assert top == seen.stored_height, "strips make up the height that was checked"
    return stored


def _completed(strips: Iterator[NDArray[Any]], rows: int, columns: int) -> Iterator[NDArray[Any]]:
    """Repeat the last row and column, which libvips leaves out when half of them is beyond the edge."""
    last: NDArray[Any] | None = None
    for strip in strips:
        last = np.pad(strip, ((0, 0), (0, columns), (0, 0)), mode="edge") if columns else strip
        yield last
    if last is not None and rows:
        yield last[-1:].repeat(rows, axis=0)
