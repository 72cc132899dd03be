"""Pictures to files."""

from __future__ import annotations

import struct
import zlib
from collections.abc import Iterable, Iterator
from itertools import chain
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from tilestyle.config.enums import Compression, Format
from tilestyle.files.atomic import replacing
from tilestyle.files.paths import PathLike
from tilestyle.images import deepzoom, write_jpeg, write_png, write_tiff
from tilestyle.images.color_management import srgb_profile
from tilestyle.images.format_limits import check_writable
from tilestyle.images.library_errors import encoding
from tilestyle.images.picture import FloatArray, Picture
from tilestyle.images.provenance import KEYWORD, provenance_exif, software
from tilestyle.images.read import picture_from
from tilestyle.images.strips import on_white, quantised, regrouped, strip_rows, strips_of_picture
from tilestyle.images.write_options import WriteOptions

_DEFAULT = WriteOptions()

Bands = Iterable[NDArray[Any]]
Shape = tuple[int, int, int]


def write_picture(path: PathLike, picture: Picture | object, *, options: WriteOptions = _DEFAULT) -> None:
    """Write a picture in the format of the suffix of ``path``, with an sRGB profile.

    ``picture`` is a Picture, float32 [H, W, 3] in [0, 1] (which may be mapped from a file), or whatever
    picture_from takes. The rest is as in write_stream.
    """
    if not isinstance(picture, Picture):
        picture = _wrapped(picture)
    strips = strips_of_picture(picture)
    write_stream(path, picture.height, picture.width, strips, options=options, name=picture.name)


def write_stream(
    path: PathLike,
    height: int,
    width: int,
    strips: Iterable[FloatArray],
    *,
    options: WriteOptions = _DEFAULT,
    name: str = "",
) -> None:
    """Write a picture that comes in strips, one below the other, in memory that does not grow with it.

    Strips are float32 [h, width, 3] in [0, 1], or [h, width, 4] with straight alpha, of any heights that
    add up to ``height``. Values are clipped and rounded to the nearest level. JPEG cannot hold alpha:
    transparent parts are laid on white. Of the formats only WebP, at most 16,383 pixels a side, is
    encoded whole. ``name`` is what messages call the picture.

    The file appears whole or not at all: on failure an older one at ``path`` is as it was. (A Deep Zoom
    picture is a file and a folder, replaced one after the other.) Raises OutputError when the format or
    the place cannot hold the picture, PictureError when it is not finite, SettingError when the
    provenance is not JSON.
    """
    path = Path(path)
    form = check_writable(path, height, width, options.depth, options.compression)
    with encoding(str(path)):
        first, rest = _first(strips)
        flat = form is Format.JPEG or (form is Format.TIFF and options.compression is Compression.JPEG)
        shape = (height, width, 3 if flat else first.shape[2])
        bands = (
            quantised(on_white(strip) if flat else strip, options.depth, name)
            for strip in _counted(chain([first], rest), height, width)
        )
        if form is Format.DEEP_ZOOM:
            deepzoom.write_deep_zoom(path, bands, shape, options.quality, options.text())
            return
        with replacing(path) as file:
            _ENCODERS[form](file, bands, shape, options)


def _write_png(file: BinaryIO, bands: Bands, shape: Shape, options: WriteOptions) -> None:
    chunks = [(b"iCCP", b"sRGB\0\0" + zlib.compress(srgb_profile()))]
    if options.dpi is not None:
        per_metre = round(options.dpi / 0.0254)
        chunks.append((b"pHYs", struct.pack(">IIB", per_metre, per_metre, 1)))
    chunks.append((b"tEXt", b"Software\0" + software().encode("latin-1")))
    text = options.text()
    if text is not None:
        chunks.append((b"iTXt", KEYWORD.encode() + b"\0\0\0\0\0" + text.encode()))
    rows = regrouped(bands, strip_rows(shape[1]))  # what is packed together shows in the bytes
    file.writelines(write_png.encoded(rows, shape, chunks))


def _write_tiff(file: BinaryIO, bands: Bands, shape: Shape, options: WriteOptions) -> None:
    tags = write_tiff.TiffTags(
        profile=srgb_profile(),
        description=options.text(),
        software=software(),
        dpi=options.dpi,
        compression=options.compression,
        quality=options.quality,
    )
    write_tiff.write_tiles(file, bands, shape, tags, Path(file.name).parent)


def _write_jpeg(file: BinaryIO, bands: Bands, shape: Shape, options: WriteOptions) -> None:
    exif = provenance_exif(options.text(), options.dpi)
    segments = write_jpeg.segments_of(srgb_profile(), exif, options.dpi)
    write_jpeg.write_jpeg(file, bands, shape, options.quality, segments)


def _write_webp(file: BinaryIO, bands: Bands, shape: Shape, options: WriteOptions) -> None:
    _pillow_from(bands, shape).save(
        file,
        format="WEBP",
        lossless=options.lossless,
        quality=80 if options.lossless else options.quality,  # lossless: of the search, not the picture
        exact=options.lossless,  # colours under transparent pixels too
        icc_profile=srgb_profile(),
        exif=provenance_exif(options.text(), options.dpi),
    )


_ENCODERS = {
    Format.PNG: _write_png,
    Format.JPEG: _write_jpeg,
    Format.WEBP: _write_webp,
    Format.TIFF: _write_tiff,
}


def pillow_image(picture: Picture) -> Image.Image:
    """The picture for Pillow at 8 bits: RGB, or RGBA where it has alpha."""
    shape = (picture.height, picture.width, 3 if picture.alpha is None else 4)
    bands = (quantised(strip, 8, picture.name) for strip in strips_of_picture(picture))
    return _pillow_from(bands, shape)


def _pillow_from(bands: Bands, shape: Shape) -> Image.Image:
    image = Image.new("RGB" if shape[2] == 3 else "RGBA", (shape[1], shape[0]))
    top = 0
    for band in bands:
        image.paste(Image.fromarray(band), (0, top))
        top += band.shape[0]
    return image


def _wrapped(source: object) -> Picture:
    """Take float32 [H, W, 3] as it is, without a copy, and everything else through picture_from."""
    if isinstance(source, np.ndarray) and source.dtype == np.float32 and source.shape[2:] == (3,):
        return Picture(pixels=source)
    return picture_from(source)


def _first(strips: Iterable[FloatArray]) -> tuple[FloatArray, Iterator[FloatArray]]:
    """The first strip, which says whether there is alpha, and the others."""
    rest = iter(strips)
    return next(rest), rest


def _counted(strips: Iterable[FloatArray], height: int, width: int) -> Iterator[FloatArray]:
    """Pass strips on, and assert that they make up the picture."""
    rows = 0
    for strip in strips:
        assert strip.shape[1] == width, f"a strip {strip.shape} of a picture {width} wide"
        rows += strip.shape[0]
        yield strip
    assert rows == height, f"{rows} rows came of {height}"
