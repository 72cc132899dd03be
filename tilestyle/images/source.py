"""Interface of pictures that are read by windows, in memory that does not grow with the picture."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType
from typing import Self

import numpy as np

from tilestyle.errors import PictureError
from tilestyle.images.library_errors import translating_memory_errors
from tilestyle.images.picture import FloatArray, Picture
from tilestyle.images.strips import strip_rows


class ImageSource(ABC):
    """A picture that may be larger than memory, read by windows: float32 sRGB in [0, 1], rotated upright.

    Close it after use, or use it in a `with` block.

    Attributes:
        name: File name without folders; empty for arrays.
        height: Height of the upright picture in pixels.
        width: Width of the upright picture in pixels.
        depth: Bits per channel of the file: 8, 16 or 32.
        profile: Description of the colors of the file.
        dpi: Dots per inch (x, y), if the file states them.
        has_alpha: Whether the picture has transparency.
    """

    name: str
    height: int
    width: int
    depth: int
    profile: str
    dpi: tuple[float, float] | None
    has_alpha: bool

    @abstractmethod
    def window(self, top: int, left: int, height: int, width: int) -> Picture:
        """Read the pixels and alpha of a window.

        The first call may convert the file (see `open_source`).

        Args:
            top: First row of the window, in pixels of the upright picture.
            left: First column.
            height: Height of the window, which must lie inside the picture.
            width: Width of the window.

        Raises:
            PictureError: The file is damaged at this position.
        """

    @abstractmethod
    def downsample(self, height: int, width: int) -> Picture:
        """Read the whole picture at a smaller size (or its own) by area averaging, with alpha if it has any.

        Args:
            height: Height of the result in pixels.
            width: Width of the result in pixels.

        Raises:
            PictureError: The size is larger than that of the picture, or the file is damaged.
        """

    @abstractmethod
    def conversion_bytes(self) -> int:
        """Return the most bytes that the first window can take in the cache folder; 0 without a conversion."""

    @contextmanager
    def converting_into(self, folder: Path) -> Iterator[None]:
        """Use a folder of conversions inside the block, if the source was opened without one and needs one."""
        yield

    @abstractmethod
    def close(self) -> None:
        """Close the file."""

    def read(self, top: int, left: int, height: int, width: int) -> FloatArray:
        """Read the pixels [height, width, 3] of a window; arguments and errors as in `window`."""
        return self.window(top, left, height, width).pixels

    def alpha(self, top: int, left: int, height: int, width: int) -> FloatArray | None:
        """Read the straight alpha [height, width] of a window; None if the picture is opaque."""
        return self.window(top, left, height, width).alpha if self.has_alpha else None

    def strips(self) -> Iterator[FloatArray]:
        """Read the picture from top to bottom in strips [h, width, 3], or [h, width, 4] with straight alpha."""
        rows = strip_rows(self.width)
        for top in range(0, self.height, rows):
            yield stack_channels(self.window(top, 0, min(rows, self.height - top), self.width))

    def __enter__(self) -> Self:
        """Return the source itself."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Close the source."""
        self.close()


def read_all(source: ImageSource) -> Picture:
    """Read a whole source into memory.

    Raises:
        MemoryLimit: It does not fit into memory.
        PictureError: The file is damaged.
    """
    with translating_memory_errors(source.name or "the picture"):
        pixels = np.empty((source.height, source.width, 3), np.float32)
        alpha = np.empty((source.height, source.width), np.float32) if source.has_alpha else None
        top = 0
        for strip in source.strips():
            rows = slice(top, top + strip.shape[0])
            pixels[rows] = strip[..., :3]
            if alpha is not None:
                alpha[rows] = strip[..., 3]
            top = rows.stop
    return Picture(pixels, alpha, source.depth, source.profile, source.dpi, source.name)


def stack_channels(picture: Picture) -> FloatArray:
    """Return pixels [H, W, 3], or [H, W, 4] with alpha as the fourth channel if the picture has any."""
    return picture.pixels if picture.alpha is None else np.dstack([picture.pixels, picture.alpha])


def check_downsample_size(source: ImageSource, height: int, width: int) -> None:
    """Raise PictureError if a size is larger than that of the picture."""
    if height > source.height or width > source.width:
        raise PictureError(
            f"{source.name} is {source.width} x {source.height} pixels, smaller than {width} x {height}",
            hint="use a smaller size, or a larger picture",
        )


def check_inside(source: ImageSource, top: int, left: int, height: int, width: int) -> None:
    """Assert that a window lies inside the picture."""
    inside = 0 <= top < top + height <= source.height and 0 <= left < left + width <= source.width
    assert inside, f"window {(top, left, height, width)} outside {source.height} x {source.width} pixels"
