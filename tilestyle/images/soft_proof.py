"""Soft proof: a picture in sRGB as a press would print it."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import imagecodecs
import numpy as np

from tilestyle.config.enums import Intent
from tilestyle.errors import PictureError
from tilestyle.files.paths import PathLike, regular_file
from tilestyle.images.color_management import profile_name, srgb_profile, to_unit_range
from tilestyle.images.picture import FloatArray

INTENTS = {
    Intent.PERCEPTUAL: imagecodecs.CMS.INTENT.PERCEPTUAL,
    Intent.RELATIVE: imagecodecs.CMS.INTENT.RELATIVE_COLORIMETRIC,
}


@dataclass(frozen=True)
class Proof:
    """A press, and how colors that it cannot print are replaced. Call it to convert pixels.

    Attributes:
        profile: ICC profile of the press.
        intent: Rendering intent of the conversion to the colors of the press.
        colors: ICC profile of the pixels; None for sRGB.
    """

    profile: bytes
    intent: Intent = Intent.RELATIVE
    colors: bytes | None = None

    @cached_property
    def name(self) -> str:
        """The description of the profile."""
        return profile_name(self.profile)

    def __call__(self, pixels: FloatArray) -> FloatArray:
        """Convert pixels to their colors in print.

        They are converted to CMYK with black point compensation, and back as an image viewer would: relative
        colorimetric, with paper white shown as white. The intermediate values have 16 bits.

        Args:
            pixels: Any part of a picture, [h, w, 3], sRGB in [0, 1].

        Returns:
            Pixels of the same shape, sRGB in [0, 1].
        """
        levels = np.rint(np.clip(pixels, 0.0, 1.0) * np.float32(65535)).astype(np.uint16)
        flags = int(imagecodecs.CMS.FLAGS.BLACKPOINTCOMPENSATION)
        inks = imagecodecs.cms_transform(
            np.ascontiguousarray(levels),
            self.colors or srgb_profile(),
            self.profile,
            colorspace="rgb",
            outcolorspace="cmyk",
            outdtype=np.uint16,
            intent=INTENTS[self.intent],
            flags=flags,
        )
        printed = imagecodecs.cms_transform(
            inks,
            self.profile,
            self.colors or srgb_profile(),
            colorspace="cmyk",
            outcolorspace="rgb",
            outdtype=np.uint16,
            intent=imagecodecs.CMS.INTENT.RELATIVE_COLORIMETRIC,
            flags=flags,
        )
        return to_unit_range(printed)


def open_proof(path: PathLike, intent: Intent = Intent.RELATIVE) -> Proof:
    """Read the ICC profile of a press.

    Raises:
        PictureError: The file is missing or not an ICC profile, or the profile is not for CMYK or works in one
            direction only.
    """
    path = regular_file(path)
    profile = path.read_bytes()
    if profile[36:40] != b"acsp":
        raise PictureError(f"{path.name} is not an ICC profile", hint="give the .icc file of the print shop")
    if profile[16:20] != b"CMYK":
        space = profile[16:20].decode("latin-1").strip()
        raise PictureError(f"{path.name} is a profile for {space}", hint="give one for CMYK")
    proof = Proof(profile, intent)
    try:
        proof(np.zeros((1, 1, 3), np.float32))
    except (imagecodecs.CmsError, ValueError) as error:
        raise PictureError(
            f"{path.name} cannot be used for a proof ({error})", hint="give a CMYK output profile"
        ) from error
    return proof
