"""Stored samples by windows: what a source asks of a file."""

from __future__ import annotations

import math
import threading
from collections import OrderedDict
from dataclasses import replace
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import tifffile
from numpy.typing import NDArray

from tilestyle.images import tiff
from tilestyle.images.samples import Samples

_CACHE_BYTES = 1 << 26
_SEGMENT_BYTES = 1 << 25  # a tile or strip beyond this is too much to decode for a window
_STRIP_SIDE = 8192  # packed strips wider than this are too much to decode for a patch
_AMPLE = 2  # times the size asked for that a reduced copy has to have, so that it does not show


class Windows(Protocol):
    """A picture as it is stored, before colour and orientation; height and width in pixels."""

    height: int
    width: int
    orientation: int

    def samples(self, top: int, left: int, height: int, width: int) -> Samples:
        """Decode a window, pixels of the stored picture."""

    def reduced(self, height: int, width: int) -> Windows:
        """The smallest stored copy that is ample for this size, or itself."""

    def extent(self) -> tuple[float, float]:
        """Height and width of what is shown, pixels; a reduced copy may end within its last ones."""

    def close(self) -> None:
        """Let go of the file."""


class SampleWindows:
    """Windows of samples in memory."""

    def __init__(self, samples: Samples) -> None:
        self._samples = samples
        self.height, self.width = samples.values.shape[:2]
        self.orientation = samples.orientation

    def samples(self, top: int, left: int, height: int, width: int) -> Samples:
        """Cut a window out."""
        window = np.s_[top : top + height, left : left + width]
        alpha = self._samples.alpha
        return replace(
            self._samples,
            values=self._samples.values[window],
            alpha=None if alpha is None else alpha[window],
        )

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
    ``meaning`` is the page that says what the samples mean: reduced copies often lack profile and
    orientation.
    """

    def __init__(
        self, file: tifffile.TiffFile, page: tifffile.TiffPage, meaning: tifffile.TiffPage | None = None
    ) -> None:
        self._file = file
        self._page = page
        self._meaning = meaning or page
        self.orientation = tiff.page_orientation(self._meaning)
        self.height, self.width = page.imagelength, page.imagewidth
        self._tile = segment_sides(page)
        self._cache: OrderedDict[int, NDArray[Any]] = OrderedDict()
        self._cached = 0
        self._lock = threading.Lock()

    def samples(self, top: int, left: int, height: int, width: int) -> Samples:
        """Decode the tiles or strips under a window."""
        mapped = self._page.is_memmappable and not self._page.is_tiled
        with self._lock:
            stored = (self._mapped if mapped else self._assembled)(top, left, height, width)
        return tiff.samples_of_page(self._meaning, stored)

    def reduced(self, height: int, width: int) -> Windows:
        """The smallest copy in the file that is ample for this size, or itself."""
        ample = [
            page
            for page in tiff.reduced_pages(self._file, self._page)
            if page.imagelength >= _AMPLE * height and page.imagewidth >= _AMPLE * width
        ]
        smallest = min(ample, key=lambda page: page.imagewidth, default=None)
        return self if smallest is None else TiffWindows(self._file, smallest, self._page)

    def extent(self) -> tuple[float, float]:
        """A copy at 1 / 2, 1 / 4, ... of odd sides is taken to be rounded up, as ours are."""
        full = self._meaning
        factor = 2 ** round(math.log2(full.imagewidth / self.width))
        exact = full.imagelength / factor, full.imagewidth / factor
        rounded_up = (math.ceil(exact[0]), math.ceil(exact[1])) == (self.height, self.width)
        return exact if rounded_up else (self.height, self.width)

    def close(self) -> None:
        """Close the file."""
        self._file.close()

    def _mapped(self, top: int, left: int, height: int, width: int) -> NDArray[Any]:
        """Samples that lie in the file as they are. Mapped anew each time, or what was read would pile up."""
        page = self._page
        assert page.dtype is not None
        whole = self._file.filehandle.memmap_array(
            page.parent.byteorder + page.dtype.char, page.shaped, offset=page.dataoffsets[0]
        )  # [planes, 1, H, W, C]
        window = np.array(whole[:, 0, top : top + height, left : left + width])
        return np.moveaxis(window, 0, 2).reshape(height, width, -1)

    def _assembled(self, top: int, left: int, height: int, width: int) -> NDArray[Any]:
        page = self._page
        tile_height, tile_width = self._tile
        across, down = -(-self.width // tile_width), -(-self.height // tile_height)
        planes = page.samplesperpixel if page.planarconfig == tifffile.PLANARCONFIG.SEPARATE else 1
        stored = np.empty((height, width, page.samplesperpixel), page.dtype)
        for plane in range(planes):
            channels = slice(plane, plane + 1) if planes > 1 else slice(None)
            for row in range(top // tile_height, (top + height - 1) // tile_height + 1):
                for column in range(left // tile_width, (left + width - 1) // tile_width + 1):
                    segment = self._segment((plane * down + row) * across + column)
                    y, x = row * tile_height - top, column * tile_width - left
                    inside = np.s_[max(0, y) : y + tile_height, max(0, x) : x + tile_width, channels]
                    shape = stored[inside].shape
                    stored[inside] = segment[max(0, -y) :, max(0, -x) :][: shape[0], : shape[1]]
        return stored

    def _segment(self, index: int) -> NDArray[Any]:
        """Decode a tile or strip [h, w, C], or find it among the last."""
        if index in self._cache:
            self._cache.move_to_end(index)
            return self._cache[index]
        page, handle = self._page, self._file.filehandle
        handle.seek(page.dataoffsets[index])
        content = handle.read(page.databytecounts[index])
        tables, header = page.jpegtables, page.jpegheader
        decoded, _, shape = page.decode(content, index, jpegtables=tables, jpegheader=header)
        segment = np.full(shape[1:], page.nodata, page.dtype) if decoded is None else decoded[0]
        self._cache[index] = segment
        self._cached += segment.nbytes
        while self._cached > _CACHE_BYTES and len(self._cache) > 1:
            self._cached -= self._cache.popitem(last=False)[1].nbytes
        return segment


def open_tiff(path: Path) -> TiffWindows | None:
    """Open a TIFF by windows; None when its way of storing makes windows dear, or only libtiff decodes it.

    Raises PictureError for what is no picture, and whatever tifffile raises.
    """
    file = tifffile.TiffFile(path)
    try:
        page = tiff.main_page_of(file)
        if not tiff.needs_libtiff(page):
            tiff.check_page(page, path)
            if _is_cheap(page):
                return TiffWindows(file, page)
    except BaseException:
        file.close()
        raise
    file.close()
    return None


def segment_sides(page: tifffile.TiffPage) -> tuple[int, int]:
    """Height and width of the tiles or strips of a page."""
    if page.is_tiled:
        return page.tilelength, page.tilewidth
    return min(page.rowsperstrip, page.imagelength), page.imagewidth


def _is_cheap(page: tifffile.TiffPage) -> bool:
    if page.is_memmappable:
        return True
    height, width = segment_sides(page)
    segment_bytes = height * width * page.samplesperpixel * page.bitspersample // 8
    return segment_bytes <= _SEGMENT_BYTES and (page.is_tiled or width <= _STRIP_SIDE)
