"""A picture in memory: float32 sRGB pixels, with some facts about the file that they came from."""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from tilestyle.errors import PictureError

if TYPE_CHECKING:
    from PIL import Image

    from tilestyle.images.write_options import WriteOptions

FloatArray = NDArray[np.float32]


@dataclass(frozen=True, slots=True, eq=False)
class Picture:
    """A picture in sRGB, rotated upright.

    Values are not checked: that would read a memory-mapped gigapixel canvas from end to end.

    Attributes:
        pixels: float32 [H, W, 3], sRGB-encoded values in [0, 1].
        alpha: float32 [H, W] in [0, 1], straight (not premultiplied). None: every pixel is opaque.
        depth: Bits per channel of the original file: 8, 16 or 32.
        profile: Description of the colors of the original file.
        dpi: Dots per inch (x, y), if the file states them.
        name: File name without folders; empty for arrays.

    Raises:
        PictureError: Pixels or alpha have another shape or type.
    """

    pixels: FloatArray
    alpha: FloatArray | None = None
    depth: int = 8
    profile: str = "sRGB"
    dpi: tuple[float, float] | None = None
    name: str = ""

    def __post_init__(self) -> None:
        """Check shapes and types; raises PictureError."""
        pixels, alpha = self.pixels, self.alpha
        label = self.name or "the picture"
        if pixels.dtype != np.float32 or pixels.ndim != 3 or pixels.shape[2] != 3:
            raise PictureError(
                f"{label} has pixels of type {pixels.dtype} and shape {pixels.shape}",
                hint="give float32 [height, width, 3], or convert the array with picture_from",
            )
        if alpha is not None and (alpha.dtype != np.float32 or alpha.shape != pixels.shape[:2]):
            raise PictureError(
                f"{label} has alpha of type {alpha.dtype} and shape {alpha.shape}",
                hint=f"give float32 {list(pixels.shape[:2])}",
            )

    @property
    def height(self) -> int:
        """Height in pixels."""
        return int(self.pixels.shape[0])

    @property
    def width(self) -> int:
        """Width in pixels."""
        return int(self.pixels.shape[1])

    def save(self, path: str | os.PathLike[str], options: WriteOptions | None = None) -> None:
        """Write the picture in the format of the file name extension; raises what `write_picture` raises."""
        from tilestyle.images.write import write_picture
        from tilestyle.images.write_options import WriteOptions  # both modules import Picture

        write_picture(path, self, options=options or WriteOptions())

    def pil(self) -> Image.Image:
        """Convert the picture to a Pillow image, RGB or RGBA with 8 bits per channel."""
        from tilestyle.images.write import pillow_image

        return pillow_image(self)
