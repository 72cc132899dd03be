"""Animated GIF and WebP, frame by frame: only one frame is in memory, however long the animation is.

Pillow encodes every frame as a picture of its own, and these pictures are joined here, because Pillow itself
holds all frames of an animation in memory. A frame is encoded whole and needs no other frame, so the encoded
frames of several runs can be put one after the other.

GIF: Graphics Interchange Format, version 89a (CompuServe 1990), with the looping extension of Netscape.
WebP: RFC 9649, section 2.7, extended file format.
"""

from __future__ import annotations

import io
import struct
from fractions import Fraction
from typing import BinaryIO

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from tilestyle.config.enums import Animation
from tilestyle.config.readable import format_number
from tilestyle.errors import OutputError, SettingError

LONGEST_SIDE = {Animation.GIF: 2**16 - 1, Animation.WEBP: 16_383}
"""Largest height or width, in pixels."""

FASTEST = {Animation.GIF: 50, Animation.WEBP: 90}
"""Most frames per second: browsers show one of 10 ms or less for 100 ms; GIF counts hundredths of a second."""

TICKS = {Animation.GIF: 100, Animation.WEBP: 1000}
"""Units per second that the duration of a frame is given in."""

LONGEST_FRAME = {Animation.GIF: 2**16 - 1, Animation.WEBP: 2**24 - 1}
"""Longest duration of a frame, in these units."""

COLORS = 256  # of a GIF's frame
WEBP_QUALITY = 85
_GIF_HEADER, _GIF_EXTENSION, _GIF_IMAGE, _GIF_END = 13, 0x21, 0x2C, b"\x3b"
_RIFF_HEADER = 12  # bytes: RIFF, size, WEBP
_ANIMATED = 0x02  # flag of the VP8X chunk
_FRAME_WITHOUT_BLENDING = 0x02  # flag of an ANMF chunk


def check_frame_rate(form: Animation, fps: float) -> None:
    """Raise SettingError for more frames per second than the format can show."""
    if fps > FASTEST[form]:
        raise SettingError(
            f"{form.label} shows at most {FASTEST[form]} frames per second, not {format_number(fps)}",
            hint=f"give --fps {FASTEST[form]} or less, or use .mp4",
        )


def ticks_until(form: Animation, number: int, rate: Fraction) -> int:
    """When a frame begins, in the units of the format: rounded, so that the film keeps its speed.

    Args:
        form: The format.
        number: Number of the frame, from 0.
        rate: Frames per second.
    """
    return round(number * TICKS[form] / rate)


def encode_frame(form: Animation, frame: NDArray[np.uint8], duration: int) -> bytes:
    """Encode a frame as it is stored in the file.

    Args:
        form: The format.
        frame: Samples [H, W, 3] in sRGB.
        duration: How long the frame is shown, in the units of `ticks_until`.

    Raises:
        OutputError: The frame is larger than the format allows.
    """
    height, width = frame.shape[:2]
    if max(height, width) > LONGEST_SIDE[form]:
        raise OutputError(
            f"frames of {width} x {height} pixels exceed the limit of {form.label}, {LONGEST_SIDE[form]}",
            hint="use a smaller --size, or .mp4",
        )
    duration = min(duration, LONGEST_FRAME[form])
    image = Image.fromarray(frame)
    return _gif_frame(image, duration) if form is Animation.GIF else _webp_frame(image, duration)


def animation_head(form: Animation, height: int, width: int) -> bytes:
    """What comes before the frames of an animation that repeats endlessly.

    Args:
        form: The format.
        height: Height in pixels.
        width: Width in pixels.
    """
    if form is Animation.GIF:
        looping = b"\x21\xff\x0bNETSCAPE2.0\x03\x01\x00\x00\x00"
        return b"GIF89a" + struct.pack("<HHBBB", width, height, 0x70, 0, 0) + looping
    canvas = struct.pack("<I", _ANIMATED) + _uint24(width - 1) + _uint24(height - 1)
    looping = struct.pack("<IH", 0xFFFFFFFF, 0)  # on white; 0: endlessly
    return b"RIFF\0\0\0\0WEBP" + _chunk(b"VP8X", canvas) + _chunk(b"ANIM", looping)


def finish_animation(form: Animation, file: BinaryIO) -> None:
    """Complete a file that holds the head and all frames.

    Raises:
        OutputError: The file is larger than the format allows.
    """
    if form is Animation.GIF:
        file.write(_GIF_END)
        return
    end = file.tell()
    if end > 2**32 - 2:
        raise OutputError("the film exceeds the limit of WebP, 4 GiB", hint="use .mp4, or a smaller --size")
    file.seek(4)
    file.write(struct.pack("<I", end - 8))
    file.seek(end)


def _gif_frame(image: Image.Image, duration: int) -> bytes:
    """Encode a frame with 256 colors of its own, dithered: a film of paintings changes its colors."""
    palette = image.quantize(COLORS, Image.Quantize.FASTOCTREE)  # median cut loses the rare colors of strokes
    stored = io.BytesIO()
    image.quantize(palette=palette, dither=Image.Dither.FLOYDSTEINBERG).save(stored, "GIF", optimize=False)
    data = stored.getvalue()
    bits = data[10] & 0x07  # of the palette: 2 ** (bits + 1) colors
    start = _GIF_HEADER + 3 * 2 ** (bits + 1)
    colors, at = data[_GIF_HEADER:start], start
    while data[at] == _GIF_EXTENSION:
        at += 2
        while data[at]:
            at += data[at] + 1
        at += 1
    assert data[at] == _GIF_IMAGE and not data[at + 9] & 0x80, "Pillow wrote one image with the global palette"
    control = struct.pack("<BBBBHBB", _GIF_EXTENSION, 0xF9, 4, 0, duration, 0, 0)
    described = data[at : at + 9] + bytes([data[at + 9] & 0x40 | 0x80 | bits])  # keeps the order of lines
    return control + described + colors + data[at + 10 :].removesuffix(_GIF_END)


def _webp_frame(image: Image.Image, duration: int) -> bytes:
    """Encode a frame, lossy."""
    stored = io.BytesIO()
    image.save(stored, "WEBP", quality=WEBP_QUALITY, method=4)
    picture = stored.getvalue()[_RIFF_HEADER:]  # one chunk, VP8
    assert picture.startswith(b"VP8 "), "Pillow wrote a simple lossy file"
    where = _uint24(0) + _uint24(0) + _uint24(image.width - 1) + _uint24(image.height - 1)
    return _chunk(b"ANMF", where + _uint24(duration) + bytes([_FRAME_WITHOUT_BLENDING]) + picture)


def _chunk(name: bytes, content: bytes) -> bytes:
    return name + struct.pack("<I", len(content)) + content + b"\0" * (len(content) % 2)


def _uint24(number: int) -> bytes:
    return number.to_bytes(3, "little")
