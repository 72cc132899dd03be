"""Orientation and resolution from EXIF and XMP, wherever a format keeps them.

One order of precedence for all formats, the first that states an orientation from 1 to 8 wins:

1. EXIF, or the Orientation tag of a TIFF: what browsers, libvips and ImageMagick go by. In PNG the eXIf chunk,
   wherever it stands (ImageMagick 6 writes it after the pixels).
2. EXIF as text in a PNG ("Raw profile type exif"), as ImageMagick wrote it before there was eXIf.
3. XMP (tiff:Orientation), which some telephones and editors write alone.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from PIL import Image

from tilestyle.images.orientation import UPRIGHT, known_orientation

ORIENTATION, IMAGE_DESCRIPTION = 0x0112, 0x010E
_X_RESOLUTION, _Y_RESOLUTION, _RESOLUTION_UNIT, _CENTIMETRE = 0x011A, 0x011B, 0x0128, 3
_XMP_ORIENTATION = re.compile(rb"""tiff:Orientation\s*(?:=\s*["']|>)\s*([0-9]+)\s*["'<]""")
_EXIF_HEAD, _XMP_HEAD = b"Exif\0\0", b"http://ns.adobe.com/xap/1.0/\0"
_HUGE_DPI = 1e6

Exif = Mapping[int, Any]


@dataclass(frozen=True, slots=True)
class Turn:
    """An orientation, and where it is stated; empty where it is not."""

    value: int = UPRIGHT
    origin: str = ""


def turn_of(*, exif: Exif | None = None, raw: Exif | None = None, xmp: bytes | None = None) -> Turn:
    """The orientation that metadata state, by the precedence of this module.

    Args:
        exif: Tags of EXIF or TIFF.
        raw: Tags of EXIF kept as text in a PNG.
        xmp: The XMP packet.
    """
    for origin, tags in (("EXIF", exif), ("EXIF in text", raw)):
        value = stated_orientation((tags or {}).get(ORIENTATION))
        if value is not None:
            return Turn(value, origin)
    found = _XMP_ORIENTATION.search(xmp or b"")
    value = stated_orientation(int(found[1][:4])) if found else None
    return Turn() if value is None else Turn(value, "XMP")


def stated_orientation(value: object) -> int | None:
    """The orientation 1 to 8 that a tag states, if it does: cameras write 0 as well.

    The TIFF specification has readers take bytes where short numbers are due.
    """
    if isinstance(value, bytes) and len(value) == 1:
        value = value[0]
    if isinstance(value, tuple) and len(value) == 1:
        value = value[0]
    known = known_orientation(value)
    return known if value == known else None


def exif_tags(content: bytes | None) -> Exif:
    """The tags of an EXIF block, with or without its head; none of a damaged one."""
    exif = Image.Exif()
    if content:
        try:
            exif.load(content)
            return dict(exif)
        except Exception:  # whatever the parser meets: the picture is worth more than its metadata
            return {}
    return {}


def raw_profile(text: bytes) -> bytes:
    """The content of a "Raw profile" as ImageMagick writes it: its name, its length, and hexadecimal digits."""
    try:
        return bytes.fromhex(b"".join(text.split()[2:]).decode("ascii"))
    except ValueError:
        return b""


def split_app1(content: bytes) -> tuple[bytes, bytes]:
    """EXIF and XMP of the content of an APP1 segment, which holds one of them."""
    if content.startswith(_XMP_HEAD):
        return b"", content[len(_XMP_HEAD) :]
    return (content, b"") if content.startswith(_EXIF_HEAD) else (b"", b"")


def exif_dpi(exif: Exif) -> tuple[float, float] | None:
    """Dots per inch, (across, down); None where EXIF does not state them."""
    factor = 2.54 if exif.get(_RESOLUTION_UNIT) == _CENTIMETRE else 1.0
    return sane_dpi((exif.get(_X_RESOLUTION), exif.get(_Y_RESOLUTION)), factor)


def sane_dpi(stated: Any, factor: float = 1.0) -> tuple[float, float] | None:
    """A stated resolution times a factor, if it is a pair of numbers that can be meant."""
    try:
        across, down = (factor * float(value) for value in stated)
    except (TypeError, ValueError, ZeroDivisionError):
        return None
    return (across, down) if 0 < across < _HUGE_DPI and 0 < down < _HUGE_DPI else None
