"""Writing JPEG strip by strip."""

from __future__ import annotations

import struct
from collections.abc import Iterable
from typing import Any, BinaryIO

import pyvips
from numpy.typing import NDArray

from tilestyle.errors import OutputError
from tilestyle.images.vips import save_strips, save_to_writer

SIDE_LIMIT = 65500
"""Largest height or width of libjpeg; the format allows 65,535."""

_SEGMENT_LIMIT = 65533  # largest content of a marker segment, such as EXIF, in bytes
_PROFILE_PART = 65519  # largest part of an ICC profile in a marker segment
_START, _APP0, _APP1, _APP2 = b"\xff\xd8", b"\xff\xe0", b"\xff\xe1", b"\xff\xe2"


def write_jpeg(
    file: BinaryIO,
    bands: Iterable[NDArray[Any]],
    shape: tuple[int, int, int],
    quality: int,
    segments: list[bytes],
) -> None:
    """Write a JPEG with given marker segments instead of those of libvips.

    libvips would pass EXIF through a parser that adds fields, and would always state a resolution. Colors are
    not subsampled.

    Args:
        file: The open file.
        bands: Strips of uint8 samples from top to bottom.
        shape: Shape [H, W, C] of the picture: gray, RGB or CMYK.
        quality: Quality, 1 to 100.
        segments: Marker segments to insert at the beginning.
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
        if shape[2] == 4:  # the stream to libvips knows four channels as RGB and alpha
            image = image.copy(interpretation="cmyk")
        # 4:4:4: in paintings, edges are as often between colors as between levels of brightness.
        save_to_writer(
            write,
            lambda target: image.jpegsave_target(target, Q=quality, subsample_mode="off", keep="none"),
        )

    save_strips(bands, shape, encode)


def segments_of(profile: bytes, exif: bytes, dpi: float | None) -> list[bytes]:
    """Build the marker segments for JFIF, EXIF and the ICC profile.

    Args:
        profile: ICC profile.
        exif: EXIF data.
        dpi: Dots per inch. None: not stated.

    Raises:
        OutputError: The EXIF data, which contain the settings, are too long for a segment.
    """
    if len(exif) > _SEGMENT_LIMIT:
        raise OutputError(
            f"{len(exif)} bytes of settings exceed the limit of JPEG, {_SEGMENT_LIMIT} bytes",
            hint="write PNG, TIFF or WebP",
        )
    parts = [profile[start : start + _PROFILE_PART] for start in range(0, len(profile), _PROFILE_PART)]
    if len(parts) > 255:
        raise OutputError("the color profile is too large for JPEG", hint="write TIFF or PDF")
    density = min(round(dpi), 65535) if dpi else 0
    jfif = struct.pack(">5sHBHHBB", b"JFIF\0", 0x0101, 1 if density else 0, density or 1, density or 1, 0, 0)
    return [
        _segment(_APP0, jfif),
        _segment(_APP1, exif),
        *(
            _segment(_APP2, b"ICC_PROFILE\0" + bytes([number, len(parts)]) + part)
            for number, part in enumerate(parts, 1)
        ),
    ]


def _segment(marker: bytes, content: bytes) -> bytes:
    return marker + struct.pack(">H", len(content) + 2) + content
