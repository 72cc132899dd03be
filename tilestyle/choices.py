"""Names of what files and presses can be asked for: nothing but names, so that help needs no library."""

from __future__ import annotations

from enum import StrEnum


class Format(StrEnum):
    """A format of written pictures."""

    PNG = "png"
    JPEG = "jpeg"
    WEBP = "webp"
    TIFF = "tiff"
    DEEP_ZOOM = "dzi"

    @property
    def label(self) -> str:
        """As messages name it."""
        return {Format.WEBP: "WebP", Format.DEEP_ZOOM: "Deep Zoom"}.get(self, self.upper())


SUFFIXES = {
    ".png": Format.PNG,
    ".jpg": Format.JPEG,
    ".jpeg": Format.JPEG,
    ".webp": Format.WEBP,
    ".tif": Format.TIFF,
    ".tiff": Format.TIFF,
    ".dzi": Format.DEEP_ZOOM,
}
"""File name endings and what they ask for; the first of a format is given to names without."""


class Compression(StrEnum):
    """How the tiles of a TIFF are packed. All but JPEG give back what was put in."""

    DEFLATE = "deflate"
    ZSTD = "zstd"
    LZW = "lzw"
    JPEG = "jpeg"
    NONE = "none"


class Codec(StrEnum):
    """What a film is encoded with."""

    H264 = "h264"
    H265 = "h265"
    AV1 = "av1"


class Intent(StrEnum):
    """How colours that ink cannot make are replaced."""

    PERCEPTUAL = "perceptual"
    RELATIVE = "relative"


MAX_INPUT_PIXELS = 2**30
"""Pixels of the largest picture that is read unless more are allowed: 32768 x 32768."""
