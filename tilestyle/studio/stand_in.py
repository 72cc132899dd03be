"""Pictures as the process of the drafts has them: the small copy that the studio made, and the true size."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

from tilestyle.images import (
    ImageSource,
    Picture,
    as_source,
    bilinear_window,
    read_picture,
)

CACHED_PICTURES = 24  # of 1024 pixels: 12 MiB each


@dataclass(frozen=True)
class SmallPicture:
    """A small copy of a picture.

    Attributes:
        file: The file of the copy, which the studio has written.
        width: Width of the picture itself, pixels.
        height: Its height.
        name: What it is called.
        stroke: Width of its strokes, pixels; 0 if it has none.
    """

    file: Path
    width: int
    height: int
    name: str
    stroke: float = 0.0

    @classmethod
    def of(cls, message: dict[str, Any]) -> SmallPicture:
        """Read it from a message."""
        return cls(
            Path(message["file"]), message["width"], message["height"], message["name"], message["stroke"]
        )

    @property
    def picture(self) -> Picture:
        """The small copy."""
        return _read(self.file)

    def stand_in(self) -> ImageSource:
        """Return a source of the true size, whose details are those of the copy."""
        return StandIn(self)


@lru_cache(maxsize=CACHED_PICTURES)
def _read(file: Path) -> Picture:
    return read_picture(file)


class StandIn(ImageSource):
    """A source that has the size of the picture itself."""

    def __init__(self, small: SmallPicture) -> None:
        self._small = small
        self.name, self.height, self.width = small.name, small.height, small.width
        self.depth, self.profile, self.dpi, self.has_alpha = 8, "sRGB", None, False

    def window(self, top: int, left: int, height: int, width: int) -> Picture:
        """Enlarge the copy under a window."""
        pixels = self._small.picture.pixels
        return Picture(bilinear_window(pixels, self.height, self.width, (top, left, height, width)))

    def downsample(self, height: int, width: int) -> Picture:
        """Resample the copy."""
        picture = self._small.picture
        if height <= picture.height and width <= picture.width:
            return as_source(picture).downsample(height, width)
        return Picture(bilinear_window(picture.pixels, height, width, (0, 0, height, width)))

    def conversion_bytes(self) -> int:
        """Nothing is converted."""
        return 0

    def close(self) -> None:
        """Nothing is open."""
