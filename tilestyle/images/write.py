"""Pictures to files."""

from __future__ import annotations

import math
import struct
import zlib
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from tilestyle.errors import OutputError, PictureError, SettingError
from tilestyle.images import png, tiff_strips
from tilestyle.images.atomic import check_place, replacing
from tilestyle.images.border import encoding
from tilestyle.images.colour import srgb_profile
from tilestyle.images.picture import FloatArray, Picture
from tilestyle.images.provenance import KEYWORD, Json, provenance_exif, provenance_text, software
from tilestyle.images.read import PathLike, picture_from

_BAND_SAMPLES = 1 << 21
_JPEG_SEGMENT = 65533  # bytes after the length field of a marker segment, EXIF's among them


@dataclass(frozen=True, slots=True)
class WriteOptions:
    """How a picture is written.

    ``depth`` is bits per channel, 8 or 16 (PNG and TIFF). ``quality``, 1 to 100, is for JPEG and lossy
    WebP; ``lossless`` for WebP. ``dpi`` is dots per inch, stored when given, ``provenance`` the settings
    to store. Raises SettingError for values outside these.
    """

    depth: int = 8
    quality: int = 95
    lossless: bool = False
    dpi: float | None = None
    provenance: Mapping[str, Json] | None = None

    def __post_init__(self) -> None:
        """Refuse what no format could take."""
        if self.depth not in (8, 16):
            raise SettingError(f"depth {self.depth} cannot be written", hint="use 8 or 16")
        if not 1 <= self.quality <= 100:
            raise SettingError(f"quality {self.quality} is out of range", hint="use 1 to 100")
        if self.dpi is not None and not 0.1 <= self.dpi <= 60000:
            raise SettingError(f"{self.dpi} dots per inch is out of range", hint="use 0.1 to 60000")


_DEFAULT = WriteOptions()


def write_picture(path: PathLike, picture: Picture | object, *, options: WriteOptions = _DEFAULT) -> None:
    """Write a picture in the format of the suffix of ``path``, with an sRGB profile.

    ``picture`` is a Picture, float32 [H, W, 3] in [0, 1] (which may be mapped from a file: PNG and TIFF
    are written in bands, in constant memory), or whatever picture_from takes. Values are clipped and
    rounded to the nearest level. JPEG cannot hold alpha: transparent parts are laid on white.

    The file appears whole or not at all: on failure an older one at ``path`` is as it was. Raises
    OutputError when the format or the place cannot hold the picture, PictureError when the picture is
    not finite or not one, SettingError when the provenance is not JSON.
    """
    path = Path(path)
    if not isinstance(picture, Picture):
        picture = _wrapped(picture)
    check_writable(path, picture.height, picture.width, options.depth)
    encode = _format_of(path).encode
    with encoding(str(path)), replacing(path) as file:
        encode(file, picture, options)


def check_writable(path: PathLike, height: int, width: int, depth: int = 8) -> None:
    """Check all that can be known before the hours of rendering; sides in pixels, depth in bits.

    Raises OutputError when the suffix is unknown, its format cannot hold the size or depth, or the
    folder is missing or not writable.
    """
    path = Path(path)
    form = _format_of(path)
    if depth not in form.depths:
        raise OutputError(f"{form.name} cannot hold {depth} bits per channel", hint="write PNG or TIFF")
    if max(height, width) > form.side_limit:
        raise OutputError(
            f"{width} x {height} pixels exceed the {form.side_limit} a side of {form.name}",
            hint="write PNG or TIFF",
        )
    with encoding(str(path)):
        check_place(path)


def _write_png(file: BinaryIO, picture: Picture, options: WriteOptions) -> None:
    chunks = [(b"iCCP", b"sRGB\0\0" + zlib.compress(srgb_profile()))]
    if options.dpi is not None:
        per_metre = round(options.dpi / 0.0254)
        chunks.append((b"pHYs", struct.pack(">IIB", per_metre, per_metre, 1)))
    chunks.append((b"tEXt", b"Software\0" + software().encode("latin-1")))
    if options.provenance is not None:
        text = provenance_text(options.provenance).encode()
        chunks.append((b"iTXt", KEYWORD.encode() + b"\0\0\0\0\0" + text))
    png.write_bands(file, _bands(picture, options.depth), _shape(picture), chunks)


def _write_tiff(file: BinaryIO, picture: Picture, options: WriteOptions) -> None:
    tags = tiff_strips.TiffTags(
        profile=srgb_profile(),
        description=_text(options),
        software=software(),
        dpi=options.dpi,
    )
    dtype = np.dtype(np.uint8 if options.depth == 8 else np.uint16)
    tiff_strips.write_strips(
        file, lambda rows: _bands(picture, options.depth, rows), _shape(picture), dtype, tags
    )


def _write_jpeg(file: BinaryIO, picture: Picture, options: WriteOptions) -> None:
    exif = provenance_exif(_text(options), options.dpi)
    if len(exif) > _JPEG_SEGMENT:
        raise OutputError(
            f"{len(exif)} bytes of settings exceed the {_JPEG_SEGMENT} of JPEG",
            hint="write PNG, TIFF or WebP",
        )
    extra = {} if options.dpi is None else {"dpi": (options.dpi, options.dpi)}
    pillow_image(picture, flatten=True).save(
        file,
        format="JPEG",
        quality=options.quality,
        subsampling=0,  # 4:4:4: painted edges are as often of colour as of brightness
        icc_profile=srgb_profile(),
        exif=exif,
        **extra,
    )


def _write_webp(file: BinaryIO, picture: Picture, options: WriteOptions) -> None:
    pillow_image(picture, flatten=False).save(
        file,
        format="WEBP",
        lossless=options.lossless,
        quality=80 if options.lossless else options.quality,  # lossless: of the search, not the picture
        exact=options.lossless,  # colours under transparent pixels too
        icc_profile=srgb_profile(),
        exif=provenance_exif(_text(options), options.dpi),
    )


@dataclass(frozen=True, slots=True)
class _Format:
    name: str
    side_limit: int
    depths: tuple[int, ...]
    encode: Callable[[BinaryIO, Picture, WriteOptions], None]


_PNG = _Format("PNG", png.SIDE_LIMIT, (8, 16), _write_png)
# 65,535 could be stated, but libjpeg stops at 65,500.
_JPEG = _Format("JPEG", 65500, (8,), _write_jpeg)
_WEBP = _Format("WebP", 16383, (8,), _write_webp)
_TIFF = _Format("TIFF", tiff_strips.SIDE_LIMIT, (8, 16), _write_tiff)
_FORMATS = {
    ".png": _PNG,
    ".jpg": _JPEG,
    ".jpeg": _JPEG,
    ".webp": _WEBP,
    ".tif": _TIFF,
    ".tiff": _TIFF,
}

OUTPUT_SUFFIXES = tuple(_FORMATS)
"""File name endings of the formats that can be written, in lower case."""


def _format_of(path: Path) -> _Format:
    form = _FORMATS.get(path.suffix.lower())
    if form is None:
        what = f"unknown format {path.suffix!r}" if path.suffix else "no format"
        raise OutputError(f"{path.name or path}: {what}", hint=f"use one of {' '.join(OUTPUT_SUFFIXES)}")
    return form


def _wrapped(source: object) -> Picture:
    """Take float32 [H, W, 3] as it is, without a copy, and everything else through picture_from."""
    if isinstance(source, np.ndarray) and source.dtype == np.float32 and source.shape[2:] == (3,):
        return Picture(pixels=source)
    return picture_from(source)


def _text(options: WriteOptions) -> str | None:
    return None if options.provenance is None else provenance_text(options.provenance)


def _shape(picture: Picture) -> tuple[int, int, int]:
    return picture.height, picture.width, 3 if picture.alpha is None else 4


def _bands(
    picture: Picture, depth: int, rows: int | None = None, *, flatten: bool = False
) -> Iterator[NDArray[Any]]:
    """Quantise band by band: uint8 or uint16 [h, W, 3 or 4]; ``flatten`` lays it on white instead."""
    rows = rows or max(1, _BAND_SAMPLES // (4 * picture.width))
    for top in range(0, picture.height, rows):
        band: FloatArray = picture.pixels[top : top + rows]
        if picture.alpha is not None:
            alpha = picture.alpha[top : top + rows, :, None]
            # Blended as encoded values, not as light: so do the viewers that showed it before.
            band = band * alpha + (1 - alpha) if flatten else np.concatenate([band, alpha], axis=2)
        yield _quantised(band, depth, picture.name)


def _quantised(band: FloatArray, depth: int, name: str) -> NDArray[Any]:
    if not (math.isfinite(band.min()) and math.isfinite(band.max())):
        raise PictureError(
            f"{name or 'the picture'} holds values that are not finite", hint="nothing was written"
        )
    # In float64: a float32 product with 65535 is itself rounded, at times across the middle.
    levels: NDArray[np.float64] = np.rint(np.clip(band, 0.0, 1.0).astype(np.float64) * (2**depth - 1))
    return levels.astype(np.uint8 if depth == 8 else np.uint16)


def pillow_image(picture: Picture, *, flatten: bool = False) -> Image.Image:
    """The picture for Pillow at 8 bits: RGB, or RGBA where it has alpha, unless laid on white."""
    mode = "RGB" if flatten or picture.alpha is None else "RGBA"
    image = Image.new(mode, (picture.width, picture.height))
    top = 0
    for band in _bands(picture, 8, flatten=flatten):
        image.paste(Image.fromarray(band), (0, top))
        top += band.shape[0]
    return image
