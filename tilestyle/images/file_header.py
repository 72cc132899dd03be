"""What a picture file holds, found out once and without decoding its pixels.

A file is described once, by one reader (`read_header.py`). Whatever then reads it (whole, by windows, in
strips, or only for its facts) obeys this description and decodes nothing but samples: no decoder decides about
size, orientation, transparency, colours or depth, and what a decoder gives is held against it.
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
from tilestyle.images.color_management import ColourModel, profile_description
from tilestyle.images.orientation import UPRIGHT, swaps_sides


class Decoder(StrEnum):
    """Which library decodes the samples when the whole picture is wanted."""

    TIFFFILE = "tifffile"
    LIBTIFF = "libtiff"  # through Pillow
    LIBVIPS = "libvips"
    PILLOW = "Pillow"


class Coding(StrEnum):
    """How decoded samples encode colours."""

    GREY = "grey"
    WHITE_IS_ZERO = "white is zero"
    RGB = "RGB"
    PALETTE = "palette"
    CMYK = "CMYK"
    LAB_SIGNED = "Lab"  # L* from 0 up, a* and b* as signed numbers
    LAB_OFFSET = "ICC Lab"  # a* and b* from 0 up, too


MODELS = {
    Coding.GREY: ColourModel.GREY,
    Coding.WHITE_IS_ZERO: ColourModel.GREY,
    Coding.RGB: ColourModel.RGB,
    Coding.PALETTE: ColourModel.RGB,
    Coding.CMYK: ColourModel.CMYK,
    Coding.LAB_SIGNED: ColourModel.LAB,
    Coding.LAB_OFFSET: ColourModel.LAB,
}
COLOUR_CHANNELS = {
    Coding.GREY: 1,
    Coding.WHITE_IS_ZERO: 1,
    Coding.RGB: 3,
    Coding.PALETTE: 1,
    Coding.CMYK: 4,
    Coding.LAB_SIGNED: 3,
    Coding.LAB_OFFSET: 3,
}


class Alpha(StrEnum):
    """Whether there is transparency, and whether colours are multiplied by it."""

    NONE = "none"
    STRAIGHT = "straight"
    PREMULTIPLIED = "premultiplied"


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Description:
    """Facts of a picture file.

    Attributes:
        path: The file; for a picture in memory, its name if it has one.
        format: Short name such as "PNG".
        mode: Kind of channels for people, such as "RGB + alpha".
        decoder: The library that decodes the whole.
        page: Number of the page in a file that has several.
        stored_height: Rows as stored, before the picture is turned upright.
        stored_width: Columns as stored.
        orientation: 1 to 8 as in EXIF; how the stored picture has to be turned.
        orientation_from: Where the orientation is stated; empty where it is not.
        channels: Samples of a pixel as decoded, with alpha and whatever else there is.
        dtype: Type of decoded samples, in the byte order of this machine.
        bits: Bits of a decoded sample that are in use.
        byte_order: Of the file: "<", ">", or empty where it makes no difference.
        packing: How samples are compressed, as the format calls it.
        coding: How decoded samples encode colours.
        alpha: Kind of transparency.
        alpha_channel: Its index among the channels.
        palette: Colours [n, 3] of a palette that is looked up after decoding.
        profile: ICC profile, or the colour code points of the file; None where it states no colours.
        dpi: Dots per inch, (across, down).
        file_bytes: Length of the file.
        streamed: Whether libvips decodes the file to the same samples strip by strip.
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
    orientation_from: str = ""
    byte_order: str = ""
    packing: str = ""
    alpha: Alpha = Alpha.NONE
    alpha_channel: int = 0
    palette: NDArray[np.uint8] | None = None
    profile: bytes | Cicp | None = None
    dpi: tuple[float, float] | None = None
    file_bytes: int = 0
    streamed: bool = False

    @property
    def name(self) -> str:
        """Name of the file without folders."""
        return self.path.name

    @property
    def label(self) -> str:
        """What messages call the picture."""
        return self.name or "the image"

    @property
    def height(self) -> int:
        """Rows of the upright picture."""
        return self.stored_width if swaps_sides(self.orientation) else self.stored_height

    @property
    def width(self) -> int:
        """Columns of the upright picture."""
        return self.stored_height if swaps_sides(self.orientation) else self.stored_width

    @property
    def depth(self) -> int:
        """Bits per channel, rounded up to 8, 16 or 32."""
        return next((depth for depth in (8, 16) if self.bits <= depth), 32)

    @property
    def has_alpha(self) -> bool:
        """Whether there is transparency."""
        return self.alpha is not Alpha.NONE

    @property
    def model(self) -> ColourModel:
        """What the colour channels mean."""
        return MODELS[self.coding]

    @property
    def colours(self) -> str:
        """The profile or other statement of colours, for people."""
        return profile_description(self.model, self.profile)

    def checked(self, stored: NDArray[Any], height: int, width: int) -> NDArray[Any]:
        """Hold decoded samples against the description.

        Args:
            stored: What a decoder gave: [height, width, channels], in any byte order.
            height: Rows that were asked of it.
            width: Columns that were asked of it.

        Returns:
            The samples in the byte order of this machine.

        Raises:
            PictureError: The decoder found another picture than the description has.
        """
        found, wanted = stored.dtype.newbyteorder("=").name, (height, width, self.channels)
        if (stored.shape, found) != (wanted, self.dtype):
            raise PictureError(
                f"{self.label} decodes to {shown(stored.shape)} samples of {found} where {shown(wanted)} of "
                f"{self.dtype} are described",
                hint="it may be damaged or an unusual variant: convert it to PNG or TIFF",
            )
        return stored.astype(stored.dtype.newbyteorder("="), copy=False)


def shown(sides: tuple[int, ...]) -> str:
    """A shape for messages, such as "5 x 7 x 3"."""
    return " x ".join(map(str, sides))
