"""What a picture is that is read by windows, in memory that does not grow with it."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator
from types import TracebackType
from typing import Self

import numpy as np

from tilestyle.errors import PictureError
from tilestyle.images.library_errors import within_memory
from tilestyle.images.picture import FloatArray, Picture
from tilestyle.images.strips import strip_rows


class Source(ABC):
    """A picture that may be larger than memory: float32 sRGB in [0, 1], the right way up, by windows.

    Facts as in PictureInfo: ``name``, ``height``, ``width`` (after orientation), ``depth``, ``profile``,
    ``dpi``, and ``has_alpha``. To be closed, or used in a `with` block.
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
        """The pixels of a window, and their alpha if there is any. The window lies inside the picture.

        The first call may convert the file, as open_source says. Raises PictureError when the file is
        broken there.
        """

    @abstractmethod
    def shrunk(self, height: int, width: int) -> Picture:
        """The whole picture at a smaller size (or its own), by means over areas; with alpha if it has any.

        Raises PictureError for a larger size.
        """

    @abstractmethod
    def conversion_bytes(self) -> int:
        """The disk that the first window will take in the folder of conversions, at the most; 0 for none."""

    @abstractmethod
    def close(self) -> None:
        """Let go of the file."""

    def read(self, top: int, left: int, height: int, width: int) -> FloatArray:
        """The pixels of a window, [height, width, 3]; errors as in ``window``."""
        return self.window(top, left, height, width).pixels

    def alpha(self, top: int, left: int, height: int, width: int) -> FloatArray | None:
        """Straight alpha of a window, [height, width]; None for a picture without."""
        return self.window(top, left, height, width).alpha if self.has_alpha else None

    def strips(self) -> Iterator[FloatArray]:
        """The picture from top to bottom, [h, width, 3], or [h, width, 4] with straight alpha."""
        rows = strip_rows(self.width)
        for top in range(0, self.height, rows):
            yield channels(self.window(top, 0, min(rows, self.height - top), self.width))

    def __enter__(self) -> Self:
        """The source itself."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Close it."""
        self.close()


def gathered(source: Source) -> Picture:
    """All of a source in memory. Raises MemoryLimit where it does not fit, PictureError as ``window`` does."""
    with within_memory(source.name or "the picture"):
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


def channels(picture: Picture) -> FloatArray:
    """Pixels, with alpha as a fourth channel if there is any."""
    return picture.pixels if picture.alpha is None else np.dstack([picture.pixels, picture.alpha])


def check_shrinks(source: Source, height: int, width: int) -> None:
    """Raise PictureError where a size is larger than the picture's own."""
    if height > source.height or width > source.width:
        raise PictureError(
            f"{source.name} is {source.width} x {source.height} pixels, smaller than {width} x {height}",
            hint="shrink it to its own size at the most",
        )


def check_inside(source: Source, top: int, left: int, height: int, width: int) -> None:
    """Assert that a window lies inside the picture."""
    inside = 0 <= top < top + height <= source.height and 0 <= left < left + width <= source.width
    assert inside, f"window {(top, left, height, width)} of {source.height} x {source.width} pixels"
