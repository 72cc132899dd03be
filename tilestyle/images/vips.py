"""Streaming with libvips: reading and writing strips of formats that other libraries only handle as a whole."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator
from typing import Any

import numpy as np
import pyvips
from numpy.typing import NDArray

from tilestyle.images import write_png
from tilestyle.images.file_header import FileHeader
from tilestyle.images.read_png import pixel_stream
from tilestyle.images.strips import strip_rows

# The cache of libvips goes by file name: a file that has changed would be read in its old state.
pyvips.cache_set_max(0)

_DTYPES: dict[str, np.dtype[Any]] = {
    "uchar": np.dtype(np.uint8),
    "ushort": np.dtype(np.uint16),
    "float": np.dtype(np.float32),
}


class CallbackErrors:
    """Carries exceptions of Python callbacks through libvips to the code that called libvips.

    libvips itself would print them and fail with an error of its own.
    """

    def __init__(self) -> None:
        self.error: BaseException | None = None

    def wrap(self, function: Callable[[Any], Any], on_error: Any) -> Callable[[Any], Any]:
        """Wrap a callback.

        Args:
            function: The callback, with one argument.
            on_error: What the wrapped callback returns after any callback has raised an exception.
        """

        def call(argument: Any) -> Any:
            if self.error is not None:
                return on_error
            try:
                return function(argument)
            except BaseException as error:  # raised later, when libvips has returned
                self.error = error
                return on_error

        return call

    def run(self, run: Callable[[], Any]) -> Any:
        """Call a function that uses libvips; raises the exceptions of the callbacks."""
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
    """Write a picture that is given in strips with libvips.

    The binary distribution of libvips cannot load raw streams, so it is given an uncompressed PNG.

    Args:
        bands: Strips of uint8 or uint16 samples from top to bottom.
        shape: Shape [H, W, C] of the picture.
        save: Called with a libvips image that can be read once, from top to bottom.
    """
    relay = CallbackErrors()
    source = pyvips.SourceCustom()
    pieces = _ChunkReader(write_png.encode_png(bands, shape, compress=False))
    source.on_read(relay.wrap(pieces.read, b""))

    def run() -> None:
        save(pyvips.Image.new_from_source(source, "", access="sequential", fail_on="truncated"))

    relay.run(run)


def save_to_writer(write: Callable[[bytes], object], save: Callable[[pyvips.TargetCustom], None]) -> None:
    """Write with libvips to a Python function.

    Args:
        write: Called with the bytes, in pieces.
        save: Called with the libvips target.
    """
    relay = CallbackErrors()
    target = pyvips.TargetCustom()

    def pass_on(piece: Any) -> int:
        write(bytes(piece))
        return len(piece)

    target.on_write(relay.wrap(pass_on, -1))
    relay.run(lambda: save(target))


class VipsStream:
    """A file that libvips decodes once, from top to bottom, in the stored orientation.

    Attributes:
        image: The libvips image.
    """

    def __init__(self, header: FileHeader, factor: int = 1) -> None:
        """Open the file with the loader of its format, so that libvips does not choose one by the content.

        Args:
            header: Header of a PNG, JPEG, WebP or TIFF file.
            factor: A JPEG is decoded at 1 / factor of its size; 1, 2, 4 or 8.
        """
        self._header = header
        self._relay = CallbackErrors()
        self._source = pyvips.SourceCustom()  # libvips does not keep the Python object alive
        self.image: pyvips.Image = self._relay.run(lambda: self._opened(factor))

    def strips(self) -> Iterator[NDArray[Any]]:
        """Decode the samples in strips [h, W, C]; raises PictureError if they differ from the header."""
        image = self.image
        region = pyvips.Region.new(image)
        rows = strip_rows(image.width)
        dtype = _DTYPES.get(str(image.format), np.dtype(np.uint8))
        for top in range(0, image.height, rows):
            count = min(rows, image.height - top)
            content = bytes(self._relay.run(lambda: region.fetch(0, top, image.width, count)))  # noqa: B023
            yield self._header.check_samples(
                np.frombuffer(content, dtype).reshape(count, image.width, image.bands), count, image.width
            )

    def run(self, save: Callable[[pyvips.Image], None]) -> None:
        """Call a function that writes the image with libvips."""
        self._relay.run(lambda: save(self.image))

    def _opened(self, factor: int) -> pyvips.Image:
        """Open the image with the loader of its format."""
        header, name = self._header, os.fsencode(self._header.path)  # file names need not be UTF-8
        options = {"access": "sequential", "fail_on": "truncated"}
        if header.format == "PNG":
            self._source.on_read(self._relay.wrap(_ChunkReader(pixel_stream(header.path)).read, b""))
            return pyvips.Image.pngload_source(self._source, unlimited=True, **options)
        if header.format == "WEBP":
            return pyvips.Image.webpload(name, **options)
        if header.format == "TIFF":
            return pyvips.Image.tiffload(name, page=header.page, **options)
        return pyvips.Image.jpegload(name, shrink=factor, unlimited=True, **options)


class _ChunkReader:
    """A file-like reader of an iterator of bytes."""

    def __init__(self, pieces: Iterator[bytes]) -> None:
        self._pieces = pieces
        self._rest = memoryview(b"")

    def read(self, size: int) -> bytes:
        """Read at most ``size`` bytes; returns none at the end."""
        while not self._rest:
            piece = next(self._pieces, None)
            if piece is None:
                return b""
            self._rest = memoryview(piece)
        portion, self._rest = self._rest[:size], self._rest[size:]
        return bytes(portion)
