"""Writing TIFF in tiles, with reduced pages of half, a quarter, ... of the size."""

from __future__ import annotations

import functools
import os
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass
from fractions import Fraction
from itertools import chain
from pathlib import Path
from tempfile import TemporaryFile
from typing import IO, Any, BinaryIO

import imagecodecs
import numpy as np
import tifffile
from numpy.typing import NDArray

from tilestyle.config.enums import Compression
from tilestyle.images.alpha import halve, premultiply, unpremultiply
from tilestyle.images.color_management import to_unit_range
from tilestyle.images.strips import in_order, quantize, regroup_strips

SIDE_LIMIT = 2**32 - 1
"""Largest height or width of a TIFF."""

TILE_SIDE = 256  # side of a tile in pixels
_PYRAMID_MIN_SIDE = 2048  # long side up to which a picture has no reduced pages: viewers draw it quickly anyway
_PYRAMID_LAST_SIDE = 512  # long side of the smallest reduced page, at most
_REDUCED = 1  # NewSubfileType
_CLASSIC_LIMIT = 2**32 - 2**25  # classic TIFF addresses 4 GiB; 32 MiB are reserved for tags and overhead
_HALVED_ROWS = 32  # rows that are halved at once: even, so that pairs stay together; few, to save memory
_DEFLATE_LEVEL = 4  # on paintings, files are within 1 % of the size with the usual level 6, but faster
_STRIP_BYTES = 1 << 18  # of a strip, uncompressed
_STRIP_THREADS = min(4, os.cpu_count() or 1)
_BUFFER_BYTES = 1 << 25  # bytes of tiles that wait for compression in a thread
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
    """Compression and metadata of a TIFF.

    Attributes:
        profile: ICC profile.
        description: Text of the ImageDescription tag, if any.
        software: Text of the Software tag.
        dpi: Dots per inch, if they are stated.
        compression: Compression of the tiles.
        quality: Quality of JPEG compression, 1 to 100.
        flat: Whether there are no reduced pages, and strips in place of tiles, as in the oldest readers.
        photometric: What the samples are: "rgb", "separated" (CMYK) or "minisblack".
    """

    profile: bytes
    description: str | None
    software: str
    dpi: float | None
    compression: Compression = Compression.DEFLATE
    quality: int = 95
    flat: bool = False
    photometric: str = "rgb"


def write_tiles(
    file: BinaryIO, bands: Iterable[NDArray[Any]], shape: Shape, tags: TiffTags, folder: Path
) -> None:
    """Write a picture that is given in strips.

    Large pictures get reduced pages (NewSubfileType 1), each half the size of the page before. Their pixels are
    kept in unnamed temporary files until they are written, a third of the uncompressed size of the picture, so
    that only a row of tiles is in memory. The file is a BigTIFF if the uncompressed samples exceed 4 GiB,
    because the compressed size is not known when the offsets are laid out. For why tifffile is used and not
    libvips see docs/decisions/images.md.

    Args:
        file: The open file.
        bands: Strips of uint8 or uint16 samples from top to bottom.
        shape: Shape [H, W, C] of the picture.
        tags: Compression and metadata.
        folder: Folder of the temporary files.
    """
    bands = iter(bands)
    first = next(bands)
    dtype = first.dtype
    smaller = [] if tags.flat else list(_reduced_shapes(shape))
    big = sum(uncompressed_bytes(each, dtype.itemsize) for each in (shape, *smaller)) > _CLASSIC_LIMIT
    pages = [(shape, 0), *((reduced, _REDUCED) for reduced in smaller)]
    if tags.flat and tags.compression is not Compression.JPEG:
        with tifffile.TiffWriter(file, bigtiff=big, byteorder="<") as writer:
            _write_strips(writer, chain([first], bands), shape, dtype, tags)
        return
    rows = regroup_strips(chain([first], bands), TILE_SIDE)
    with tifffile.TiffWriter(file, bigtiff=big, byteorder="<") as writer, ExitStack() as spools:
        for (page, kind), following in zip(pages, [*pages[1:], None], strict=True):
            spool = spools.enter_context(TemporaryFile(dir=folder)) if following else None
            writer.write(
                _cut_tiles(_spool_halved(rows, spool) if spool else rows),
                shape=_tiff_shape(page),
                dtype=dtype,
                subfiletype=kind,
                **_page_arguments(shape[2], tags, first=kind == 0),
            )
            if following and spool:
                spool.seek(0)
                rows = _read_spooled(spool, following[0], dtype)


def _tiff_shape(shape: Shape) -> tuple[int, ...]:
    """Return a shape as tifffile takes it: gray has no axis of channels."""
    return shape if shape[2] > 1 else shape[:2]


def _write_strips(
    writer: tifffile.TiffWriter,
    bands: Iterable[NDArray[Any]],
    shape: Shape,
    dtype: np.dtype[Any],
    tags: TiffTags,
) -> None:
    """Write one page of strips. tifffile takes them encoded only."""
    rows = max(1, min(shape[0], _STRIP_BYTES // (shape[1] * shape[2] * dtype.itemsize)))
    arguments = _page_arguments(shape[2], tags, first=True)
    del arguments["tile"]
    encode = functools.partial(_encode_strip, compression=tags.compression)
    with ThreadPoolExecutor(_STRIP_THREADS) as pool:
        strips = in_order(pool, encode, regroup_strips(bands, rows), 2 * _STRIP_THREADS)
        writer.write(strips, shape=_tiff_shape(shape), dtype=dtype, rowsperstrip=rows, **arguments)


def _encode_strip(strip: NDArray[Any], compression: Compression) -> bytes:
    """Compress the samples [h, W, C] of a strip, as differences of neighbors."""
    if compression is Compression.NONE:
        return strip.tobytes()
    differences = imagecodecs.delta_encode(np.ascontiguousarray(strip), axis=1).tobytes()
    if compression is Compression.LZW:
        return bytes(imagecodecs.lzw_encode(differences))
    if compression is Compression.ZSTD:
        return bytes(imagecodecs.zstd_encode(differences))
    return bytes(imagecodecs.zlib_encode(differences, level=_DEFLATE_LEVEL))


def uncompressed_bytes(shape: Shape, sample_bytes: int) -> int:
    """Return the uncompressed size in bytes of a picture [H, W, C]."""
    return shape[0] * shape[1] * shape[2] * sample_bytes


def pyramid_bytes(shape: Shape, sample_bytes: int) -> int:
    """Return the uncompressed size in bytes of all reduced pages of a picture [H, W, C]."""
    return sum(uncompressed_bytes(reduced, sample_bytes) for reduced in _reduced_shapes(shape))


def _reduced_shapes(shape: Shape) -> Iterator[Shape]:
    """Yield the shapes [h, w, C] of the reduced pages, from large to small."""
    height, width, channels = shape
    if max(height, width) <= _PYRAMID_MIN_SIDE:
        return
    while max(height, width) > _PYRAMID_LAST_SIDE:
        height, width = -(-height // 2), -(-width // 2)
        yield height, width, channels


def _page_arguments(channels: int, tags: TiffTags, *, first: bool) -> dict[str, Any]:
    """Return the arguments of tifffile for a page; only the first one gets text and resolution."""
    is_jpeg = tags.compression is Compression.JPEG
    arguments: dict[str, Any] = {
        "photometric": tags.photometric,  # tifffile changes it to YCbCr for JPEG
        "extrasamples": ["unassalpha"] if channels == 4 and tags.photometric == "rgb" else None,
        "tile": (TILE_SIDE, TILE_SIDE),
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
    if is_jpeg:
        arguments |= {"subsampling": (1, 1), "compressionargs": {"level": tags.quality}}
    if tags.dpi is not None and first:
        ratio = Fraction(tags.dpi).limit_denominator(1000).as_integer_ratio()
        arguments |= {"resolution": (ratio, ratio), "resolutionunit": "inch"}
    return arguments


def _cut_tiles(rows: Iterator[NDArray[Any]]) -> Iterator[NDArray[Any]]:
    """Cut rows of tiles [h, W, C] into tiles [TILE, TILE, C], padded by repeating the edge pixels.

    tifffile would pad with black, which JPEG compression would spread into the picture.
    """
    for row in rows:
        for left in range(0, row.shape[1], TILE_SIDE):
            tile = row[:, left : left + TILE_SIDE]
            padding = [(0, TILE_SIDE - tile.shape[0]), (0, TILE_SIDE - tile.shape[1]), (0, 0)]
            padded = np.pad(tile, padding, mode="edge")
            yield padded if padded.shape[2] > 1 else padded[..., 0]


def _spool_halved(rows: Iterator[NDArray[Any]], spool: IO[bytes]) -> Iterator[NDArray[Any]]:
    """Yield rows of tiles unchanged, and write them at half the size to the file ``spool``."""
    for row in rows:
        for top in range(0, row.shape[0], _HALVED_ROWS):
            values = to_unit_range(row[top : top + _HALVED_ROWS])
            halved = unpremultiply(halve(premultiply(values)))
            spool.write(quantize(halved, 8 * row.itemsize).tobytes())
        yield row


def _read_spooled(spool: IO[bytes], shape: Shape, dtype: np.dtype[Any]) -> Iterator[NDArray[Any]]:
    """Read a picture of this shape from the file ``spool`` in rows of tiles [h, W, C]."""
    height, width, channels = shape
    for top in range(0, height, TILE_SIDE):
        rows = min(TILE_SIDE, height - top)
        content = spool.read(rows * width * channels * dtype.itemsize)
        yield np.frombuffer(content, dtype).reshape(rows, width, channels)
