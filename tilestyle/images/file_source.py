"""Sources of picture files and of pictures in memory."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tilestyle.files.paths import PathLike
from tilestyle.images import tiled_cache
from tilestyle.images.area_average import PictureAccumulator
from tilestyle.images.color_management import srgb_profile, working_profile
from tilestyle.images.decode import decode_strips, decode_whole
from tilestyle.images.file_header import Alpha, Coding, Decoder, FileHeader
from tilestyle.images.library_errors import translating_decode_errors
from tilestyle.images.orientation import UPRIGHT, rotate_upright, stored_window, swaps_sides
from tilestyle.images.picture import FloatArray, Picture
from tilestyle.images.pixel_limit import check_pixel_count
from tilestyle.images.raster import MemoryRaster, Raster, TiffRaster
from tilestyle.images.raw_samples import RawSamples, check_floats, picture_from_window
from tilestyle.images.read import picture_from
from tilestyle.images.read_header import describe
from tilestyle.images.samples_to_srgb import interpret_samples
from tilestyle.images.source import ImageSource, check_downsample_size, check_inside, stack_channels
from tilestyle.images.strips import strip_rows

_SAMPLE = 64  # side in pixels of the areas that are sampled to check the range of floats


class FileSource(ImageSource):
    """A picture file whose header has been read."""

    def __init__(self, header: FileHeader, cache_folder: Path | None, raster: Raster | None) -> None:
        """Create the source; files are opened at the first use.

        Args:
            header: Header of the file.
            cache_folder: Folder for a converted copy. None: read the file into memory instead.
            raster: Windows of the file, if reading them is cheap without a conversion.
        """
        self._header, self._cache_folder = header, cache_folder
        self._colors = working_profile()  # other threads than this one may read
        self._raster = None if raster is None else (raster, header)
        self.name = header.name
        self.height, self.width = header.height, header.width
        self.depth, self.profile, self.dpi = header.depth, header.color_description, header.dpi
        self.has_alpha = header.has_alpha
        self._scale_is_known = not header.dtype.startswith("float")

    def window(self, top: int, left: int, height: int, width: int) -> Picture:
        """Decode a window; arguments and errors as in the interface."""
        check_inside(self, top, left, height, width)
        with translating_decode_errors(self.name):
            windows, header = self._open_raster()
            stored = stored_window((top, left, height, width), (self.height, self.width), header.orientation)
            return self._picture(interpret_samples(header, windows.read_window(*stored)))

    def samples(self, top: int, left: int, height: int, width: int) -> RawSamples:
        """Decode the samples of a window as they are stored, in their own colors, but rotated upright.

        Arguments and errors as in `window`.
        """
        check_inside(self, top, left, height, width)
        with translating_decode_errors(self.name):
            windows, header = self._open_raster()
            stored = stored_window((top, left, height, width), (self.height, self.width), header.orientation)
            raw = interpret_samples(header, windows.read_window(*stored))
        return replace(
            raw,
            values=rotate_upright(raw.values, raw.orientation),
            alpha=None if raw.alpha is None else rotate_upright(raw.alpha, raw.orientation),
            orientation=UPRIGHT,
        )

    def strips(self) -> Iterator[FloatArray]:
        """Read the picture from top to bottom in strips; a file that can be streamed is not converted."""
        header = self._header
        if self._raster is not None or not header.is_streamable or header.orientation != UPRIGHT:
            yield from super().strips()
            return
        with translating_decode_errors(self.name):
            _, strips = decode_strips(header, header.stored_height, header.stored_width)
            for stored in strips:
                yield stack_channels(self._picture(interpret_samples(header, stored)))

    def downsample(self, height: int, width: int) -> Picture:
        """Read the whole picture at a smaller size (or its own) by area averaging, with alpha if it has any.

        The file is read once, in strips where its format allows. If it has a reduced copy, or is a JPEG, which
        can be decoded at a reduced size, that is used if it has at least twice the requested size. No converted
        copy is made; a file that must be decoded as a whole is released afterwards.

        Raises:
            PictureError: The size is larger than that of the picture, or the file is damaged.
            MemoryLimit: The file must be decoded as a whole and does not fit into memory.
        """
        check_downsample_size(self, height, width)
        with translating_decode_errors(self.name):
            streamed = self._raster is None and self._header.is_streamable
            header = self._header if self._raster is None else self._raster[1]
            # Strips follow the stored rows: the stored picture is averaged, and the small result is rotated.
            target = (width, height) if swaps_sides(header.orientation) else (height, width)
            if streamed:
                sides, strips = decode_strips(self._header, *target)
            else:
                windows = MemoryRaster(decode_whole(self._header)) if self._raster is None else self._raster[0]
                self._check_scale(windows, header)
                smaller = windows.overview(*target)
                sides, strips = smaller.exact_size(), _raster_strips(smaller)
            mean = PictureAccumulator(sides, target)
            for stored in strips:
                samples = replace(interpret_samples(header, stored), orientation=UPRIGHT)
                mean.add(stack_channels(self._picture(samples)))
            small = mean.picture()
        return Picture(
            pixels=rotate_upright(small.pixels, header.orientation),
            alpha=None if small.alpha is None else rotate_upright(small.alpha, header.orientation),
            depth=self.depth,
            profile=self.profile,
            name=self.name,
        )

    def conversion_bytes(self) -> int:
        """Return the most bytes that the first window can take in the cache folder; 0 without a conversion."""
        if self._raster is not None or self._cache_folder is None:
            return 0
        if tiled_cache.tiled_copy_path(self._header.path, self._cache_folder).exists():
            return 0
        channels = 4  # CMYK, or RGB and alpha
        sample_bytes = 2  # profiles are converted to 16 bits
        return self.height * self.width * channels * sample_bytes * 2  # doubled for the reduced copies

    @contextmanager
    def converting_into(self, folder: Path) -> Iterator[None]:
        """Use a folder of conversions inside the block, if the file was opened without one."""
        if self._cache_folder is not None:
            yield
            return
        self._reopen(folder)
        try:
            yield
        finally:
            self._reopen(None)

    def _reopen(self, convert_into: Path | None) -> None:
        """Let go of what was read, and read windows from this folder of conversions from here on."""
        self.close()
        self._raster, self._cache_folder = None, convert_into
        opened = _open_cheap_raster(self._header)
        self._raster = None if opened is None else (opened, self._header)

    def close(self) -> None:
        """Close the file."""
        if self._raster is not None:
            self._raster[0].close()

    def _picture(self, samples: RawSamples) -> Picture:
        """Convert samples to a Picture with the facts of the original file, even if they come from a copy."""
        picture = picture_from_window(samples, self.name, self._colors)
        return replace(picture, depth=self.depth, profile=self.profile, dpi=self.dpi)

    def _open_raster(self) -> tuple[Raster, FileHeader]:
        """Return the raster to read windows from, opened at the first call, and the header of its samples."""
        if self._raster is None:
            if self._cache_folder is None:
                self._raster = MemoryRaster(decode_whole(self._header)), self._header
            else:
                self._raster = tiled_cache.open_tiled_copy(self._header, self._cache_folder)
        self._check_scale(*self._raster)
        return self._raster

    def _check_scale(self, raster: Raster, meaning: FileHeader) -> None:
        """At the first call, raise PictureError if float samples are not in the range of a picture."""
        if not self._scale_is_known:
            _check_scale(raster, meaning, self.name)
            self._scale_is_known = True


def open_source(path: PathLike, cache_folder: Path | None = None) -> FileSource:
    """Open a picture file of any size to be read by windows.

    A TIFF with tiles, with narrow strips or without compression is read directly. Any other file is converted
    once, at the first window, to an uncompressed tiled file, which is kept for the next run: PNG, JPEG, WebP
    and most TIFF files as a stream, rarer kinds by way of memory. `downsample` needs no conversion.

    Args:
        path: The picture file.
        cache_folder: Folder for the converted copy. None: the picture is read into memory instead.

    Raises:
        PictureError: The file is missing, broken or in an unknown format, or has more pixels than `pixel_limit`
            allows.
    """
    header = describe(path)
    check_pixel_count(header.name, header.height, header.width)
    with translating_decode_errors(header.name):
        return FileSource(header, cache_folder, _open_cheap_raster(header))


def as_source(image: object) -> ImageSource:
    """Return anything that holds a picture (`picture_from`) as a source in memory; a source as it is."""
    if isinstance(image, ImageSource):
        return image
    picture = picture_from(image)
    alpha = Alpha.NONE if picture.alpha is None else Alpha.STRAIGHT
    header = FileHeader(
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
    return _PictureSource(header, picture)


class _PictureSource(FileSource):
    """A picture in memory as a source; its values are already sRGB."""

    def __init__(self, header: FileHeader, picture: Picture) -> None:
        super().__init__(header, None, _PictureRaster(picture))
        self._colors = srgb_profile()  # as its header says: its values stay as they are
        self.name, self.profile = picture.name, picture.profile
        self._scale_is_known = True

    @contextmanager
    def converting_into(self, folder: Path) -> Iterator[None]:
        """Do nothing: the picture is in memory and stays there."""
        yield


class _PictureRaster:
    """Windows of a picture in memory, with alpha as the fourth channel."""

    def __init__(self, picture: Picture) -> None:
        self._picture = picture
        self.height, self.width = picture.height, picture.width

    def read_window(self, top: int, left: int, height: int, width: int) -> NDArray[Any]:
        """Return the samples [height, width, C] of a window."""
        window = np.s_[top : top + height, left : left + width]
        pixels, alpha = self._picture.pixels[window], self._picture.alpha
        return pixels if alpha is None else np.dstack([pixels, alpha[window]])

    def overview(self, height: int, width: int) -> Raster:
        """Return this raster: there is no reduced copy in memory."""
        return self

    def exact_size(self) -> tuple[float, float]:
        """Return height and width."""
        return self.height, self.width

    def close(self) -> None:
        """Do nothing: no file is open."""


def _open_cheap_raster(header: FileHeader) -> Raster | None:
    """Open a TIFF if its windows can be read cheaply; None for other files."""
    if header.decoder is not Decoder.TIFFFILE:
        return None
    windows = TiffRaster.open(header)
    if windows.has_cheap_windows:
        return windows
    windows.close()
    return None


def _check_scale(raster: Raster, meaning: FileHeader, name: str) -> None:
    """Raise PictureError if float samples are not in the range of a picture, going by nine areas of it."""
    height, width = min(_SAMPLE, raster.height), min(_SAMPLE, raster.width)
    # A side no longer than an area has that area only, not three of the same.
    tops, lefts = (
        (0, spare // 2, spare) if spare else (0,) for spare in (raster.height - height, raster.width - width)
    )
    areas = [
        interpret_samples(meaning, raster.read_window(top, left, height, width))
        for top in tops
        for left in lefts
    ]
    values = np.concatenate([area.values for area in areas])
    alphas = [area.alpha for area in areas if area.alpha is not None]
    check_floats(replace(areas[0], values=values, alpha=np.concatenate(alphas) if alphas else None), name)


def _raster_strips(raster: Raster) -> Iterator[NDArray[Any]]:
    """Read a raster from top to bottom in strips [h, W, C]."""
    rows = strip_rows(raster.width)
    for top in range(0, raster.height, rows):
        yield raster.read_window(top, 0, min(rows, raster.height - top), raster.width)
