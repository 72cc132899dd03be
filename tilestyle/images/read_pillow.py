"""Reading headers and samples with Pillow."""

from __future__ import annotations

from contextlib import suppress
from functools import lru_cache
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from tilestyle.errors import PictureError
from tilestyle.images.avif_color import read_code_points
from tilestyle.images.cicp import Cicp
from tilestyle.images.file_header import Alpha, Coding, Decoder, FileHeader
from tilestyle.images.metadata import ORIENTATION, exif_dpi, exif_tags, plausible_dpi, read_orientation
from tilestyle.images.orientation import UPRIGHT, rotate_upright, valid_orientation
from tilestyle.images.pixel_limit import check_not_empty, check_pixel_count

# Pillow would also start programs (Ghostscript for PostScript), and read fonts, weather data and films. PNG and
# TIFF files are opened elsewhere.
_FORMATS = (
    "AVIF",
    "BMP",
    "DDS",
    "DIB",
    "GIF",
    "ICNS",
    "ICO",
    "JPEG",
    "JPEG2000",
    "PCX",
    "PPM",
    "PSD",
    "QOI",
    "SGI",
    "SUN",
    "TGA",
    "WEBP",
    "XBM",
    "XPM",
)
_STREAMED = ("JPEG", "MPO", "WEBP")
_MODE_KNOWN_WHEN_LOADED = ("ICO", "ICNS")
_SIXTEEN_BITS_AS_I = ("PPM", "PNG", "JPEG2000")  # formats with 16-bit gray that Pillow opens in mode I
_JFIF_UNITS = (1, 2)


class _ModeInfo(NamedTuple):
    """How a mode of Pillow is decoded.

    Attributes:
        mode: Mode that the image is converted to.
        coding: Encoding of the colors in that mode.
        name: Name of the mode for display.
        dtype: Type of the samples.
    """

    mode: str
    coding: Coding
    name: str
    dtype: str = "uint8"


_MODES = {
    "1": _ModeInfo("L", Coding.GRAY, "black and white"),
    "L": _ModeInfo("L", Coding.GRAY, "gray"),
    "LA": _ModeInfo("LA", Coding.GRAY, "gray"),
    "La": _ModeInfo("LA", Coding.GRAY, "gray"),
    "I": _ModeInfo("I", Coding.GRAY, "gray", "uint16"),
    "F": _ModeInfo("F", Coding.GRAY, "gray, float", "float32"),
    "P": _ModeInfo("RGB", Coding.RGB, "palette"),
    "PA": _ModeInfo("RGBA", Coding.RGB, "palette"),
    "RGBA": _ModeInfo("RGBA", Coding.RGB, "RGB"),
    "RGBa": _ModeInfo("RGBA", Coding.RGB, "RGB"),
    "CMYK": _ModeInfo("CMYK", Coding.CMYK, "CMYK"),
    "YCbCr": _ModeInfo("RGB", Coding.RGB, "YCbCr"),
    "LAB": _ModeInfo("LAB", Coding.LAB_SIGNED, "CIELAB"),
}
_WITH_ALPHA = {"L": "LA", "RGB": "RGBA", "I;16": "I;16A", "I": "I;16A"}


@lru_cache(maxsize=1)
def readable_formats() -> tuple[str, ...]:
    """Return the supported formats that this version of Pillow knows; JPEG includes MPO."""
    Image.init()
    return tuple(name for name in _FORMATS if name in Image.OPEN)


def describe_with_pillow(path: Path) -> FileHeader:
    """Read the header of a file in one of `readable_formats`; raises what Pillow raises for other files."""
    with Image.open(path, formats=readable_formats()) as image:
        if image.format in _MODE_KNOWN_WHEN_LOADED:
            check_pixel_count(path.name, image.height, image.width)
            image.load()
        points = read_code_points(path) if image.format == "AVIF" else None
        exif = exif_tags(image.info.get("exif"))
        return describe_image(image, path, exif, points)


def describe_image(image: Image.Image, path: Path, exif: Any = None, points: Cicp | None = None) -> FileHeader:
    """Read the header of the current frame of an opened image.

    Args:
        image: The image, which is not changed.
        path: Its file, or a name for messages.
        exif: EXIF tags. None: those of the image.
        points: Color code points of the file, if any.

    Raises:
        PictureError: The image has fewer than two pixels, or integers without a defined white.
    """
    label = path.name or "the image"
    check_not_empty(label, image.height, image.width)
    kind, has_alpha = _mode_info(image, label)
    if exif is None:
        exif = image.getexif()
    xmp = image.info.get("xmp")
    turn = read_orientation(exif=exif, xmp=xmp if isinstance(xmp, bytes) else b"")
    colors = {Coding.GRAY: 1, Coding.CMYK: 4}.get(kind.coding, 3)
    profile = image.info.get("icc_profile")
    file_bytes = 0
    with suppress(OSError, ValueError):
        file_bytes = path.stat().st_size
    return FileHeader(
        path=path,
        format=image.format or "unknown",
        mode=f"{kind.name} + alpha" if has_alpha else kind.name,
        decoder=Decoder.PILLOW,
        stored_height=image.height,
        stored_width=image.width,
        orientation=turn.value,
        orientation_origin=turn.origin,
        channels=colors + has_alpha,
        dtype=kind.dtype,
        bits=8 * np.dtype(kind.dtype).itemsize,
        compression=str(image.info.get("compression", "")),
        coding=kind.coding,
        alpha=Alpha.STRAIGHT if has_alpha else Alpha.NONE,
        alpha_channel=colors,
        profile=points or (profile if isinstance(profile, bytes) and profile else None),
        dpi=_dots_per_inch(image, exif),
        file_bytes=file_bytes,
        is_streamable=image.format in _STREAMED,
    )


def decode(image: Image.Image, header: FileHeader) -> NDArray[Any]:
    """Decode the current frame of an opened image to the stored samples [h, w, C] that the header says."""
    image.load()
    kind, has_alpha = _mode_info(image, header.label)
    if kind.dtype == "uint16":
        values = _to_uint16(np.asarray(image), header.label)
        if not has_alpha:
            return values[..., None]
        clear = values == image.info["transparency"]
        return np.stack([values, np.where(clear, 0, 65535).astype(np.uint16)], axis=2)
    values = np.asarray(image if image.mode == kind.mode else image.convert(kind.mode))
    return values[..., None] if values.ndim == 2 else values


def decode_file(header: FileHeader) -> NDArray[Any]:
    """Decode a file whose header `describe_with_pillow` has read."""
    with Image.open(header.path, formats=readable_formats()) as image:
        return decode(image, header)


def decode_tiff(header: FileHeader) -> NDArray[Any]:
    """Decode a page of a TIFF with libtiff, as RGB in the stored orientation.

    Pillow always rotates it upright by its tag. That is undone here, because the header states the orientation.
    """
    with Image.open(header.path, formats=("TIFF",)) as image:
        image.seek(header.page)
        stated = image.getexif().get(ORIENTATION, UPRIGHT)
        values = np.asarray(image.convert("RGB"))
    return _undo_orientation(values, stated)


def _undo_orientation(values: NDArray[Any], orientation: int) -> NDArray[Any]:
    """Rotate an upright picture to its stored orientation: the inverse of `rotate_upright`.

    Every orientation is its own inverse, except 6 and 8, which are each other's.
    """
    valid = valid_orientation(orientation)
    return rotate_upright(values, {6: 8, 8: 6}.get(valid, valid))


def _mode_info(image: Image.Image, label: str) -> tuple[_ModeInfo, bool]:
    """Return how the mode of an image is decoded, and whether the result has alpha."""
    if image.mode.startswith("I;16"):
        kind = _ModeInfo("I;16", Coding.GRAY, "gray", "uint16")
    elif image.mode == "I" and image.format not in _SIXTEEN_BITS_AS_I:
        raise PictureError(
            f"{label} has 32-bit integers (mode I), for which white is not defined",
            hint="convert it to mode I;16, L, or F with values in [0, 1]",
        )
    else:
        kind = _MODES.get(image.mode, _ModeInfo("RGB", Coding.RGB, image.mode))
    if kind.mode in ("LA", "RGBA"):
        return kind, True
    has_color_key = (
        isinstance(image.info.get("transparency"), int)
        if kind.dtype == "uint16"
        else image.has_transparency_data
    )
    if has_color_key and kind.mode in _WITH_ALPHA:
        return kind._replace(mode=_WITH_ALPHA[kind.mode]), True
    return kind, False


def _to_uint16(values: NDArray[Any], label: str) -> NDArray[np.uint16]:
    """Convert 16-bit gray, which Pillow decodes to 32-bit integers for some formats, to uint16."""
    if values.dtype.itemsize > 2 and values.size:
        low, high = int(values.min()), int(values.max())
        if low < 0 or high > 65535:
            raise PictureError(
                f"{label} has integers from {low} to {high}, beyond 16 bits",
                hint="convert it to 16 bits, or to floats in [0, 1]",
            )
    return values.astype(np.uint16)


def _dots_per_inch(image: Image.Image, exif: Any) -> tuple[float, float] | None:
    """Return dots per inch (x, y) from the field of the format or else from EXIF; None without either."""
    stated = image.info.get("dpi")
    if image.format in ("JPEG", "MPO") and image.info.get("jfif_unit") not in _JFIF_UNITS:
        stated = None  # Pillow reports 72 if the file states nothing
    return exif_dpi(exif) if stated is None else plausible_dpi(stated)
