"""Colours of AVIF, of which Pillow passes on profiles only."""

from __future__ import annotations

import struct
from pathlib import Path

from tilestyle.images.cicp import Cicp

_HEAD_BYTES = 1 << 16  # the properties of the picture stand before its pixels
_BOX = b"colrnclx"


def code_points(path: Path) -> Cicp | None:
    """The code points of an AVIF without a profile; None where it has none that change anything.

    Of the decoded samples: those use their full range, whatever the file says of its own.
    """
    with path.open("rb") as file:
        head = file.read(_HEAD_BYTES)
    start = head.find(_BOX)
    if start < 0 or b"colrprof" in head or b"colrrICC" in head:
        return None
    primaries, transfer = struct.unpack(">HH", head[start + len(_BOX) :][:4].ljust(4, b"\0"))
    found = Cicp(primaries, transfer)
    return found if found.is_known and not found.is_srgb else None
