"""The writing of PNG, in bands."""

from __future__ import annotations

import struct
import zlib
from collections.abc import Iterable, Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

SIGNATURE = b"\x89PNG\r\n\x1a\n"
SIDE_LIMIT = 2**31 - 1
"""Largest height or width that a PNG header can state."""

Chunk = tuple[bytes, bytes]
"""Kind of four letters, and content."""

_COLOUR_TYPES = {1: 0, 2: 4, 3: 2, 4: 6}
_UNFILTERED, _PAETH = 0, 4


def encoded(
    bands: Iterable[NDArray[Any]],
    shape: tuple[int, int, int],
    chunks: Iterable[Chunk] = (),
    *,
    compress: bool = True,
) -> Iterator[bytes]:
    """Encode bands of uint8 or uint16 [h, W, C] one below the other as a PNG of ``shape`` [H, W, C].

    ``chunks`` go between header and image data. Band by band, because libraries want the encoded
    picture, and often the samples too, in memory at once. Every row gets the Paeth filter: choosing among
    the five filters for every row costs far more in numpy than it saves. After it, zlib's run-length
    strategy is both smaller and several times faster than its default on rendered pictures (and than
    libvips, docs/decisions/images.md). Without ``compress``, rows are stored as they are: a stream that
    another library is to read at once.
    """
    height, width, channels = shape
    compressor = zlib.compressobj(6, strategy=zlib.Z_RLE) if compress else zlib.compressobj(0)
    above: NDArray[np.uint8] | None = None
    yield SIGNATURE
    for band in bands:
        sample_bytes = band.dtype.itemsize
        if above is None:
            header = (width, height, 8 * sample_bytes, _COLOUR_TYPES[channels], 0, 0, 0)
            yield _chunk(b"IHDR", struct.pack(">IIBBBBB", *header))
            yield from (_chunk(kind, content) for kind, content in chunks)
            above = np.zeros(width * channels * sample_bytes, dtype=np.uint8)
        big_endian = np.ascontiguousarray(band, dtype=band.dtype.newbyteorder(">"))
        rows = big_endian.view(np.uint8).reshape(band.shape[0], -1)
        step = channels * sample_bytes if compress else 0
        yield _chunk(b"IDAT", compressor.compress(_filtered(rows, above, step)))
        above = rows[-1]
    yield _chunk(b"IDAT", compressor.flush())
    yield _chunk(b"IEND", b"")


def _filtered(rows: NDArray[np.uint8], above: NDArray[np.uint8], step: int) -> bytes:
    """Rows of bytes [h, n] with a filter byte before every row: Paeth's, or none where ``step`` is 0."""
    filtered = np.empty((rows.shape[0], rows.shape[1] + 1), dtype=np.uint8)
    filtered[:, 0] = _PAETH if step else _UNFILTERED
    filtered[:, 1:] = rows - _predicted(rows, above, step) if step else rows
    return filtered.tobytes()


def _predicted(rows: NDArray[np.uint8], above: NDArray[np.uint8], step: int) -> NDArray[np.uint8]:
    """PNG specification, section 9.4: what left (a), up (b) and upper left (c) foretell.

    Whichever of the three is nearest to a + b - c.
    """
    up_rows = np.vstack([above[None], rows[:-1]]).astype(np.int16)
    values = rows.astype(np.int16)
    a, c = np.zeros_like(values), np.zeros_like(values)
    a[:, step:] = values[:, :-step]
    c[:, step:] = up_rows[:, :-step]
    to_a, to_b, to_c = np.abs(up_rows - c), np.abs(a - c), np.abs(a + up_rows - 2 * c)
    nearest = np.where((to_a <= to_b) & (to_a <= to_c), a, np.where(to_b <= to_c, up_rows, c))
    return nearest.astype(np.uint8)


def _chunk(kind: bytes, content: bytes) -> bytes:
    check = zlib.crc32(content, zlib.crc32(kind))
    return b"".join([struct.pack(">I", len(content)), kind, content, struct.pack(">I", check)])
