"""Rasters: stored samples of a file or of memory, read by windows."""

from __future__ import annotations

import math
import os
import threading
from collections import OrderedDict
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Protocol, Self

import numpy as np
import tifffile
from numpy.typing import NDArray

from tilestyle.errors import PictureError
from tilestyle.images import read_tiff
from tilestyle.images.file_header import FileHeader

_CACHE_BYTES = 1 << 26  # of decoded tiles or strips
_SEGMENT_BYTES = 1 << 25  # a larger tile or strip takes too long to decode for a window
_STRIP_SIDE = 8192  # a wider compressed strip takes too long to decode for a window
_MIN_OVERVIEW_RATIO = 2  # smallest size of a usable reduced copy, as a multiple of the requested size
_AT_ONCE = 16  # number of tiles or strips that threads decode before they are copied into the window


class Raster(Protocol):
    """Samples as stored, before color conversion and rotation.

    Attributes:
        height: Stored height in pixels.
        width: Stored width in pixels.
    """

    height: int
    width: int

    def read_window(self, top: int, left: int, height: int, width: int) -> NDArray[Any]:
        """Decode a window [height, width, C]; positions are pixels of the stored picture."""

    def overview(self, height: int, width: int) -> Raster:
        """Return the smallest reduced copy in the file that is large enough for this size, or this raster."""

    def exact_size(self) -> tuple[float, float]:
        """Return the exact height and width in pixels; a reduced copy may end inside its last pixels."""

    def close(self) -> None:
        """Close the file."""


class MemoryRaster:
    """A raster of samples [H, W, C] in memory."""

    def __init__(self, stored: NDArray[Any]) -> None:
        self._stored = stored
        self.height, self.width = stored.shape[:2]

    def read_window(self, top: int, left: int, height: int, width: int) -> NDArray[Any]:
        """Return a view of a window."""
        return self._stored[top : top + height, left : left + width]

    def overview(self, height: int, width: int) -> Raster:
        """Return this raster: there is no reduced copy in memory."""
        return self

    def exact_size(self) -> tuple[float, float]:
        """Return height and width."""
        return self.height, self.width

    def close(self) -> None:
        """Do nothing: no file is open."""


class TiffRaster:
    """A raster of a TIFF page. Only the tiles or strips under a window are decoded, and the last ones cached.

    One thread reads at a time while others wait, because the file has a single read position.
    """

    def __init__(
        self,
        file: tifffile.TiffFile,
        page: tifffile.TiffPage,
        header: FileHeader,
        main: tifffile.TiffPage | None = None,
    ) -> None:
        """Wrap an open page.

        Args:
            file: The open file.
            page: The page to read: that of the header, or a reduced copy of it.
            header: Header of the file.
            main: The page of the header, if ``page`` is a reduced copy.
        """
        self._file, self._page, self._main, self._header = file, page, main or page, header
        self.height, self.width = page.imagelength, page.imagewidth
        self._tile = read_tiff.segment_sides(page)
        self._planes = read_tiff.plane_count(page)
        self._mapped = page.is_memmappable and not page.is_tiled and not read_tiff.is_sparse(page)
        self._cache: OrderedDict[int, NDArray[Any]] = OrderedDict()
        self._cached = 0
        self._lock = threading.Lock()

    @classmethod
    def open(cls, header: FileHeader) -> Self:
        """Open the page of a header."""
        file = tifffile.TiffFile(header.path)
        try:
            return cls(file, read_tiff.find_main_page(file), header)
        except BaseException:
            file.close()
            raise

    @property
    def has_cheap_windows(self) -> bool:
        """Whether decoding a window takes little more than its own pixels."""
        if self._mapped:
            return True
        page, (height, width) = self._page, self._tile
        segment_bytes = height * width * page.samplesperpixel * page.bitspersample // 8
        return segment_bytes <= _SEGMENT_BYTES and (page.is_tiled or width <= _STRIP_SIDE)

    def read_window(self, top: int, left: int, height: int, width: int) -> NDArray[Any]:
        """Decode the tiles or strips under a window.

        Raises:
            PictureError: The samples differ from the header, or a tile or strip is damaged.
        """
        with self._lock:
            samples = (self._read_mapped if self._mapped else self._assemble)(top, left, height, width)
        return self._header.check_samples(samples, height, width)

    def overview(self, height: int, width: int) -> Raster:
        """Return the smallest reduced copy in the file that is large enough for this size, or this raster."""
        candidates = [
            page
            for page in read_tiff.reduced_pages(self._file, self._page)
            if page.imagelength >= _MIN_OVERVIEW_RATIO * height
            and page.imagewidth >= _MIN_OVERVIEW_RATIO * width
            and read_tiff.has_all_segments(page, self._header.file_bytes)
        ]
        smallest = min(candidates, key=lambda page: page.imagewidth, default=None)
        return self if smallest is None else TiffRaster(self._file, smallest, self._header, self._page)

    def exact_size(self) -> tuple[float, float]:
        """Return the exact size in pixels; a copy at 1 / 2, 1 / 4, ... is assumed to be rounded up."""
        full = self._main
        factor = 2 ** round(math.log2(full.imagewidth / self.width))
        exact = full.imagelength / factor, full.imagewidth / factor
        rounded_up = (math.ceil(exact[0]), math.ceil(exact[1])) == (self.height, self.width)
        return exact if rounded_up else (self.height, self.width)

    def close(self) -> None:
        """Close the file."""
        self._file.close()

    def _read_mapped(self, top: int, left: int, height: int, width: int) -> NDArray[Any]:
        """Read samples that are stored uncompressed and in order.

        The file is mapped for every window: pages of a lasting map would accumulate in memory.
        """
        page = self._page
        assert page.dtype is not None
        mapped = self._file.filehandle.memmap_array(
            page.parent.byteorder + page.dtype.char, page.shaped, offset=page.dataoffsets[0]
        )  # [planes, 1, H, W, C]
        window = np.array(mapped[:, 0, top : top + height, left : left + width])  # [planes, height, width, C]
        return np.moveaxis(window, 0, 2).reshape(height, width, -1)  # [height, width, planes * C]

    def _assemble(self, top: int, left: int, height: int, width: int) -> NDArray[Any]:
        """Decode the tiles or strips under a window and copy them into it."""
        page, (tile_height, tile_width) = self._page, self._tile
        across, down = -(-self.width // tile_width), -(-self.height // tile_height)
        stored = np.zeros((height, width, page.samplesperpixel), page.dtype)
        rows = range(top // tile_height, (top + height - 1) // tile_height + 1)
        columns = range(left // tile_width, (left + width - 1) // tile_width + 1)
        cells = [(plane, row, column) for plane in range(self._planes) for row in rows for column in columns]
        indices = [(plane * down + row) * across + column for plane, row, column in cells]
        for (plane, row, column), segment in zip(cells, self._decode_segments(indices), strict=True):
            y, x = row * tile_height - top, column * tile_width - left
            channels = slice(plane, plane + 1) if self._planes > 1 else slice(None)
            inside = np.s_[max(0, y) : y + tile_height, max(0, x) : x + tile_width, channels]
            part = segment[max(0, -y) :, max(0, -x) :]
            shape = stored[inside].shape
            part = part[: shape[0], : shape[1]]
            if part.shape != shape:  # NumPy would broadcast a single row or column
                raise PictureError(
                    f"{self._header.label} is damaged: a tile or strip has the wrong size",
                    hint="copy or download the file again",
                )
            stored[inside] = part
        return stored

    def _decode_segments(self, indices: list[int]) -> Iterator[NDArray[Any]]:
        """Decode tiles or strips [h, w, C]; many of them are decoded in threads."""
        if len(indices) <= _AT_ONCE:
            yield from map(self._cached_segment, indices)
            return
        _ = (
            self._page.decode,
            self._page.jpegtables,
        )  # created at the first use, which must not be in two threads
        with ThreadPoolExecutor(min(_AT_ONCE, os.cpu_count() or 1)) as pool:
            for start in range(0, len(indices), _AT_ONCE):
                group = [(index, self._segment_bytes(index)) for index in indices[start : start + _AT_ONCE]]
                yield from pool.map(lambda segment: self._decode_segment(*segment), group)

    def _cached_segment(self, index: int) -> NDArray[Any]:
        """Return a tile or strip [h, w, C] from the cache, or decode it."""
        if index in self._cache:
            self._cache.move_to_end(index)
            return self._cache[index]
        segment = self._decode_segment(index, self._segment_bytes(index))
        self._cache[index] = segment
        self._cached += segment.nbytes
        while self._cached > _CACHE_BYTES and len(self._cache) > 1:
            self._cached -= self._cache.popitem(last=False)[1].nbytes
        return segment

    def _segment_bytes(self, index: int) -> bytes | None:
        """Read the compressed bytes of a tile or strip; None if the file omits it."""
        page, handle = self._page, self._file.filehandle
        if page.dataoffsets[index] == 0 or page.databytecounts[index] == 0:
            return None
        handle.seek(page.dataoffsets[index])
        content: bytes = handle.read(page.databytecounts[index])
        return content

    def _decode_segment(self, index: int, content: bytes | None) -> NDArray[Any]:
        """Decompress a tile or strip [h, w, C]; fill an omitted one with the "no data" value of the file."""
        page = self._page
        if content is None:
            channels = 1 if self._planes > 1 else page.samplesperpixel
            return np.full((*self._tile, channels), page.nodata, page.dtype)
        decoded, _, _ = page.decode(content, index, jpegtables=page.jpegtables, jpegheader=page.jpegheader)
        if decoded is None:
            raise PictureError(
                f"{self._header.label} is damaged: a tile or strip is empty",
                hint="copy or download the file again",
            )
        return np.asarray(decoded[0])
