"""The writing of TIFF: tiles, and the same picture at half the size, and half of that, as further pages."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from fractions import Fraction
from itertools import chain
from pathlib import Path
from tempfile import TemporaryFile
from typing import IO, Any, BinaryIO

import numpy as np
import tifffile
from numpy.typing import NDArray

from tilestyle.config.enums import Compression
from tilestyle.images.alpha import halved, premultiplied, straight
from tilestyle.images.color_management import unit_from_stored
from tilestyle.images.strips import quantised, regrouped

SIDE_LIMIT = 2**32 - 1
"""Largest height or width that a TIFF tag can state."""

TILE = 256
_PYRAMID_FROM = 2048  # sides up to this are drawn at once by any viewer
_PYRAMID_TO = 512
_REDUCED = 1  # NewSubfileType
_CLASSIC_LIMIT = 2**32 - 2**25  # classic TIFF addresses 4 GiB; 32 MiB of it for tags and incompressibility
_HALVED_ROWS = 32  # even, so that pairs stay together; few, because float64 is wide
_DEFLATE_LEVEL = 4  # on paintings within 1 % of the size of the usual 6, and faster
_BUFFER_BYTES = 1 << 25  # of tiles that wait for a thread to pack them
_CODECS = {
    Compression.DEFLATE: "zlib",
    Compression.ZSTD: "zstd",
    Compression.LZW: "lzw",
    Compression.JPEG: "jpeg",
    Compression.NONE: None,
}

Shape = tuple[int, int, int]


@dataclass(frozen=True, slots=True)
class TiffTags:
    """How a written TIFF is packed, and what it says beside its pixels."""

    profile: bytes
    description: str | None
    software: str
    dpi: float | None
    compression: Compression = Compression.DEFLATE
    quality: int = 95


def write_tiles(
    file: BinaryIO, bands: Iterable[NDArray[Any]], shape: Shape, tags: TiffTags, folder: Path
) -> None:
    """Write ``shape`` [H, W, C] of uint8 or uint16, given as bands one below the other.

    Large pictures get reduced pages (NewSubfileType 1) after the full one, each half the one before.
    Their pixels wait in nameless files in ``folder``, a third of the picture's unpacked bytes: memory
    is a row of tiles whatever the height. BigTIFF from 4 GiB of samples on: the packed size is not known
    before the offsets are laid out. tifffile and not libvips: docs/decisions/images.md.
    """
    bands = iter(bands)
    first = next(bands)
    dtype = first.dtype
    big = spooled_bytes(shape, dtype.itemsize) + unpacked_bytes(shape, dtype.itemsize) > _CLASSIC_LIMIT
    pages = [(shape, 0), *((reduced, _REDUCED) for reduced in _reduced_shapes(shape))]
    rows = regrouped(chain([first], bands), TILE)
    with tifffile.TiffWriter(file, bigtiff=big, byteorder="<") as writer, ExitStack() as spools:
        for (page, kind), following in zip(pages, [*pages[1:], None], strict=True):
            spool = spools.enter_context(TemporaryFile(dir=folder)) if following else None
            writer.write(
                _tiles(_spooling(rows, spool) if spool else rows),
                shape=page,
                dtype=dtype,
                subfiletype=kind,
                **_page_arguments(shape[2], tags, first=kind == 0),
            )
            if following and spool:
                spool.seek(0)
                rows = _spooled(spool, following[0], dtype)


def unpacked_bytes(shape: Shape, sample_bytes: int) -> int:
    """Bytes of the samples of a picture [H, W, C]."""
    return shape[0] * shape[1] * shape[2] * sample_bytes


def spooled_bytes(shape: Shape, sample_bytes: int) -> int:
    """Bytes of all reduced pages together, unpacked."""
    return sum(unpacked_bytes(reduced, sample_bytes) for reduced in _reduced_shapes(shape))


def _reduced_shapes(shape: Shape) -> Iterator[Shape]:
    height, width, channels = shape
    if max(height, width) <= _PYRAMID_FROM:
        return
    while max(height, width) > _PYRAMID_TO:
        height, width = -(-height // 2), -(-width // 2)
        yield height, width, channels


def _page_arguments(channels: int, tags: TiffTags, *, first: bool) -> dict[str, Any]:
    jpeg = tags.compression is Compression.JPEG
    arguments: dict[str, Any] = {
        "photometric": "rgb",  # with JPEG tifffile makes YCbCr of it
        "extrasamples": ["unassalpha"] if channels == 4 else None,
        "tile": (TILE, TILE),
        "compression": _CODECS[tags.compression],
        "predictor": tags.compression not in (Compression.JPEG, Compression.NONE),
        "iccprofile": tags.profile,
        "software": tags.software if first else False,
        "description": tags.description if first else None,
        "metadata": None,
        "buffersize": _BUFFER_BYTES,
    }
    if tags.compression is Compression.DEFLATE:
        arguments["compressionargs"] = {"level": _DEFLATE_LEVEL}
    if jpeg:
        arguments |= {"subsampling": (1, 1), "compressionargs": {"level": tags.quality}}
    if tags.dpi is not None and first:
        ratio = Fraction(tags.dpi).limit_denominator(1000).as_integer_ratio()
        arguments |= {"resolution": (ratio, ratio), "resolutionunit": "inch"}
    return arguments


def _tiles(rows: Iterator[NDArray[Any]]) -> Iterator[NDArray[Any]]:
    """Cut rows of tiles [h, W, C] into tiles [TILE, TILE, C], the edges continued beyond the picture.

    What tifffile would fill in is black, and JPEG would show it inside.
    """
    for row in rows:
        for left in range(0, row.shape[1], TILE):
            tile = row[:, left : left + TILE]
            beyond = [(0, TILE - tile.shape[0]), (0, TILE - tile.shape[1]), (0, 0)]
            yield np.pad(tile, beyond, mode="edge")


def _spooling(rows: Iterator[NDArray[Any]], spool: IO[bytes]) -> Iterator[NDArray[Any]]:
    """Pass rows of tiles on, and leave their half-sized copies in ``spool``."""
    for row in rows:
        for top in range(0, row.shape[0], _HALVED_ROWS):
            values = unit_from_stored(row[top : top + _HALVED_ROWS])
            half = straight(halved(premultiplied(values)))
            spool.write(quantised(half, 8 * row.itemsize).tobytes())
        yield row


def _spooled(spool: IO[bytes], shape: Shape, dtype: np.dtype[Any]) -> Iterator[NDArray[Any]]:
    """Read a spooled picture back in rows of tiles."""
    height, width, channels = shape
    for top in range(0, height, TILE):
        rows = min(TILE, height - top)
        content = spool.read(rows * width * channels * dtype.itemsize)
        yield np.frombuffer(content, dtype).reshape(rows, width, channels)
