"""The writing of JPEG, strip by strip."""

from __future__ import annotations

import struct
from collections.abc import Iterable
from typing import Any, BinaryIO

import pyvips
from numpy.typing import NDArray

from tilestyle.errors import OutputError
from tilestyle.images.vips import save_strips, save_to

SIDE_LIMIT = 65500
"""Largest height or width: 65,535 could be stated, but libjpeg stops here."""

_SEGMENT_LIMIT = 65533  # bytes after the length field of a marker segment, EXIF's among them
_START, _APP0, _APP1, _APP2 = b"\xff\xd8", b"\xff\xe0", b"\xff\xe1", b"\xff\xe2"


def write_jpeg(
    file: BinaryIO,
    bands: Iterable[NDArray[Any]],
    shape: tuple[int, int, int],
    quality: int,
    segments: list[bytes],
) -> None:
    """Write uint8 bands of ``shape`` [H, W, 3] with our own ``segments`` in place of those of libvips.

    libvips has EXIF go through a parser that adds fields of its own, and always states a resolution.
    """
    head = bytearray()

    def write(piece: bytes) -> None:
        if len(head) >= len(_START):
            file.write(piece)
            return
        head.extend(piece)
        if len(head) >= len(_START):
            assert head.startswith(_START) and head[2:4] != _APP0, "libvips wrote a JFIF segment of its own"
            file.write(b"".join([_START, *segments, head[len(_START) :]]))

    def encode(image: pyvips.Image) -> None:
        # 4:4:4: painted edges are as often of colour as of brightness.
        save_to(
            write,
            lambda target: image.jpegsave_target(target, Q=quality, subsample_mode="off", keep="none"),
        )

    save_strips(bands, shape, encode)


def segments_of(profile: bytes, exif: bytes, dpi: float | None) -> list[bytes]:
    """Marker segments: JFIF with dots per inch, EXIF, ICC profile. Raises OutputError when EXIF is too long."""
    if len(exif) > _SEGMENT_LIMIT:
        raise OutputError(
            f"{len(exif)} bytes of settings exceed the {_SEGMENT_LIMIT} of JPEG",
            hint="write PNG, TIFF or WebP",
        )
    density = min(round(dpi), 65535) if dpi else 0
    jfif = struct.pack(">5sHBHHBB", b"JFIF\0", 0x0101, 1 if density else 0, density or 1, density or 1, 0, 0)
    return [
        _segment(_APP0, jfif),
        _segment(_APP1, exif),
        _segment(_APP2, b"ICC_PROFILE\0\x01\x01" + profile),
    ]


def _segment(marker: bytes, content: bytes) -> bytes:
    return marker + struct.pack(">H", len(content) + 2) + content
