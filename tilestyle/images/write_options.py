"""How a picture is written."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from tilestyle.config.enums import Compression
from tilestyle.config.validation import between, check, ruled
from tilestyle.errors import SettingError
from tilestyle.images.provenance import Json, provenance_text


@dataclass(frozen=True, slots=True)
class WriteOptions:
    """How a picture is written.

    ``depth`` is bits per channel, 8 or 16 (PNG and TIFF). ``quality``, 1 to 100, is for JPEG (files, Deep
    Zoom tiles, and TIFF compressed so) and lossy WebP; ``lossless`` for WebP; ``compression`` for TIFF.
    ``dpi`` is dots per inch, stored when given, ``provenance`` the settings to store. Raises SettingError
    for values outside these.
    """

    depth: int = ruled(8, "8 or 16", between(0, 99))
    quality: int = ruled(95, "a number from 1 to 100", between(1, 100), "jpeg-quality")
    lossless: bool = False
    compression: Compression = Compression.DEFLATE
    dpi: float | None = None
    provenance: Mapping[str, Json] | None = None

    def __post_init__(self) -> None:
        """Refuse what no format could take."""
        check(self, apart=("provenance",))
        if self.depth not in (8, 16):
            raise SettingError(f"depth {self.depth} cannot be written", hint="use 8 or 16")
        if self.dpi is not None and not 0.1 <= self.dpi <= 60000:
            raise SettingError(f"{self.dpi} dots per inch is out of range", hint="use 0.1 to 60000")

    def text(self) -> str | None:
        """The provenance as it is stored. Raises SettingError when it is not JSON."""
        return None if self.provenance is None else provenance_text(self.provenance)
