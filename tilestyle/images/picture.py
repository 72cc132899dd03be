"""A picture as every part of tilestyle sees it: float sRGB pixels and where they came from."""

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
    """Pixels in sRGB, the right way up.

    ``pixels`` is float32 [H, W, 3], sRGB-encoded values in [0, 1]; ``alpha`` is float32 [H, W], straight
    (not premultiplied), or None when every pixel is opaque. ``depth`` counts the bits per channel of the
    source (8, 16 or 32), ``profile`` describes the colours it came in, ``dpi`` is (across, down) in dots
    per inch, ``name`` is the file name without folders, empty for arrays.

    Raises PictureError when the shapes or types are not these. The values are not looked at: that would
    read a mapped gigapixel canvas from end to end.
    """

    pixels: FloatArray
    alpha: FloatArray | None = None
    depth: int = 8
    profile: str = "sRGB"
    dpi: tuple[float, float] | None = None
    name: str = ""

    def __post_init__(self) -> None:
        """Refuse arrays of another shape or type."""
        pixels, alpha = self.pixels, self.alpha
        label = self.name or "the picture"
        if pixels.dtype != np.float32 or pixels.ndim != 3 or pixels.shape[2] != 3:
            raise PictureError(
                f"{label} has pixels of type {pixels.dtype} and shape {pixels.shape}",
                hint="give float32 [height, width, 3], or pass the array through picture_from",
            )
        if alpha is not None and (alpha.dtype != np.float32 or alpha.shape != pixels.shape[:2]):
            raise PictureError(
                f"{label} has alpha of type {alpha.dtype} and shape {alpha.shape}",
                hint=f"give float32 {list(pixels.shape[:2])}",
            )

    @property
    def height(self) -> int:
        """Rows."""
        return int(self.pixels.shape[0])

    @property
    def width(self) -> int:
        """Columns."""
        return int(self.pixels.shape[1])

    def save(self, path: str | os.PathLike[str], options: WriteOptions | None = None) -> None:
        """Write the picture in the format of the suffix; errors as in write_picture."""
        from tilestyle.images.write import write_picture
        from tilestyle.images.write_options import WriteOptions  # it and the writer know Picture

        write_picture(path, self, options=options or WriteOptions())

    def pil(self) -> Image.Image:
        """The picture for Pillow, RGB or RGBA at 8 bits."""
        from tilestyle.images.write import pillow_image

        return pillow_image(self)
