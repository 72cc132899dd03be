"""libvips: streams of strips in and out of formats that are otherwise encoded and decoded whole."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator
from typing import Any

import numpy as np
import pyvips
from numpy.typing import NDArray

from tilestyle.images import write_png
from tilestyle.images.file_header import Description
from tilestyle.images.read_png import pixel_stream
from tilestyle.images.strips import strip_rows

# Its cache of results goes by file name: a file that has changed since would be read as it was.
pyvips.cache_set_max(0)

_DTYPES: dict[str, np.dtype[Any]] = {
    "uchar": np.dtype(np.uint8),
    "ushort": np.dtype(np.uint16),
    "float": np.dtype(np.float32),
}


class Relay:
    """Calls from libvips into Python whose exceptions arrive where libvips was called.

    libvips itself would print them and go on with an error of its own.
    """

    def __init__(self) -> None:
        self.error: BaseException | None = None

    def guarded(self, function: Callable[[Any], Any], on_error: Any) -> Callable[[Any], Any]:
        """``function`` of one argument; after an exception it gives ``on_error`` instead."""

        def call(argument: Any) -> Any:
            if self.error is not None:
                return on_error
            try:
                return function(argument)
            except BaseException as error:  # kept, and raised in `settle`
                self.error = error
                return on_error

        return call

    def settle(self, run: Callable[[], Any]) -> Any:
        """Run what calls libvips, and raise what went wrong inside its calls to us."""
        try:
            result = run()
        except pyvips.Error:
            if self.error is not None:
                raise self.error from None
            raise
        if self.error is not None:
            raise self.error
        return result


def save_strips(
    bands: Iterable[NDArray[Any]], shape: tuple[int, int, int], save: Callable[[pyvips.Image], None]
) -> None:
    """Let ``save`` have the picture of uint8 or uint16 bands as an image that is read once, downwards.

    The binary libvips has no loader of raw streams, so they come as PNG without compression.
    """
    relay = Relay()
    source = pyvips.SourceCustom()
    pieces = _Pieces(write_png.encoded(bands, shape, compress=False))
    source.on_read(relay.guarded(pieces.read, b""))

    def run() -> None:
        save(pyvips.Image.new_from_source(source, "", access="sequential", fail_on="truncated"))

    relay.settle(run)


def save_to(write: Callable[[bytes], object], save: Callable[[pyvips.TargetCustom], None]) -> None:
    """Let ``save`` write into a target that passes bytes on to ``write``."""
    relay = Relay()
    target = pyvips.TargetCustom()

    def pass_on(piece: Any) -> int:
        write(bytes(piece))
        return len(piece)

    target.on_write(relay.guarded(pass_on, -1))
    relay.settle(lambda: save(target))


class Stream:
    """A described file that libvips decodes once, downwards, as it is stored."""

    def __init__(self, seen: Description, factor: int = 1) -> None:
        """Open it by the loader of its format, so that libvips does not choose one by the content.

        Args:
            seen: Of a PNG, JPEG, WebP or TIFF.
            factor: JPEG is decoded at 1 / ``factor`` of its size (1, 2, 4 or 8).
        """
        self._seen = seen
        self._relay = Relay()
        self._source = pyvips.SourceCustom()  # libvips keeps no hold of what Python has of it
        self.image: pyvips.Image = self._relay.settle(lambda: self._opened(factor))

    def strips(self) -> Iterator[NDArray[Any]]:
        """The samples in strips [h, W, C], which are held against the description."""
        image = self.image
        region = pyvips.Region.new(image)
        rows = strip_rows(image.width)
        dtype = _DTYPES.get(str(image.format), np.dtype(np.uint8))
        for top in range(0, image.height, rows):
            count = min(rows, image.height - top)
            content = bytes(self._relay.settle(lambda: region.fetch(0, top, image.width, count)))  # noqa: B023
            yield self._seen.checked(
                np.frombuffer(content, dtype).reshape(count, image.width, image.bands), count, image.width
            )

    def run(self, save: Callable[[pyvips.Image], None]) -> None:
        """Let libvips write the image with ``save``."""
        self._relay.settle(lambda: save(self.image))

    def _opened(self, factor: int) -> pyvips.Image:
        seen, name = self._seen, os.fsencode(self._seen.path)  # names need not be UTF-8
        how = {"access": "sequential", "fail_on": "truncated"}
        if seen.format == "PNG":
            self._source.on_read(self._relay.guarded(_Pieces(pixel_stream(seen.path)).read, b""))
            return pyvips.Image.pngload_source(self._source, unlimited=True, **how)
        if seen.format == "WEBP":
            return pyvips.Image.webpload(name, **how)
        if seen.format == "TIFF":
            return pyvips.Image.tiffload(name, page=seen.page, **how)
        return pyvips.Image.jpegload(name, shrink=factor, unlimited=True, **how)


class _Pieces:
    """A stream of bytes read in whatever portions are asked for."""

    def __init__(self, pieces: Iterator[bytes]) -> None:
        self._pieces = pieces
        self._left = memoryview(b"")

    def read(self, size: int) -> bytes:
        """At the most ``size`` bytes; none at the end."""
        while not self._left:
            piece = next(self._pieces, None)
            if piece is None:
                return b""
            self._left = memoryview(piece)
        taken, self._left = self._left[:size], self._left[size:]
        return bytes(taken)
