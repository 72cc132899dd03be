"""Color code points of AVIF files: Pillow only reads their ICC profiles."""

from __future__ import annotations

import struct
from pathlib import Path

from tilestyle.images.cicp import Cicp

_HEAD_BYTES = 1 << 16  # the properties of the picture are stored before its pixels
_BOX = b"colrnclx"


def read_code_points(path: Path) -> Cicp | None:
    """Read the color code points of an AVIF file.

    They describe the decoded samples, which always use their full range, whatever the file says about its own.

    Returns:
        The code points. None: the file has an ICC profile, or no code points that are known, or those of sRGB.
    """
    with path.open("rb") as file:
        head = file.read(_HEAD_BYTES)
    start = head.find(_BOX)
    if start < 0 or b"colrprof" in head or b"colrrICC" in head:
        return None
    primaries, transfer = struct.unpack(">HH", head[start + len(_BOX) :][:4].ljust(4, b"\0"))
    cicp = Cicp(primaries, transfer)
    return cicp if cicp.is_known and not cicp.is_srgb else None
