"""What Pillow opens: described by its header, and decoded as described."""

from __future__ import annotations

from contextlib import suppress
from functools import lru_cache
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from tilestyle.errors import PictureError
from tilestyle.images.avif_color import code_points
from tilestyle.images.cicp import Cicp
from tilestyle.images.file_header import Alpha, Coding, Decoder, Description
from tilestyle.images.metadata import ORIENTATION, exif_dpi, exif_tags, sane_dpi, turn_of
from tilestyle.images.orientation import UPRIGHT, known_orientation, upright
from tilestyle.images.pixel_limit import check_content, check_pixels

# Pillow would also start programs (Ghostscript for PostScript), and read formats of fonts, grids and films. PNG
# and TIFF are opened elsewhere, except for images that are opened already.
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
_SIXTEEN_BITS_AS_I = ("PPM", "PNG", "JPEG2000")  # whose 16-bit grey Pillow has as whole numbers
_JFIF_UNITS = (1, 2)


class _Kind(NamedTuple):
    """How a mode of Pillow is decoded: as which mode, as which colours, and what people call it."""

    mode: str
    coding: Coding
    name: str
    dtype: str = "uint8"


_KINDS = {
    "1": _Kind("L", Coding.GREY, "black and white"),
    "L": _Kind("L", Coding.GREY, "grey"),
    "LA": _Kind("LA", Coding.GREY, "grey"),
    "La": _Kind("LA", Coding.GREY, "grey"),
    "I": _Kind("I", Coding.GREY, "grey", "uint16"),
    "F": _Kind("F", Coding.GREY, "grey, float", "float32"),
    "P": _Kind("RGB", Coding.RGB, "palette"),
    "PA": _Kind("RGBA", Coding.RGB, "palette"),
    "RGBA": _Kind("RGBA", Coding.RGB, "RGB"),
    "RGBa": _Kind("RGBA", Coding.RGB, "RGB"),
    "CMYK": _Kind("CMYK", Coding.CMYK, "CMYK"),
    "YCbCr": _Kind("RGB", Coding.RGB, "YCbCr"),
    "LAB": _Kind("LAB", Coding.LAB_SIGNED, "CIELAB"),
}
_WITH_ALPHA = {"L": "LA", "RGB": "RGBA", "I;16": "I;16A", "I": "I;16A"}


@lru_cache(maxsize=1)
def formats() -> tuple[str, ...]:
    """The formats that files may have, as far as this Pillow knows them; JPEG includes MPO."""
    Image.init()
    return tuple(name for name in _FORMATS if name in Image.OPEN)


def describe_with_pillow(path: Path) -> Description:
    """Describe a file in one of ``formats``. Raises what Pillow raises for a file in none."""
    with Image.open(path, formats=formats()) as image:
        if image.format in _MODE_KNOWN_WHEN_LOADED:
            check_pixels(path.name, image.height, image.width)
            image.load()
        points = code_points(path) if image.format == "AVIF" else None
        exif = exif_tags(image.info.get("exif"))
        return describe_image(image, path, exif, points)


def describe_image(image: Image.Image, path: Path, exif: Any = None, points: Cicp | None = None) -> Description:
    """Describe the current frame of an opened image.

    Args:
        image: The image, which is left as it is.
        path: Its file, or the name of one, for messages.
        exif: Tags of its EXIF; None asks the image for them.
        points: Code points of its colours, if its file has them.

    Raises:
        PictureError: There is no pixel, or whole numbers do not say where white is.
    """
    label = path.name or "the image"
    check_content(label, image.height, image.width)
    kind, has_alpha = _kind(image, label)
    if exif is None:
        exif = image.getexif()
    xmp = image.info.get("xmp")
    turn = turn_of(exif=exif, xmp=xmp if isinstance(xmp, bytes) else b"")
    colours = {Coding.GREY: 1, Coding.CMYK: 4}.get(kind.coding, 3)
    profile = image.info.get("icc_profile")
    file_bytes = 0
    with suppress(OSError, ValueError):
        file_bytes = path.stat().st_size
    return Description(
        path=path,
        format=image.format or "unknown",
        mode=f"{kind.name} + alpha" if has_alpha else kind.name,
        decoder=Decoder.PILLOW,
        stored_height=image.height,
        stored_width=image.width,
        orientation=turn.value,
        orientation_from=turn.origin,
        channels=colours + has_alpha,
        dtype=kind.dtype,
        bits=8 * np.dtype(kind.dtype).itemsize,
        packing=str(image.info.get("compression", "")),
        coding=kind.coding,
        alpha=Alpha.STRAIGHT if has_alpha else Alpha.NONE,
        alpha_channel=colours,
        profile=points or (profile if isinstance(profile, bytes) and profile else None),
        dpi=_dots_per_inch(image, exif),
        file_bytes=file_bytes,
        streamed=image.format in _STREAMED,
    )


def decode(image: Image.Image, seen: Description) -> NDArray[Any]:
    """Decode the current frame of an opened image to stored samples [h, w, C] as described."""
    image.load()
    kind, has_alpha = _kind(image, seen.label)
    if kind.dtype == "uint16":
        values = _sixteen_bits(np.asarray(image), seen.label)
        if not has_alpha:
            return values[..., None]
        clear = values == image.info["transparency"]
        return np.stack([values, np.where(clear, 0, 65535).astype(np.uint16)], axis=2)
    values = np.asarray(image if image.mode == kind.mode else image.convert(kind.mode))
    return values[..., None] if values.ndim == 2 else values


def decode_file(seen: Description) -> NDArray[Any]:
    """Decode a file that describe_with_pillow has described."""
    with Image.open(seen.path, formats=formats()) as image:
        return decode(image, seen)


def decode_tiff(seen: Description) -> NDArray[Any]:
    """Decode a page of a TIFF through libtiff, as RGB and as it is stored.

    Pillow turns it upright by its tag, unasked; that is undone here, since the description says how to turn it.
    """
    with Image.open(seen.path, formats=("TIFF",)) as image:
        image.seek(seen.page)
        stated = image.getexif().get(ORIENTATION, UPRIGHT)
        values = np.asarray(image.convert("RGB"))
    return _unturned(values, stated)


def _unturned(values: NDArray[Any], orientation: int) -> NDArray[Any]:
    """The stored samples of an upright picture: the inverse of `upright`, where 6 and 8 change places."""
    known = known_orientation(orientation)
    return upright(values, {6: 8, 8: 6}.get(known, known))


def _kind(image: Image.Image, label: str) -> tuple[_Kind, bool]:
    """How the mode of an image is decoded, and whether it has alpha."""
    if image.mode.startswith("I;16"):
        kind = _Kind("I;16", Coding.GREY, "grey", "uint16")
    elif image.mode == "I" and image.format not in _SIXTEEN_BITS_AS_I:
        raise PictureError(
            f"{label} has whole numbers of 32 bits (mode I), which do not say where white is",
            hint="convert it to mode I;16, L, or F with values in [0, 1]",
        )
    else:
        kind = _KINDS.get(image.mode, _Kind("RGB", Coding.RGB, image.mode))
    if kind.mode in ("LA", "RGBA"):
        return kind, True
    keyed = (
        isinstance(image.info.get("transparency"), int)
        if kind.dtype == "uint16"
        else image.has_transparency_data
    )
    if keyed and kind.mode in _WITH_ALPHA:
        return kind._replace(mode=_WITH_ALPHA[kind.mode]), True
    return kind, False


def _sixteen_bits(values: NDArray[Any], label: str) -> NDArray[np.uint16]:
    """Grey of 16 bits, which Pillow has as 32-bit numbers for some formats."""
    if values.dtype.itemsize > 2 and values.size:
        low, high = int(values.min()), int(values.max())
        if low < 0 or high > 65535:
            raise PictureError(
                f"{label} holds whole numbers from {low} to {high}, beyond 16 bits",
                hint="convert it to 16 bits, or to floats in [0, 1]",
            )
    return values.astype(np.uint16)


def _dots_per_inch(image: Image.Image, exif: Any) -> tuple[float, float] | None:
    """Return (across, down), from the format's own field or else from EXIF; None when neither says."""
    stated = image.info.get("dpi")
    if image.format in ("JPEG", "MPO") and image.info.get("jfif_unit") not in _JFIF_UNITS:
        stated = None  # Pillow fills in 72, so that what is not stated looks stated
    return exif_dpi(exif) if stated is None else sane_dpi(stated)
