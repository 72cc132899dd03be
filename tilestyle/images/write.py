"""Writing pictures to files, strip by strip."""

from __future__ import annotations

import struct
import zlib
from collections.abc import Iterable, Iterator
from contextlib import ExitStack
from itertools import chain
from pathlib import Path
from tempfile import TemporaryFile
from typing import Any, BinaryIO

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from tilestyle.config.enums import Compression, Format
from tilestyle.config.paper import DPI
from tilestyle.files.atomic import atomic_write
from tilestyle.files.paths import PathLike
from tilestyle.images import deepzoom, write_jpeg, write_pdf, write_png, write_tiff
from tilestyle.images.color_management import profile_name, srgb_profile, working_profile
from tilestyle.images.format_limits import check_color, check_writable
from tilestyle.images.library_errors import translating_encode_errors
from tilestyle.images.output_color import InkMeter, OutputColor
from tilestyle.images.picture import FloatArray, Picture
from tilestyle.images.provenance import KEYWORD, provenance_exif, software_name
from tilestyle.images.read import picture_from
from tilestyle.images.strips import (
    composite_on_white,
    picture_strips,
    quantize,
    regroup_strips,
    strip_rows,
    to_depth,
)
from tilestyle.images.write_options import WriteOptions
from tilestyle.images.write_png import compress_rows

_DEFAULT = WriteOptions()

Bands = Iterable[NDArray[Any]]
Shape = tuple[int, int, int]


def write_picture(path: PathLike, picture: Picture | object, *, options: WriteOptions = _DEFAULT) -> None:
    """Write a picture in the format of the file name extension, with an sRGB profile.

    Args:
        path: The file to create or replace.
        picture: A Picture, a float32 array [H, W, 3] in [0, 1] (which may be memory-mapped), or anything that
            `picture_from` accepts.
        options: Bit depth, quality and the like.

    Raises:
        OutputError: The format or the folder cannot hold the picture.
        PictureError: The picture contains NaN or infinity, or cannot be read.
        SettingError: The provenance is not JSON.
    """
    if not isinstance(picture, Picture):
        picture = _as_picture(picture)
    strips = picture_strips(picture)
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
    """Write a picture that is given as strips from top to bottom, in constant memory.

    Values are clipped to [0, 1] and rounded to the nearest level. JPEG has no alpha: transparent areas are
    composited on white. Only WebP, which is limited to 16,383 pixels per side, is encoded in memory as a whole.

    The file appears complete or not at all: after a failure, an older file at ``path`` is unchanged. (A Deep
    Zoom picture is a file and a folder, which are replaced one after the other.)

    Args:
        path: The file to create or replace; its extension chooses the format.
        height: Height of the picture in pixels.
        width: Width of the picture in pixels.
        strips: float32 arrays [h, width, 3], or [h, width, 4] with straight alpha, whose heights add up to
            ``height``.
        options: Bit depth, quality and the like. Colors other than those of the picture are those of print:
            transparent areas become white.
        name: Name of the picture in error messages.

    Raises:
        OutputError: The format or the folder cannot hold the picture.
        PictureError: A strip contains NaN or infinity.
        SettingError: The provenance is not JSON.
    """
    path = Path(path)
    form = check_writable(path, height, width, options.depth, options.compression)
    with translating_encode_errors(str(path)):
        first, rest = _peek_strip(strips)
        is_opaque = (
            form in (Format.JPEG, Format.PDF)
            or (form is Format.TIFF and options.compression is Compression.JPEG)
            or options.color is not None
        )
        whole = (
            composite_on_white(strip) if is_opaque else strip
            for strip in _check_rows(chain([first], rest), height, width)
        )
        if options.color is None:
            shape = (height, width, 3 if is_opaque else first.shape[2])
            bands = (quantize(strip, options.depth, name) for strip in whole)
            _encode(path, form, bands, shape, options)
        else:
            fine = (quantize(strip, 16, name) for strip in whole)
            write_samples(path, (height, width), fine, working_profile(), options=options)


def write_samples(
    path: PathLike,
    size: tuple[int, int],
    strips: Bands,
    source: bytes,
    *,
    options: WriteOptions,
) -> None:
    """Write samples with a profile of their own in the colors that the options state, as `write_stream`.

    Args:
        path: The file to create or replace; its extension chooses the format.
        size: Height and width of the picture, pixels.
        strips: uint8 or uint16 samples [h, width, C] from top to bottom, without alpha.
        source: ICC profile of the samples. Samples that have the profile of the options already are kept.
        options: Bit depth, quality and the like, with colors.

    Raises:
        OutputError: The format or the folder cannot hold the picture.
    """
    path, color = Path(path), options.color
    assert color is not None, "the colors of the file are stated"
    check_color(path, color.space)
    form = check_writable(path, *size, options.depth, options.compression)
    ink = options.ink or InkMeter()
    with translating_encode_errors(str(path)):
        converted = strips if source == color.profile else (color.convert(strip, source) for strip in strips)
        bands = ink.watch(to_depth(strip, options.depth) for strip in converted)
        _encode(path, form, bands, (*size, color.channels), options)


def _encode(path: Path, form: Format, bands: Bands, shape: Shape, options: WriteOptions) -> None:
    """Write samples in their final form."""
    if form is Format.DEEP_ZOOM:
        deepzoom.write_deep_zoom(path, bands, shape, options.quality, options.provenance_text())
        return
    with atomic_write(path) as file:
        _ENCODERS[form](file, bands, shape, options)


def _profile(options: WriteOptions) -> bytes:
    """The profile of the samples of a file."""
    return working_profile() if options.color is None else options.color.profile


def _write_png(file: BinaryIO, bands: Bands, shape: Shape, options: WriteOptions) -> None:
    is_srgb = _profile(options) == srgb_profile()
    title = "sRGB" if is_srgb else profile_name(_profile(options))
    label = title.encode("latin-1", "replace")[:79].strip() or b"profile"
    chunks = [(b"iCCP", label + b"\0\0" + zlib.compress(_profile(options)))]
    if options.dpi is not None:
        per_meter = round(options.dpi / 0.0254)  # pixels
        chunks.append((b"pHYs", struct.pack(">IIB", per_meter, per_meter, 1)))
    chunks.append((b"tEXt", b"Software\0" + software_name().encode("latin-1")))
    text = options.provenance_text()
    if text is not None:
        chunks.append((b"iTXt", KEYWORD.encode() + b"\0\0\0\0\0" + text.encode()))
    # Fixed strip heights make the bytes of the file independent of the strips that were given.
    rows = regroup_strips(bands, strip_rows(shape[1]))
    file.writelines(write_png.encode_png(rows, shape, chunks))


def _write_tiff(file: BinaryIO, bands: Bands, shape: Shape, options: WriteOptions) -> None:
    tags = write_tiff.TiffTags(
        profile=_profile(options),
        description=options.provenance_text(),
        software=software_name(),
        dpi=options.dpi,
        compression=options.compression,
        quality=options.quality,
        flat=options.flat,
        photometric="rgb" if options.color is None else _PHOTOMETRICS[options.color.channels],
    )
    write_tiff.write_tiles(file, bands, shape, tags, Path(file.name).parent)


def _write_jpeg(file: BinaryIO, bands: Bands, shape: Shape, options: WriteOptions) -> None:
    exif = provenance_exif(options.provenance_text(), options.dpi)
    segments = write_jpeg.segments_of(_profile(options), exif, options.dpi)
    write_jpeg.write_jpeg(file, bands, shape, options.quality, segments)


def _write_webp(file: BinaryIO, bands: Bands, shape: Shape, options: WriteOptions) -> None:
    _pillow_from(bands, shape).save(
        file,
        format="WEBP",
        lossless=options.lossless,
        quality=80 if options.lossless else options.quality,  # if lossless: the effort of the encoder
        exact=options.lossless,  # keep the colors of transparent pixels
        icc_profile=_profile(options),
        exif=provenance_exif(options.provenance_text(), options.dpi),
    )


def _write_pdf(file: BinaryIO, bands: Bands, shape: Shape, options: WriteOptions) -> None:
    color = options.color or OutputColor(working_profile())
    is_jpeg = options.compression is Compression.JPEG
    facts = write_pdf.PdfFacts(
        profile=color.profile,
        profile_name=color.name,
        is_printer=color.is_printer,
        dpi=options.dpi or DPI,
        title=options.title or "tilestyle",
        software=software_name(),
        settings=options.provenance_text(),
        boxes=options.boxes,
    )
    with ExitStack() as files:
        pieces: Iterable[bytes] = compress_rows(bands)
        if is_jpeg:  # libvips pushes, the writer of PDF pulls
            encoded = files.enter_context(TemporaryFile(dir=Path(file.name).parent))
            write_jpeg.write_jpeg(encoded, bands, shape, options.quality, [])
            encoded.seek(0)
            pieces = iter(lambda: encoded.read(1 << 20), b"")
        picture = write_pdf.PdfPicture(pieces, shape[0], shape[1], shape[2], options.depth, is_jpeg)
        write_pdf.write_pdf(file, picture, facts)


_PHOTOMETRICS = {1: "minisblack", 3: "rgb", 4: "separated"}
_ENCODERS = {
    Format.PNG: _write_png,
    Format.JPEG: _write_jpeg,
    Format.WEBP: _write_webp,
    Format.TIFF: _write_tiff,
    Format.PDF: _write_pdf,
}


def pillow_image(picture: Picture) -> Image.Image:
    """Convert a picture to a Pillow image with 8 bits per channel: RGB, or RGBA if it has alpha."""
    shape = (picture.height, picture.width, 3 if picture.alpha is None else 4)
    bands = (quantize(strip, 8, picture.name) for strip in picture_strips(picture))
    return _pillow_from(bands, shape)


def _pillow_from(bands: Bands, shape: Shape) -> Image.Image:
    image = Image.new("RGB" if shape[2] == 3 else "RGBA", (shape[1], shape[0]))
    top = 0
    for band in bands:
        image.paste(Image.fromarray(band), (0, top))
        top += band.shape[0]
    return image


def _as_picture(source: object) -> Picture:
    """Wrap a float32 array [H, W, 3] without a copy; convert everything else with `picture_from`."""
    if isinstance(source, np.ndarray) and source.dtype == np.float32 and source.shape[2:] == (3,):
        return Picture(pixels=source)
    return picture_from(source)


def _peek_strip(strips: Iterable[FloatArray]) -> tuple[FloatArray, Iterator[FloatArray]]:
    """Return the first strip, whose channels tell whether there is alpha, and an iterator over the others."""
    rest = iter(strips)
    return next(rest), rest


def _check_rows(strips: Iterable[FloatArray], height: int, width: int) -> Iterator[FloatArray]:
    """Yield the strips, asserting that they make up the picture."""
    rows = 0
    for strip in strips:
        assert strip.shape[1] == width, f"strip of shape {strip.shape} in a picture of width {width}"
        rows += strip.shape[0]
        yield strip
    assert rows == height, f"strips have {rows} rows in total, the picture has {height}"
