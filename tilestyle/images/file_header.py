"""The header of a picture file: everything that is known about it without decoding its pixels.

A header is read once, by one reader (read_header.py). Everything that reads the file afterwards (as a whole, by
windows, in strips, or only for its facts) follows this header. Decoders only decode samples: they do not decide
about size, orientation, transparency, colors or depth, and their results are checked against the header.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tilestyle.errors import PictureError
from tilestyle.images.cicp import Cicp
from tilestyle.images.color_management import ColorModel, profile_description
from tilestyle.images.orientation import UPRIGHT, swaps_sides


class Decoder(StrEnum):
    """The library that decodes the samples of the whole picture."""

    TIFFFILE = "tifffile"
    LIBTIFF = "libtiff"  # through Pillow
    LIBVIPS = "libvips"
    PILLOW = "Pillow"


class Coding(StrEnum):
    """The encoding of colors in decoded samples."""

    GRAY = "gray"
    WHITE_IS_ZERO = "white is zero"
    RGB = "RGB"
    PALETTE = "palette"
    CMYK = "CMYK"
    LAB_SIGNED = "Lab"  # a* and b* are signed numbers
    LAB_OFFSET = "ICC Lab"  # a* and b* are unsigned, with an offset


COLOR_MODELS = {
    Coding.GRAY: ColorModel.GRAY,
    Coding.WHITE_IS_ZERO: ColorModel.GRAY,
    Coding.RGB: ColorModel.RGB,
    Coding.PALETTE: ColorModel.RGB,
    Coding.CMYK: ColorModel.CMYK,
    Coding.LAB_SIGNED: ColorModel.LAB,
    Coding.LAB_OFFSET: ColorModel.LAB,
}
COLOR_CHANNELS = {
    Coding.GRAY: 1,
    Coding.WHITE_IS_ZERO: 1,
    Coding.RGB: 3,
    Coding.PALETTE: 1,
    Coding.CMYK: 4,
    Coding.LAB_SIGNED: 3,
    Coding.LAB_OFFSET: 3,
}


class Alpha(StrEnum):
    """Kind of transparency: whether the colors are multiplied by alpha."""

    NONE = "none"
    STRAIGHT = "straight"
    PREMULTIPLIED = "premultiplied"


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class FileHeader:
    """The header of a picture file.

    Attributes:
        path: The file; for a picture in memory, its name, if any.
        format: Short name of the format, such as "PNG".
        mode: Kind of channels for display, such as "RGB + alpha".
        decoder: Library that decodes the whole picture.
        stored_height: Height in pixels as stored, before the rotation to upright.
        stored_width: Width in pixels as stored.
        channels: Decoded samples per pixel, with alpha and all extra channels.
        dtype: Type of the decoded samples, in the byte order of this machine.
        bits: Significant bits of a decoded sample.
        coding: Encoding of the colors.
        page: Index of the page in a file with several pages.
        orientation: EXIF orientation of the stored picture, 1 to 8.
        orientation_origin: Where the orientation is stated; empty if it is not.
        byte_order: Byte order of the file, "<" or ">"; empty where it makes no difference.
        compression: Compression of the samples, as the format calls it.
        alpha: Kind of transparency.
        alpha_channel: Index of the alpha channel.
        palette: Colors [n, 3] of a palette that is applied after decoding.
        profile: ICC profile or color code points. None: the file states no colors.
        dpi: Dots per inch (x, y).
        file_bytes: Size of the file.
        is_streamable: Whether libvips decodes the file to the same samples strip by strip.
    """

    path: Path
    format: str
    mode: str
    decoder: Decoder
    stored_height: int
    stored_width: int
    channels: int
    dtype: str
    bits: int
    coding: Coding
    page: int = 0
    orientation: int = UPRIGHT
    orientation_origin: str = ""
    byte_order: str = ""
    compression: str = ""
    alpha: Alpha = Alpha.NONE
    alpha_channel: int = 0
    palette: NDArray[np.uint8] | None = None
    profile: bytes | Cicp | None = None
    dpi: tuple[float, float] | None = None
    file_bytes: int = 0
    is_streamable: bool = False

    @property
    def name(self) -> str:
        """File name without folders."""
        return self.path.name

    @property
    def label(self) -> str:
        """Name of the picture in messages."""
        return self.name or "the image"

    @property
    def height(self) -> int:
        """Height of the upright picture in pixels."""
        return self.stored_width if swaps_sides(self.orientation) else self.stored_height

    @property
    def width(self) -> int:
        """Width of the upright picture in pixels."""
        return self.stored_height if swaps_sides(self.orientation) else self.stored_width

    @property
    def depth(self) -> int:
        """Bits per channel, rounded up to 8, 16 or 32."""
        return next((depth for depth in (8, 16) if self.bits <= depth), 32)

    @property
    def has_alpha(self) -> bool:
        """Whether the picture has transparency."""
        return self.alpha is not Alpha.NONE

    @property
    def model(self) -> ColorModel:
        """Color model of the samples."""
        return COLOR_MODELS[self.coding]

    @property
    def color_description(self) -> str:
        """Description of the profile or code points, for display."""
        return profile_description(self.model, self.profile)

    def check_samples(self, stored: NDArray[Any], height: int, width: int) -> NDArray[Any]:
        """Check decoded samples against the header.

        Args:
            stored: Result of a decoder, [height, width, channels], in any byte order.
            height: Requested height in pixels.
            width: Requested width in pixels.

        Returns:
            The samples in the byte order of this machine.

        Raises:
            PictureError: Shape or type differ from the header.
        """
        dtype, shape = stored.dtype.newbyteorder("=").name, (height, width, self.channels)
        if (stored.shape, dtype) != (shape, self.dtype):
            raise PictureError(
                f"{self.label} decodes to {format_shape(stored.shape)} samples of {dtype}, but its header says "
                f"{format_shape(shape)} of {self.dtype}",
                hint="it may be damaged or an unusual variant: convert it to PNG or TIFF",
            )
        return stored.astype(stored.dtype.newbyteorder("="), copy=False)


def format_shape(sides: tuple[int, ...]) -> str:
    """Format a shape for messages, such as "5 x 7 x 3"."""
    return " x ".join(map(str, sides))
