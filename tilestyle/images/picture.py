"""A picture in memory: float32 sRGB pixels, with some facts about the file that they came from."""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping
from dataclasses import dataclass, fields, replace
from importlib import import_module
from io import BytesIO
from typing import TYPE_CHECKING, Any, Unpack

import numpy as np
from numpy.typing import NDArray

from tilestyle.config.toml import unknown_name_error
from tilestyle.errors import OutputError, PictureError

if TYPE_CHECKING:
    from PIL import Image
    from torch import Tensor

    from tilestyle.images.provenance import Json
    from tilestyle.images.write_options import WriteOptions, WriteSettings

FloatArray = NDArray[np.float32]
NOTEBOOK_SIDE = 1024  # largest side of a picture in a notebook, pixels
VIEWER_SIDE = 4096  # largest side of a picture that is shown by another program, pixels


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class Picture:
    """A picture in sRGB, rotated upright.

    Values are not checked: that would read a memory-mapped gigapixel canvas from end to end.

    A notebook displays it, at most 1024 pixels wide or high. `np.asarray(picture)` is `picture.numpy()`.

    Attributes:
        pixels: float32 [H, W, 3], sRGB-encoded values in [0, 1].
        alpha: float32 [H, W] in [0, 1], straight (not premultiplied). None: every pixel is opaque.
        depth: Bits per channel of the original file: 8, 16 or 32.
        profile: Description of the colors of the original file.
        dpi: Dots per inch (x, y), if the file states them.
        name: File name without folders; empty for arrays.
        provenance: What made the picture: version, settings and names of its inputs, as JSON. `save` stores it
            in the file. None: the picture was not rendered here.

    Raises:
        PictureError: Pixels or alpha have another shape or type.
    """

    pixels: FloatArray
    alpha: FloatArray | None = None
    depth: int = 8
    profile: str = "sRGB"
    dpi: tuple[float, float] | None = None
    name: str = ""
    provenance: Mapping[str, Json] | None = None

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

    def save(
        self,
        path: str | os.PathLike[str],
        options: WriteOptions | None = None,
        **settings: Unpack[WriteSettings],
    ) -> None:
        """Write the picture, with what made it, in the format of the file name extension.

        Args:
            path: The file to create or replace: .png, .jpg, .webp, .tif or .dzi.
            options: Bit depth, quality and the like; the defaults if None.
            **settings: Fields of `WriteOptions`, such as `depth=16`; they replace those of `options`.

        Raises:
            TilestyleError: The file cannot be written, or a setting is unknown or not allowed.
        """
        from tilestyle.images.write import write_picture
        from tilestyle.images.write_options import WriteOptions  # both modules import Picture

        known = [field.name for field in fields(WriteOptions)]
        changes: dict[str, Any] = {**settings}
        for name in changes:
            if name not in known:
                raise unknown_name_error("setting", name, known)
        options = replace(options or WriteOptions(), **changes)
        if options.provenance is None:
            options = replace(options, provenance=self.provenance)
        write_picture(path, self, options=options)

    def numpy(self) -> FloatArray:
        """Return the values in [0, 1]: float32 [H, W, 3], which is no copy, or [H, W, 4] if there is alpha."""
        from tilestyle.images.source import stack_channels

        return stack_channels(self)

    def tensor(self) -> Tensor:
        """Return the values in [0, 1] as a torch tensor, float32 [3, H, W], or [4, H, W] with alpha."""
        import torch

        return torch.from_numpy(np.ascontiguousarray(self.numpy().transpose(2, 0, 1)))

    def pil(self) -> Image.Image:
        """Convert the picture to a Pillow image, RGB or RGBA with 8 bits per channel."""
        from tilestyle.images.write import pillow_image

        return pillow_image(self)

    def show(self) -> None:
        """Show the picture below the cell of a notebook, or in the system's viewer, at most 4096 pixels a side.

        Raises:
            OutputError: There is no viewer.
        """
        shell = getattr(sys.modules.get("IPython"), "get_ipython", lambda: None)()
        if shell is not None and hasattr(shell, "kernel"):
            import_module("IPython.display").display(self)
            return
        from PIL import ImageShow

        if not ImageShow.show(self._thumbnail(VIEWER_SIDE), title=self.name or "tilestyle"):
            raise OutputError("there is no program to show pictures", hint="save the picture to a file")

    def __repr__(self) -> str:
        """Return the size and the name, not the pixels."""
        alpha = "" if self.alpha is None else ", with alpha"
        name = f", {self.name!r}" if self.name else ""
        return f"<Picture {self.width} x {self.height}{alpha}{name}>"

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> NDArray[Any]:
        """Return `numpy()`, for functions that take arrays."""
        return np.array(self.numpy(), dtype=dtype, copy=copy)

    def _repr_png_(self) -> bytes:
        """Return what a notebook displays: a PNG file, at most NOTEBOOK_SIDE pixels wide or high."""
        file = BytesIO()
        self._thumbnail(NOTEBOOK_SIDE).save(file, "PNG")
        return file.getvalue()

    def _thumbnail(self, side: int) -> Image.Image:
        """Return a Pillow image of the picture, downsampled if it is larger than `side`."""
        from tilestyle.images.file_source import as_source

        share = side / max(self.height, self.width)
        if share >= 1:
            return self.pil()
        sides = (max(1, round(length * share)) for length in (self.height, self.width))
        return as_source(self).downsample(*sides).pil()
