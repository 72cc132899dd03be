"""Soft proof: the colours a press would make of a picture, shown in sRGB."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import imagecodecs
import numpy as np

from tilestyle.config.enums import Intent
from tilestyle.errors import PictureError
from tilestyle.files.paths import PathLike, ordinary_file
from tilestyle.images.color_management import profile_name, srgb_profile, unit_from_stored
from tilestyle.images.picture import FloatArray

_INTENTS = {
    Intent.PERCEPTUAL: imagecodecs.CMS.INTENT.PERCEPTUAL,
    Intent.RELATIVE: imagecodecs.CMS.INTENT.RELATIVE_COLORIMETRIC,
}


@dataclass(frozen=True)
class Proof:
    """A press, as its ICC profile describes it, and how colours are brought into what it can print."""

    profile: bytes
    intent: Intent = Intent.RELATIVE

    @cached_property
    def name(self) -> str:
        """The description of the profile."""
        return profile_name(self.profile)

    def __call__(self, pixels: FloatArray) -> FloatArray:
        """Pixels [h, w, 3], sRGB in [0, 1], as printed; of any part of a picture, pixel by pixel.

        To CMYK with black point compensation, and back as a viewer would: relative colorimetric, white of
        paper shown as white. In 16 bits between.
        """
        levels = np.rint(np.clip(pixels, 0.0, 1.0) * np.float32(65535)).astype(np.uint16)
        flags = int(imagecodecs.CMS.FLAGS.BLACKPOINTCOMPENSATION)
        inks = imagecodecs.cms_transform(
            np.ascontiguousarray(levels),
            srgb_profile(),
            self.profile,
            colorspace="rgb",
            outcolorspace="cmyk",
            outdtype=np.uint16,
            intent=_INTENTS[self.intent],
            flags=flags,
        )
        shown = imagecodecs.cms_transform(
            inks,
            self.profile,
            srgb_profile(),
            colorspace="cmyk",
            outcolorspace="rgb",
            outdtype=np.uint16,
            intent=imagecodecs.CMS.INTENT.RELATIVE_COLORIMETRIC,
            flags=flags,
        )
        return unit_from_stored(shown)


def open_proof(path: PathLike, intent: Intent = Intent.RELATIVE) -> Proof:
    """Read the profile of a press.

    Raises PictureError when the file is missing, no profile, not for CMYK, or works in one direction only.
    """
    path = ordinary_file(path)
    profile = path.read_bytes()
    if profile[36:40] != b"acsp":
        raise PictureError(f"{path.name} is no ICC profile", hint="give the .icc file of the print shop")
    if profile[16:20] != b"CMYK":
        space = profile[16:20].decode("latin-1").strip()
        raise PictureError(f"{path.name} is a profile for {space}", hint="give one for CMYK")
    proof = Proof(profile, intent)
    try:
        proof(np.zeros((1, 1, 3), np.float32))
    except (imagecodecs.CmsError, ValueError) as error:
        raise PictureError(
            f"{path.name} cannot be used for a proof ({error})", hint="give an output profile of CMYK"
        ) from error
    return proof
