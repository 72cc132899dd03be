"""From the colours a file is stored in to sRGB."""

from __future__ import annotations

import io
from collections.abc import Callable
from enum import StrEnum
from functools import lru_cache
from typing import Any

import imagecodecs
import numpy as np
from numpy.typing import NDArray
from PIL import ImageCms

from tilestyle.images.cicp import Cicp
from tilestyle.images.picture import FloatArray

_BAND_SAMPLES = 1 << 22
"""Samples converted at once, so that temporaries stay small beside the picture."""

_HALF_STEP = 0.5 / 255
"""Profiles closer to sRGB than this everywhere are sRGB: 8 bits could not show the difference."""


UNREADABLE = "unreadable profile, not used"
"""The description of a profile that is broken."""


class ColourModel(StrEnum):
    """What the channels of stored samples mean."""

    GREY = "grey"
    RGB = "RGB"
    CMYK = "CMYK"
    LAB = "Lab"


CHANNELS = {ColourModel.GREY: 1, ColourModel.RGB: 3, ColourModel.CMYK: 4, ColourModel.LAB: 3}

_SPACES = {ColourModel.GREY: b"GRAY", ColourModel.RGB: b"RGB ", ColourModel.CMYK: b"CMYK"}
_LCMS_NAMES = {b"GRAY": "gray", b"RGB ": "rgb", b"CMYK": "cmyk"}

_Convert = Callable[[NDArray[Any]], FloatArray]


@lru_cache(maxsize=1)
def srgb_profile() -> bytes:
    """Return the ICC profile of sRGB, the same bytes every time.

    littleCMS stamps the moment of making into bytes 24 to 35; a fixed date keeps equal renders equal.
    """
    made = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    return made[:24] + b"".join(n.to_bytes(2) for n in (2000, 1, 1, 0, 0, 0)) + made[36:]


@lru_cache(maxsize=1)
def _lab_profile() -> bytes:
    return ImageCms.ImageCmsProfile(ImageCms.createProfile("LAB")).tobytes()


def profile_name(profile: bytes | None) -> str:
    """Describe an embedded profile for people; "sRGB" when there is none."""
    if profile is None:
        return "sRGB"
    try:
        text = ImageCms.getProfileDescription(ImageCms.ImageCmsProfile(io.BytesIO(profile)))
    except (OSError, ImageCms.PyCMSError, UnicodeDecodeError):
        return UNREADABLE
    return " ".join(text.replace("\0", " ").split()) or "unnamed profile"


def profile_description(model: ColourModel, profile: bytes | Cicp | None) -> str:
    """Describe what the colours of a picture are converted from."""
    return _conversion(np.dtype(np.uint8), model, profile)[1]


def srgb_from_samples(
    values: NDArray[Any], model: ColourModel, profile: bytes | Cicp | None
) -> tuple[FloatArray, str]:
    """Convert stored samples [H, W, C] to sRGB float32 [H, W, 3] in [0, 1], and describe their profile.

    ``values`` are uint8, uint16 or float32 (in [0, 1]; Lab is float32 L* a* b*), C as in CHANNELS.
    A profile that is broken or made for other channels does not lose the picture: its samples are then
    read as if it were absent, and the description says so. Values beyond [0, 1] are clipped.
    """
    convert, name = _conversion(values.dtype, model, profile)
    height, width = values.shape[:2]
    pixels = np.empty((height, width, 3), dtype=np.float32)
    rows = max(1, _BAND_SAMPLES // (3 * width))
    for top in range(0, height, rows):
        band = convert(values[top : top + rows])
        np.clip(band, 0.0, 1.0, out=pixels[top : top + rows])
    return pixels, name


def unit_from_stored(values: NDArray[Any]) -> FloatArray:
    """Scale uint8 or uint16 to float32 in [0, 1]; floats pass as float32."""
    if values.dtype == np.uint8 or values.dtype == np.uint16:
        # A division, not a product with the reciprocal: k / 65535 has to come back as k exactly.
        unit: FloatArray = np.true_divide(values, np.iinfo(values.dtype).max, dtype=np.float32)
        return unit
    return np.asarray(values, dtype=np.float32)


def _conversion(dtype: np.dtype[Any], model: ColourModel, profile: bytes | Cicp | None) -> tuple[_Convert, str]:
    """Choose how to convert, and the description of the profile that goes with the choice."""
    if isinstance(profile, Cicp):
        return _by_code_points(dtype, profile)
    name = profile_name(profile)
    if model is ColourModel.LAB:
        return _lab_to_srgb, "CIELAB"
    plain = _cmyk_to_srgb if model is ColourModel.CMYK else _plain_to_srgb
    if profile is None:
        return plain, "CMYK without a profile" if model is ColourModel.CMYK else name
    space = profile[16:20]
    if space != _SPACES[model] and not (model is ColourModel.GREY and space == b"RGB "):
        return plain, name if name == UNREADABLE else f"{name}, not used: not for {model} pictures"
    distance = _distance_from_srgb(profile)
    if distance is None:
        return plain, UNREADABLE
    if distance < _HALF_STEP:
        return plain, name
    return lambda band: _managed_to_srgb(band, profile, precise=dtype != np.uint8), name


def _by_code_points(dtype: np.dtype[Any], code: Cicp) -> tuple[_Convert, str]:
    """Of grey or RGB: other models are not described by code points."""
    depth = 8 if dtype == np.uint8 else 16
    if code.is_srgb:
        return _plain_to_srgb, code.name
    return lambda band: code.to_srgb(_plain_to_srgb(band), depth), code.name


def _plain_to_srgb(band: NDArray[Any]) -> FloatArray:
    return np.broadcast_to(unit_from_stored(band), (*band.shape[:2], 3))


def _cmyk_to_srgb(band: NDArray[Any]) -> FloatArray:
    """Inks as ideal filters: what is left of white light after colour and after black."""
    light = np.float32(1.0) - unit_from_stored(band)
    return light[..., :3] * light[..., 3:]


def _lab_to_srgb(band: NDArray[Any]) -> FloatArray:
    return _transform(band, _lab_profile(), "lab", np.float32, precise=True)


def _managed_to_srgb(band: NDArray[Any], profile: bytes, *, precise: bool) -> FloatArray:
    """Convert through littleCMS: grey [h, w, 1], RGB [h, w, 3] or CMYK [h, w, 4] -> [h, w, 3]."""
    space = profile[16:20]
    if band.shape[2] == 1 and space == b"RGB ":
        band = np.repeat(band, 3, axis=2)
    if band.dtype == np.float32 and space != b"RGB ":
        # littleCMS counts float ink in percent and clips float grey; 16 bits leave nothing to doubt.
        band = np.rint(np.clip(band, 0.0, 1.0) * np.float32(65535)).astype(np.uint16)
    if band.shape[2] == 1:
        band = band[..., 0]  # imagecodecs would keep the axis beside the new one
    dtype = np.float32 if band.dtype == np.float32 else np.uint16
    return unit_from_stored(_transform(band, profile, _LCMS_NAMES[space], dtype, precise=precise))


def _transform(
    band: NDArray[Any], profile: bytes, space: str, dtype: type[np.generic], *, precise: bool
) -> NDArray[Any]:
    """Relative colorimetric with black point compensation: keeps every colour that sRGB has.

    imagecodecs rather than Pillow's ImageCms, which stops at 8 bits. Unless ``precise``, littleCMS may
    replace the profile by interpolated tables: ten times as fast and a third of an 8-bit step off,
    which 8-bit sources cannot show. For 16 bits the same tables are off by up to 19 steps near black.
    """
    flags = int(imagecodecs.CMS.FLAGS.BLACKPOINTCOMPENSATION)
    if precise:
        flags |= imagecodecs.CMS.FLAGS.NOOPTIMIZE
    converted: NDArray[Any] = imagecodecs.cms_transform(
        np.ascontiguousarray(band),
        profile,
        srgb_profile(),
        colorspace=space,
        outcolorspace="rgb",
        outdtype=np.dtype(dtype),
        intent=imagecodecs.CMS.INTENT.RELATIVE_COLORIMETRIC,
        flags=flags,
    )
    return converted


@lru_cache(maxsize=16)
def _distance_from_srgb(profile: bytes) -> float | None:
    """Largest difference to sRGB over a grid of probes; infinite for CMYK, None for a broken profile.

    By measurement and not by name: many profiles are sRGB under other names, and converting those would
    only add rounding.
    """
    levels = np.linspace(0, 65535, 17).round().astype(np.uint16)
    probes = levels.reshape(1, -1, 1)
    if profile[16:20] == b"RGB ":
        probes = np.stack(np.meshgrid(levels, levels, levels), axis=-1).reshape(17, -1, 3)
    if profile[16:20] == b"CMYK":
        probes = np.zeros((1, 1, 4), dtype=np.uint16)
    try:
        converted = _managed_to_srgb(probes, profile, precise=True)
    except imagecodecs.CmsError:
        return None
    return np.inf if probes.shape[2] == 4 else float(np.abs(converted - unit_from_stored(probes)).max())
