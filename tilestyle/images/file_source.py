"""Picture files, and pictures in memory, read by windows."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tilestyle.files.paths import PathLike
from tilestyle.images import tiled_cache
from tilestyle.images.area_average import AreaMean
from tilestyle.images.decode import decoded, decoded_strips
from tilestyle.images.file_header import Alpha, Coding, Decoder, Description
from tilestyle.images.library_errors import decoding
from tilestyle.images.orientation import UPRIGHT, stored_window, swaps_sides, upright
from tilestyle.images.picture import FloatArray, Picture
from tilestyle.images.pixel_limit import check_pixels
from tilestyle.images.raster import SampleWindows, TiffWindows, Windows
from tilestyle.images.raw_samples import Samples, check_floats, picture_from_window
from tilestyle.images.read_header import describe
from tilestyle.images.samples_to_srgb import samples_of
from tilestyle.images.source import Source, channels, check_inside, check_shrinks
from tilestyle.images.strips import strip_rows

_SAMPLE = 64  # side of a place that tells how floats are scaled, pixels


class FileSource(Source):
    """Windows of a described file, or of samples in memory."""

    def __init__(self, seen: Description, convert_into: Path | None, opened: Windows | None) -> None:
        self._seen, self._convert_into = seen, convert_into
        self._opened = None if opened is None else (opened, seen)
        self.name = seen.name
        self.height, self.width = seen.height, seen.width
        self.depth, self.profile, self.dpi = seen.depth, seen.colours, seen.dpi
        self.has_alpha = seen.has_alpha
        self._scale_is_known = not seen.dtype.startswith("float")

    def window(self, top: int, left: int, height: int, width: int) -> Picture:
        """Decode what lies under a window."""
        check_inside(self, top, left, height, width)
        with decoding(self.name):
            windows, meaning = self._windows()
            stored = stored_window((top, left, height, width), (self.height, self.width), meaning.orientation)
            return self._picture(samples_of(meaning, windows.stored(*stored)))

    def strips(self) -> Iterator[FloatArray]:
        """The picture from top to bottom; of a file that is streamed, without converting it."""
        seen = self._seen
        if self._opened is not None or not seen.streamed or seen.orientation != UPRIGHT:
            yield from super().strips()
            return
        with decoding(self.name):
            _, strips = decoded_strips(seen, seen.stored_height, seen.stored_width)
            for stored in strips:
                yield channels(self._picture(samples_of(seen, stored)))

    def shrunk(self, height: int, width: int) -> Picture:
        """The whole picture at a smaller size (or its own), by means over areas; with alpha if it has any.

        Read once in strips and never whole where its format allows; from a smaller copy where the file has one,
        and JPEG at the smaller size it decodes to, both at least twice the size asked for. Nothing is
        converted: what has to be decoded whole is let go of afterwards.
        """
        check_shrinks(self, height, width)
        with decoding(self.name):
            streamed = self._opened is None and self._seen.streamed
            meaning = self._seen if self._opened is None else self._opened[1]
            # Strips run along stored rows: what lies on its side is averaged so, and turned when small.
            target = (width, height) if swaps_sides(meaning.orientation) else (height, width)
            if streamed:
                sides, strips = decoded_strips(self._seen, *target)
            else:
                windows = SampleWindows(decoded(self._seen)) if self._opened is None else self._opened[0]
                self._check_scale(windows, meaning)
                smaller = windows.reduced(*target)
                sides, strips = smaller.extent(), _strips(smaller)
            mean = AreaMean(sides, target)
            for stored in strips:
                samples = replace(samples_of(meaning, stored), orientation=UPRIGHT)
                mean.add(channels(self._picture(samples)))
            small = mean.picture()
        return Picture(
            pixels=upright(small.pixels, meaning.orientation),
            alpha=None if small.alpha is None else upright(small.alpha, meaning.orientation),
            depth=self.depth,
            profile=self.profile,
            name=self.name,
        )

    def conversion_bytes(self) -> int:
        """The disk that the first window will take in the folder of conversions, at the most; 0 for none."""
        if self._opened is not None or self._convert_into is None:
            return 0
        if tiled_cache.copy_of(self._seen.path, self._convert_into).exists():
            return 0
        channels = 4  # inks, or colours and alpha
        return self.height * self.width * channels * 2 * 2  # 16 bits where a profile asks; smaller copies

    def close(self) -> None:
        """Let go of the file."""
        if self._opened is not None:
            self._opened[0].close()

    def _picture(self, samples: Samples) -> Picture:
        """Develop samples; what is said of their source holds for them, though they come from a copy."""
        picture = picture_from_window(samples, self.name)
        return replace(picture, depth=self.depth, profile=self.profile, dpi=self.dpi)

    def _windows(self) -> tuple[Windows, Description]:
        """What windows are read from, opened at the first need, and what its samples mean."""
        if self._opened is None:
            if self._convert_into is None:
                self._opened = SampleWindows(decoded(self._seen)), self._seen
            else:
                self._opened = tiled_cache.tiled_copy(self._seen, self._convert_into)
        self._check_scale(*self._opened)
        return self._opened

    def _check_scale(self, windows: Windows, meaning: Description) -> None:
        """Raise PictureError, at the first need, where floats are not those of a picture."""
        if not self._scale_is_known:
            _check_scale(windows, meaning, self.name)
            self._scale_is_known = True


def open_source(path: PathLike, convert_into: Path | None = None) -> FileSource:
    """Open a picture file to be read by windows, whatever its size.

    TIFF in tiles, in narrow strips or unpacked is read where it lies. Everything else is converted at the
    first window, once, to an unpacked tiled file in the folder ``convert_into``, which stays there for the
    next run; PNG, JPEG, WebP and most TIFF as a stream, rarer kinds by way of memory. Without the folder
    the picture is read into memory. ``shrunk`` needs no conversion where there is a stream.

    Raises PictureError when the file is missing, broken, unknown, or has more pixels than are read
    (``pixel_limit``).
    """
    seen = describe(path)
    check_pixels(seen.name, seen.height, seen.width)
    with decoding(seen.name):
        return FileSource(seen, convert_into, _cheap_windows(seen))


def source_from(picture: Picture) -> FileSource:
    """A picture in memory, or mapped from a file, to be read as one that is not."""
    alpha = Alpha.NONE if picture.alpha is None else Alpha.STRAIGHT
    seen = Description(
        path=Path(picture.name),
        format="memory",
        mode="RGB" if picture.alpha is None else "RGB + alpha",
        decoder=Decoder.PILLOW,
        stored_height=picture.height,
        stored_width=picture.width,
        channels=3 if picture.alpha is None else 4,
        dtype="float32",
        bits=picture.depth,
        coding=Coding.RGB,
        alpha=alpha,
        alpha_channel=3,
        dpi=picture.dpi,
    )
    return _PictureSource(seen, picture)


class _PictureSource(FileSource):
    """Windows of a picture in memory, whose values are sRGB already."""

    def __init__(self, seen: Description, picture: Picture) -> None:
        super().__init__(seen, None, _PictureWindows(picture))
        self.name, self.profile = picture.name, picture.profile
        self._scale_is_known = True


class _PictureWindows:
    """Pixels and alpha of a picture together, as a file would have them."""

    def __init__(self, picture: Picture) -> None:
        self._picture = picture
        self.height, self.width = picture.height, picture.width

    def stored(self, top: int, left: int, height: int, width: int) -> NDArray[Any]:
        """Cut a window out."""
        window = np.s_[top : top + height, left : left + width]
        pixels, alpha = self._picture.pixels[window], self._picture.alpha
        return pixels if alpha is None else np.dstack([pixels, alpha[window]])

    def reduced(self, height: int, width: int) -> Windows:
        """Itself: memory keeps no second size."""
        return self

    def extent(self) -> tuple[float, float]:
        """Its sides."""
        return self.height, self.width

    def close(self) -> None:
        """Nothing to let go."""


def _cheap_windows(seen: Description) -> Windows | None:
    """Windows of a TIFF whose way of storing makes them cheap."""
    if seen.decoder is not Decoder.TIFFFILE:
        return None
    windows = TiffWindows.opened(seen)
    if windows.are_cheap:
        return windows
    windows.close()
    return None


def _check_scale(windows: Windows, meaning: Description, name: str) -> None:
    """Raise PictureError where floats are not those of a picture, going by nine places."""
    height, width = min(_SAMPLE, windows.height), min(_SAMPLE, windows.width)
    places = [
        samples_of(
            meaning,
            windows.stored(
                row * (windows.height - height) // 2, column * (windows.width - width) // 2, height, width
            ),
        )
        for row in range(3)
        for column in range(3)
    ]
    values = np.concatenate([place.values for place in places])
    alphas = [place.alpha for place in places if place.alpha is not None]
    check_floats(replace(places[0], values=values, alpha=np.concatenate(alphas) if alphas else None), name)


def _strips(windows: Windows) -> Iterator[NDArray[Any]]:
    rows = strip_rows(windows.width)
    for top in range(0, windows.height, rows):
        yield windows.stored(top, 0, min(rows, windows.height - top), windows.width)
