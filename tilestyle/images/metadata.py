"""Orientation and resolution from EXIF and XMP.

The order of precedence is the same for all formats; the first one that states an orientation from 1 to 8 is
used:

1. EXIF, or the Orientation tag of a TIFF, as in browsers, libvips and ImageMagick. In PNG this is the eXIf
   chunk, before or after the pixels (ImageMagick 6 writes it after them).
2. EXIF as text in a PNG ("Raw profile type exif"), as ImageMagick wrote it before eXIf existed.
3. XMP (tiff:Orientation); some phones and editors write nothing else.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from PIL import Image

from tilestyle.images.orientation import UPRIGHT, valid_orientation

ORIENTATION, IMAGE_DESCRIPTION = 0x0112, 0x010E
_X_RESOLUTION, _Y_RESOLUTION, _RESOLUTION_UNIT, _CENTIMETER = 0x011A, 0x011B, 0x0128, 3
_XMP_ORIENTATION = re.compile(rb"""tiff:Orientation\s*(?:=\s*["']|>)\s*([0-9]+)\s*["'<]""")
_EXIF_HEAD, _XMP_HEAD = b"Exif\0\0", b"http://ns.adobe.com/xap/1.0/\0"
_HUGE_DPI = 1e6

Exif = Mapping[int, Any]


@dataclass(frozen=True, slots=True)
class StatedOrientation:
    """An orientation, and the name of the metadata that states it (empty if none does)."""

    value: int = UPRIGHT
    origin: str = ""


def read_orientation(
    *, exif: Exif | None = None, raw: Exif | None = None, xmp: bytes | None = None
) -> StatedOrientation:
    """Find the orientation, by the order of precedence of this module.

    Args:
        exif: Tags of EXIF or TIFF.
        raw: EXIF tags stored as text in a PNG.
        xmp: The XMP packet.
    """
    for origin, tags in (("EXIF", exif), ("EXIF in text", raw)):
        value = parse_orientation((tags or {}).get(ORIENTATION))
        if value is not None:
            return StatedOrientation(value, origin)
    match = _XMP_ORIENTATION.search(xmp or b"")
    value = parse_orientation(int(match[1][:4])) if match else None
    return StatedOrientation() if value is None else StatedOrientation(value, "XMP")


def parse_orientation(value: object) -> int | None:
    """Return the orientation 1 to 8 that the value of a tag states; None for other values, such as 0.

    A single byte is accepted too, as the TIFF specification demands of readers.
    """
    if isinstance(value, bytes) and len(value) == 1:
        value = value[0]
    if isinstance(value, tuple) and len(value) == 1:
        value = value[0]
    orientation = valid_orientation(value)
    return orientation if value == orientation else None


def exif_tags(content: bytes | None) -> Exif:
    """Parse an EXIF block with or without its header; returns no tags if it is damaged."""
    exif = Image.Exif()
    if content:
        try:
            exif.load(content)
            return dict(exif)
        except (
            Exception
        ):  # the parser may raise anything; damaged metadata must not prevent reading the picture
            return {}
    return {}


def parse_raw_profile(text: bytes) -> bytes:
    """Decode a "Raw profile" text of ImageMagick: name, length and hexadecimal digits; empty if damaged."""
    try:
        return bytes.fromhex(b"".join(text.split()[2:]).decode("ascii"))
    except ValueError:
        return b""


def split_app1(content: bytes) -> tuple[bytes, bytes]:
    """Return the EXIF and the XMP of an APP1 segment; the segment holds one of them, the other is empty."""
    if content.startswith(_XMP_HEAD):
        return b"", content[len(_XMP_HEAD) :]
    return (content, b"") if content.startswith(_EXIF_HEAD) else (b"", b"")


def exif_dpi(exif: Exif) -> tuple[float, float] | None:
    """Return dots per inch (x, y) from EXIF tags; None if they are not stated."""
    factor = 2.54 if exif.get(_RESOLUTION_UNIT) == _CENTIMETER else 1.0
    return plausible_dpi((exif.get(_X_RESOLUTION), exif.get(_Y_RESOLUTION)), factor)


def plausible_dpi(stated: Any, factor: float = 1.0) -> tuple[float, float] | None:
    """Convert a stated resolution (x, y) to dots per inch; None if it is not a plausible pair of numbers.

    Args:
        stated: Two numbers.
        factor: What to multiply them by.
    """
    try:
        across, down = (factor * float(value) for value in stated)
    except (TypeError, ValueError, ZeroDivisionError):
        return None
    return (across, down) if 0 < across < _HUGE_DPI and 0 < down < _HUGE_DPI else None
