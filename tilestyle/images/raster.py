"""Stored samples by windows: what a source asks of a file."""

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
from tilestyle.images.file_header import Description

_CACHE_BYTES = 1 << 26
_SEGMENT_BYTES = 1 << 25  # a tile or strip beyond this is too much to decode for a window
_STRIP_SIDE = 8192  # packed strips wider than this are too much to decode for a patch
_AMPLE = 2  # times the size asked for that a reduced copy has to have, so that it does not show
_AT_ONCE = 16  # tiles or strips that threads decode before they are put in their places


class Windows(Protocol):
    """Samples as they are stored, before colour and orientation; height and width in pixels."""

    height: int
    width: int

    def stored(self, top: int, left: int, height: int, width: int) -> NDArray[Any]:
        """Decode a window [height, width, C], pixels of the stored picture."""

    def reduced(self, height: int, width: int) -> Windows:
        """The smallest stored copy that is ample for this size, or itself."""

    def extent(self) -> tuple[float, float]:
        """Height and width of what is shown, pixels; a reduced copy may end within its last ones."""

    def close(self) -> None:
        """Let go of the file."""


class SampleWindows:
    """Windows of stored samples [H, W, C] in memory."""

    def __init__(self, stored: NDArray[Any]) -> None:
        self._stored = stored
        self.height, self.width = stored.shape[:2]

    def stored(self, top: int, left: int, height: int, width: int) -> NDArray[Any]:
        """Cut a window out."""
        return self._stored[top : top + height, left : left + width]

    def reduced(self, height: int, width: int) -> Windows:
        """Itself: memory keeps no second size."""
        return self

    def extent(self) -> tuple[float, float]:
        """Its sides."""
        return self.height, self.width

    def close(self) -> None:
        """Nothing to let go."""


class TiffWindows:
    """Windows of a TIFF page: only the tiles or strips under them are decoded, and the last ones kept.

    One thread reads at a time, others wait: the file has one place where it is read.
    """

    def __init__(
        self,
        file: tifffile.TiffFile,
        page: tifffile.TiffPage,
        seen: Description,
        main: tifffile.TiffPage | None = None,
    ) -> None:
        """``page`` is the one that ``seen`` describes, or a reduced copy of that, which is ``main`` then."""
        self._file, self._page, self._main, self._seen = file, page, main or page, seen
        self.height, self.width = page.imagelength, page.imagewidth
        self._tile = read_tiff.segment_sides(page)
        self._planes = read_tiff.planes_of_page(page)
        self._mapped = page.is_memmappable and not page.is_tiled and not read_tiff.is_sparse(page)
        self._cache: OrderedDict[int, NDArray[Any]] = OrderedDict()
        self._cached = 0
        self._lock = threading.Lock()

    @classmethod
    def opened(cls, seen: Description) -> Self:
        """Open the page that is described."""
        file = tifffile.TiffFile(seen.path)
        try:
            return cls(file, read_tiff.main_page_of(file), seen)
        except BaseException:
            file.close()
            raise

    @property
    def are_cheap(self) -> bool:
        """Whether a window costs little more than its own pixels."""
        if self._mapped:
            return True
        page, (height, width) = self._page, self._tile
        segment_bytes = height * width * page.samplesperpixel * page.bitspersample // 8
        return segment_bytes <= _SEGMENT_BYTES and (page.is_tiled or width <= _STRIP_SIDE)

    def stored(self, top: int, left: int, height: int, width: int) -> NDArray[Any]:
        """Decode the tiles or strips under a window."""
        with self._lock:
            found = (self._from_map if self._mapped else self._assembled)(top, left, height, width)
        return self._seen.checked(found, height, width)

    def reduced(self, height: int, width: int) -> Windows:
        """The smallest copy in the file that is ample for this size, or itself."""
        ample = [
            page
            for page in read_tiff.reduced_pages(self._file, self._page)
            if page.imagelength >= _AMPLE * height
            and page.imagewidth >= _AMPLE * width
            and read_tiff.has_all_segments(page, self._seen.file_bytes)
        ]
        smallest = min(ample, key=lambda page: page.imagewidth, default=None)
        return self if smallest is None else TiffWindows(self._file, smallest, self._seen, self._page)

    def extent(self) -> tuple[float, float]:
        """A copy at 1 / 2, 1 / 4, ... of odd sides is taken to be rounded up, as ours are."""
        full = self._main
        factor = 2 ** round(math.log2(full.imagewidth / self.width))
        exact = full.imagelength / factor, full.imagewidth / factor
        rounded_up = (math.ceil(exact[0]), math.ceil(exact[1])) == (self.height, self.width)
        return exact if rounded_up else (self.height, self.width)

    def close(self) -> None:
        """Close the file."""
        self._file.close()

    def _from_map(self, top: int, left: int, height: int, width: int) -> NDArray[Any]:
        """Samples that lie in the file as they are. Mapped anew each time, or what was read would pile up."""
        page = self._page
        assert page.dtype is not None
        whole = self._file.filehandle.memmap_array(
            page.parent.byteorder + page.dtype.char, page.shaped, offset=page.dataoffsets[0]
        )  # [planes, 1, H, W, C]
        window = np.array(whole[:, 0, top : top + height, left : left + width])
        return np.moveaxis(window, 0, 2).reshape(height, width, -1)

    def _assembled(self, top: int, left: int, height: int, width: int) -> NDArray[Any]:
        page, (tile_height, tile_width) = self._page, self._tile
        across, down = -(-self.width // tile_width), -(-self.height // tile_height)
        stored = np.zeros((height, width, page.samplesperpixel), page.dtype)
        rows = range(top // tile_height, (top + height - 1) // tile_height + 1)
        columns = range(left // tile_width, (left + width - 1) // tile_width + 1)
        places = [(plane, row, column) for plane in range(self._planes) for row in rows for column in columns]
        indices = [(plane * down + row) * across + column for plane, row, column in places]
        for (plane, row, column), segment in zip(places, self._segments(indices), strict=True):
            y, x = row * tile_height - top, column * tile_width - left
            channels = slice(plane, plane + 1) if self._planes > 1 else slice(None)
            inside = np.s_[max(0, y) : y + tile_height, max(0, x) : x + tile_width, channels]
            part = segment[max(0, -y) :, max(0, -x) :]
            shape = stored[inside].shape
            part = part[: shape[0], : shape[1]]
            if part.shape != shape:  # numpy would spread a single row or column over the rest
                raise PictureError(
                    f"{self._seen.label} is damaged: a part of it has other sides than stated",
                    hint="copy or fetch the file again",
                )
            stored[inside] = part
        return stored

    def _segments(self, indices: list[int]) -> Iterator[NDArray[Any]]:
        """Decode tiles or strips [h, w, C]: many of them in threads."""
        if len(indices) <= _AT_ONCE:
            yield from map(self._segment, indices)
            return
        _ = self._page.decode, self._page.jpegtables  # made at the first use, which is not to be in two threads
        with ThreadPoolExecutor(min(_AT_ONCE, os.cpu_count() or 1)) as pool:
            for start in range(0, len(indices), _AT_ONCE):
                group = [(index, self._packed(index)) for index in indices[start : start + _AT_ONCE]]
                yield from pool.map(lambda each: self._decoded(*each), group)

    def _segment(self, index: int) -> NDArray[Any]:
        """Decode a tile or strip [h, w, C], or find it among the last."""
        if index in self._cache:
            self._cache.move_to_end(index)
            return self._cache[index]
        segment = self._decoded(index, self._packed(index))
        self._cache[index] = segment
        self._cached += segment.nbytes
        while self._cached > _CACHE_BYTES and len(self._cache) > 1:
            self._cached -= self._cache.popitem(last=False)[1].nbytes
        return segment

    def _packed(self, index: int) -> bytes | None:
        """The bytes of a tile or strip; None where the file leaves it out."""
        page, handle = self._page, self._file.filehandle
        if page.dataoffsets[index] == 0 or page.databytecounts[index] == 0:
            return None
        handle.seek(page.dataoffsets[index])
        content: bytes = handle.read(page.databytecounts[index])
        return content

    def _decoded(self, index: int, content: bytes | None) -> NDArray[Any]:
        page = self._page
        if content is None:
            channels = 1 if self._planes > 1 else page.samplesperpixel
            return np.full((*self._tile, channels), page.nodata, page.dtype)
        decoded, _, _ = page.decode(content, index, jpegtables=page.jpegtables, jpegheader=page.jpegheader)
        if decoded is None:
            raise PictureError(f"{self._seen.label} is damaged: a part of it is empty", hint="fetch it again")
        return np.asarray(decoded[0])
