"""Picture files, and pictures in memory, read by windows."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np

from tilestyle.images import convert, deepzoom
from tilestyle.images.border import check_honest, decoding
from tilestyle.images.colour import ColourModel
from tilestyle.images.inspect import PictureInfo, inspect_picture
from tilestyle.images.orientation import UPRIGHT, stored_window, swaps_sides, upright
from tilestyle.images.picture import FloatArray, Picture
from tilestyle.images.read import PathLike, is_tiff, samples_of_file
from tilestyle.images.samples import Samples, check_floats, picture_from_window
from tilestyle.images.shrink import AreaMean
from tilestyle.images.source import Source, channels, check_inside, check_shrinks
from tilestyle.images.strips import strip_rows
from tilestyle.images.windows import SampleWindows, Windows, open_tiff

_MEMORY = "memory"
_SAMPLE = 64  # side of a place that tells how floats are scaled, pixels


class FileSource(Source):
    """Windows of a file, or of samples in memory."""

    def __init__(
        self, facts: PictureInfo, path: Path, convert_into: Path | None, opened: Windows | None
    ) -> None:
        self._facts, self._path, self._convert_into, self._opened = facts, path, convert_into, opened
        self.name = facts.name
        self.height, self.width = facts.height, facts.width
        self.depth, self.profile, self.dpi = facts.depth, facts.profile, facts.dpi
        self.has_alpha = facts.has_alpha
        self._scale_is_known = facts.depth < 32 or facts.format == _MEMORY

    def window(self, top: int, left: int, height: int, width: int) -> Picture:
        """Decode what lies under a window."""
        check_inside(self, top, left, height, width)
        with decoding(self.name):
            windows = self._windows()
            sides = (self.height, self.width)
            stored = stored_window((top, left, height, width), sides, windows.orientation)
            return picture_from_window(windows.samples(*stored), self.name)

    def strips(self) -> Iterator[FloatArray]:
        """The picture from top to bottom; of a file that is streamed, without converting it."""
        upright_stream = convert.is_streamed(self._facts.format) and self._facts.orientation == UPRIGHT
        if self._opened is not None or self._convert_into is None or not upright_stream:
            yield from super().strips()
            return
        with decoding(self.name):
            _, strips = convert.strips_for(self._path, self._facts.format, self.height, self.width)
            for samples in strips:
                yield channels(picture_from_window(samples, self.name))

    def shrunk(self, height: int, width: int) -> Picture:
        """The whole picture at a smaller size (or its own), by means over areas; with alpha if it has any.

        Read once in strips and never whole; from a smaller copy where the file has one, and JPEG at the
        smaller size it decodes to, both at least twice the size asked for.
        """
        check_shrinks(self, height, width)
        with decoding(self.name):
            opened, facts = self._opened, self._facts
            orientation = facts.orientation if opened is None else opened.orientation
            # Strips run along stored rows: what lies on its side is averaged so, and turned when small.
            target = (width, height) if swaps_sides(orientation) else (height, width)
            if opened is None and convert.is_streamed(facts.format):
                sides, strips = convert.strips_for(self._path, facts.format, *target)
            else:
                smaller = self._windows().reduced(*target)
                sides, strips = smaller.extent(), _strips(smaller)
            mean = AreaMean(sides, target)
            for samples in strips:
                mean.add(channels(picture_from_window(replace(samples, orientation=UPRIGHT), self.name)))
            small = mean.picture()
        return Picture(
            pixels=upright(small.pixels, orientation),
            alpha=None if small.alpha is None else upright(small.alpha, orientation),
            depth=self.depth,
            profile=self.profile,
            name=self.name,
        )

    def conversion_bytes(self) -> int:
        """The disk that the first window will take in the folder of conversions, at the most; 0 for none."""
        if self._opened is not None or self._convert_into is None:
            return 0
        if convert.copy_of(self._path, self._convert_into).exists():
            return 0
        channels = 4  # inks, or colours and alpha
        return self.height * self.width * channels * 2 * 2  # 16 bits where a profile asks; smaller copies

    def close(self) -> None:
        """Let go of the file."""
        if self._opened is not None:
            self._opened.close()

    def _windows(self) -> Windows:
        """What windows are read from, opened at the first need."""
        if self._opened is None:
            if self._convert_into is None:
                self._opened = SampleWindows(samples_of_file(self._path))
            else:
                copy = convert.tiled_copy(self._path, self._facts.format, self._convert_into)
                self._opened = open_tiff(copy)
        assert self._opened is not None, "a tiled copy is made to be read by windows"
        if not self._scale_is_known:
            _check_scale(self._opened, self.name)
            self._scale_is_known = True
        return self._opened


def open_source(path: PathLike, convert_into: Path | None = None) -> FileSource:
    """Open a picture file to be read by windows, whatever its size.

    TIFF in tiles, in narrow strips or unpacked is read where it lies. Everything else is converted at the
    first window, once, to an unpacked tiled file in the folder ``convert_into``, which stays there for the
    next run; PNG, JPEG, WebP and most TIFF as a stream, rarer kinds by way of memory. Without the folder
    the picture is read into memory. ``shrunk`` needs no conversion where there is a stream.

    Raises PictureError when the file is missing, broken, unknown, or claims more pixels than it can hold.
    """
    path = Path(path)
    facts = inspect_picture(path)
    deepzoom.check_input(path)
    check_honest(facts.name, facts.height, facts.width, facts.file_bytes)
    with decoding(facts.name):
        opened = open_tiff(path) if is_tiff(path) else None
    return FileSource(facts, path, convert_into, opened)


def source_from(picture: Picture) -> FileSource:
    """A picture in memory, or mapped from a file, to be read as one that is not."""
    facts = PictureInfo(
        name=picture.name,
        height=picture.height,
        width=picture.width,
        depth=picture.depth,
        mode="RGB" if picture.alpha is None else "RGB + alpha",
        has_alpha=picture.alpha is not None,
        orientation=UPRIGHT,
        profile=picture.profile,
        dpi=picture.dpi,
        format=_MEMORY,
        file_bytes=0,
    )
    samples = Samples(picture.pixels, ColourModel.RGB, picture.depth, picture.alpha)
    return FileSource(facts, Path(picture.name), None, SampleWindows(samples))


def _check_scale(windows: Windows, name: str) -> None:
    """Raise PictureError where floats are not those of a picture, going by nine places."""
    height, width = min(_SAMPLE, windows.height), min(_SAMPLE, windows.width)
    places = [
        windows.samples(
            row * (windows.height - height) // 2, column * (windows.width - width) // 2, height, width
        )
        for row in range(3)
        for column in range(3)
    ]
    values = np.concatenate([place.values for place in places])
    check_floats(replace(places[0], values=values, alpha=None), name)


def _strips(windows: Windows) -> Iterator[Samples]:
    rows = strip_rows(windows.width)
    for top in range(0, windows.height, rows):
        yield windows.samples(top, 0, min(rows, windows.height - top), windows.width)
