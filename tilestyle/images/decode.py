"""Decoding of files to stored samples, as a whole or in strips, as their headers say."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tilestyle.errors import PictureError
from tilestyle.images import read_pillow, vips
from tilestyle.images.file_header import Decoder, FileHeader
from tilestyle.images.pixel_limit import check_pixel_count
from tilestyle.images.raster import TiffRaster

_SHRUNK_WHILE_DECODED = ("JPEG", "MPO")  # formats that can be decoded at 1 / 2, 1 / 4 and 1 / 8 of their size
_FACTORS = (8, 4, 2)


def decode_whole(header: FileHeader) -> NDArray[Any]:
    """Decode all stored samples [H, W, C] of a file.

    Raises:
        PictureError: The file has too many pixels, or differs from its header. Errors of the image libraries
            are not translated.
    """
    check_pixel_count(header.name, header.stored_height, header.stored_width)
    if header.decoder is Decoder.TIFFFILE:
        windows = TiffRaster.open(header)
        try:
            return windows.read_window(0, 0, header.stored_height, header.stored_width)
        finally:
            windows.close()
    if header.decoder is Decoder.LIBVIPS:
        return _join_strips(header)
    stored = (
        read_pillow.decode_tiff(header)
        if header.decoder is Decoder.LIBTIFF
        else read_pillow.decode_file(header)
    )
    return header.check_samples(stored, header.stored_height, header.stored_width)


def decode_strips(
    header: FileHeader, height: int, width: int
) -> tuple[tuple[float, float], Iterator[NDArray[Any]]]:
    """Decode the stored samples of a streamable file in strips.

    A JPEG is decoded at a reduced size if that is at least twice the size at which the picture is needed.

    Args:
        header: Header of a streamable file.
        height: Height in pixels, as stored, at which the picture is needed.
        width: Width in pixels, as stored, at which the picture is needed.

    Returns:
        The size (height, width) of the decoded picture, and the strips [h, W, C] from top to bottom. A reduced
        size need not be whole numbers: the last row and column then extend beyond it.

    Raises:
        PictureError: The file has too many pixels, or differs from its header.
    """
    check_pixel_count(header.name, header.stored_height, header.stored_width)
    sides = float(header.stored_height), float(header.stored_width)
    factor = 1
    if header.format in _SHRUNK_WHILE_DECODED:
        reduction = min(sides[0] / height, sides[1] / width)
        factor = next((factor for factor in _FACTORS if reduction >= 2 * factor), 1)
    sides = sides[0] / factor, sides[1] / factor
    stream = vips.VipsStream(header, factor)
    decoded_size = math.ceil(sides[0]), math.ceil(sides[1])
    missing = decoded_size[0] - stream.image.height, decoded_size[1] - stream.image.width
    if (factor == 1 and any(missing)) or not all(0 <= count <= 1 for count in missing):
        raise PictureError(
            f"{header.label} decodes to {stream.image.width} x {stream.image.height} pixels, but its header "
            "says "
            f"{decoded_size[1]} x {decoded_size[0]}",
            hint="it may be damaged or an unusual variant: convert it to PNG or TIFF",
        )
    return sides, _repeat_last(stream.strips(), *missing)


def _join_strips(header: FileHeader) -> NDArray[Any]:
    """Decode a streamable file into one array [H, W, C]."""
    _, strips = decode_strips(header, header.stored_height, header.stored_width)
    stored = np.zeros((header.stored_height, header.stored_width, header.channels), header.dtype)
    top = 0
    for strip in strips:
        stored[top : top + len(strip)] = strip
        top += len(strip)
    assert top == header.stored_height, "the strips must add up to the height in the header"
    return stored


def _repeat_last(strips: Iterator[NDArray[Any]], rows: int, columns: int) -> Iterator[NDArray[Any]]:
    """Repeat the last row and column, which libvips omits if half of them lies beyond the edge."""
    last: NDArray[Any] | None = None
    for strip in strips:
        last = np.pad(strip, ((0, 0), (0, columns), (0, 0)), mode="edge") if columns else strip
        yield last
    if last is not None and rows:
        yield last[-1:].repeat(rows, axis=0)
