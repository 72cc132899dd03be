"""Writing PNG strip by strip."""

from __future__ import annotations

import struct
import zlib
from collections.abc import Iterable, Iterator
from itertools import chain
from typing import Any

import numpy as np
from numpy.typing import NDArray

SIGNATURE = b"\x89PNG\r\n\x1a\n"
SIDE_LIMIT = 2**31 - 1
"""Largest height or width of a PNG."""

Chunk = tuple[bytes, bytes]
"""Kind (four letters) and content of a chunk."""

_COLOR_TYPES = {1: 0, 2: 4, 3: 2, 4: 6}
_UNFILTERED, _PAETH = 0, 4


def encode_png(
    bands: Iterable[NDArray[Any]],
    shape: tuple[int, int, int],
    chunks: Iterable[Chunk] = (),
    *,
    compress: bool = True,
) -> Iterator[bytes]:
    """Encode a picture as PNG in pieces.

    Libraries need the whole encoded picture in memory, and often the samples too. Every row gets the Paeth
    filter: choosing among the five filters for every row costs far more time in NumPy than it saves space. With
    this filter, zlib's run-length strategy compresses rendered pictures better and several times faster than
    its default strategy, and than libvips (docs/decisions/images.md).

    Args:
        bands: Strips of uint8 or uint16 samples [h, W, C] from top to bottom.
        shape: Shape [H, W, C] of the picture.
        chunks: Metadata chunks to insert before the image data.
        compress: Whether to filter and compress the rows; not needed for a stream to another library.

    Yields:
        The bytes of the file.
    """
    height, width, channels = shape
    bands = iter(bands)
    first = next(bands)
    header = (width, height, 8 * first.dtype.itemsize, _COLOR_TYPES[channels], 0, 0, 0)
    yield SIGNATURE
    yield _encode_chunk(b"IHDR", struct.pack(">IIBBBBB", *header))
    yield from (_encode_chunk(kind, content) for kind, content in chunks)
    for piece in compress_rows(chain([first], bands), compress=compress):
        yield _encode_chunk(b"IDAT", piece)
    yield _encode_chunk(b"IEND", b"")


def compress_rows(bands: Iterable[NDArray[Any]], *, compress: bool = True) -> Iterator[bytes]:
    """Filter and compress rows as in PNG, which PDF can also read; see `encode_png`.

    Args:
        bands: Strips of uint8 or uint16 samples [h, W, C] from top to bottom.
        compress: Whether to filter and compress the rows, or only to put them into the same frame.

    Yields:
        The pieces of one zlib stream.
    """
    compressor = zlib.compressobj(6, strategy=zlib.Z_RLE) if compress else zlib.compressobj(0)
    last_row: NDArray[np.uint8] | None = None
    for band in bands:
        big_endian = np.ascontiguousarray(band, dtype=band.dtype.newbyteorder(">"))
        rows = big_endian.view(np.uint8).reshape(band.shape[0], -1)  # bytes [h, W * C * sample_bytes]
        if last_row is None:
            last_row = np.zeros(rows.shape[1], dtype=np.uint8)
        step = band.shape[2] * band.dtype.itemsize if compress else 0
        yield compressor.compress(_filter_rows(rows, last_row, step))
        last_row = rows[-1]
    yield compressor.flush()


def _filter_rows(rows: NDArray[np.uint8], above: NDArray[np.uint8], step: int) -> bytes:
    """Filter rows of bytes and put the filter byte before each.

    Args:
        rows: Bytes [h, n].
        above: Bytes [n] of the row above the first.
        step: Bytes of a pixel for the Paeth filter; 0 for no filter.
    """
    filtered = np.empty((rows.shape[0], rows.shape[1] + 1), dtype=np.uint8)
    filtered[:, 0] = _PAETH if step else _UNFILTERED
    filtered[:, 1:] = rows - _predict_paeth(rows, above, step) if step else rows
    return filtered.tobytes()


def _predict_paeth(rows: NDArray[np.uint8], above: NDArray[np.uint8], step: int) -> NDArray[np.uint8]:
    """Predict bytes from the neighbors on the left (a), above (b) and on the upper left (c).

    The prediction is whichever of the three is nearest to a + b - c (PNG specification, section 9.4).
    """
    up_rows = np.vstack([above[None], rows[:-1]]).astype(np.int16)
    values = rows.astype(np.int16)
    a, c = np.zeros_like(values), np.zeros_like(values)
    a[:, step:] = values[:, :-step]
    c[:, step:] = up_rows[:, :-step]
    to_a, to_b, to_c = np.abs(up_rows - c), np.abs(a - c), np.abs(a + up_rows - 2 * c)
    nearest = np.where((to_a <= to_b) & (to_a <= to_c), a, np.where(to_b <= to_c, up_rows, c))
    return nearest.astype(np.uint8)


def _encode_chunk(kind: bytes, content: bytes) -> bytes:
    check = zlib.crc32(content, zlib.crc32(kind))
    return b"".join([struct.pack(">I", len(content)), kind, content, struct.pack(">I", check)])
