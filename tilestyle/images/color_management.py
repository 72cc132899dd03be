"""Conversion of stored samples to the colors of computation: sRGB, if nothing else is asked for."""

from __future__ import annotations

import io
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
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
"""Samples that are converted at once; this keeps temporary arrays small."""

_HALF_STEP = 0.5 / 255
"""A profile that differs from sRGB by less than this everywhere is treated as sRGB (half a step of 8 bits)."""

UNREADABLE_PROFILE = "unreadable profile, not used"
"""Description of a broken profile."""


class ColorModel(StrEnum):
    """Color models of stored samples."""

    GRAY = "gray"
    RGB = "RGB"
    CMYK = "CMYK"
    LAB = "Lab"


MODEL_CHANNELS = {ColorModel.GRAY: 1, ColorModel.RGB: 3, ColorModel.CMYK: 4, ColorModel.LAB: 3}

MODEL_SPACES = {ColorModel.GRAY: b"GRAY", ColorModel.RGB: b"RGB ", ColorModel.CMYK: b"CMYK"}
LCMS_NAMES = {b"GRAY": "gray", b"RGB ": "rgb", b"CMYK": "cmyk", b"Lab ": "lab"}

_working: ContextVar[bytes | None] = ContextVar("tilestyle_working_profile", default=None)  # None: sRGB

_Convert = Callable[[NDArray[Any]], FloatArray]


@lru_cache(maxsize=1)
def srgb_profile() -> bytes:
    """Return the ICC profile of sRGB, always with the same bytes.

    littleCMS writes the current time to bytes 24 to 35. A fixed date keeps the files of equal renders equal.
    """
    profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    return profile[:24] + b"".join(n.to_bytes(2) for n in (2000, 1, 1, 0, 0, 0)) + profile[36:]


@contextmanager
def working_space(profile: bytes) -> Iterator[None]:
    """Compute in other colors inside the block, in this thread: pictures are read as RGB with this profile.

    Files that are written there without colors of their own get the profile, too. Sources keep the colors with
    which they were opened.

    Args:
        profile: ICC profile with the curve of sRGB, so that what is said of encoded values holds.
    """
    token = _working.set(profile)
    try:
        yield
    finally:
        _working.reset(token)


def working_profile() -> bytes:
    """Return the profile of the colors that pictures are computed in."""
    return _working.get() or srgb_profile()


@lru_cache(maxsize=1)
def _lab_profile() -> bytes:
    return ImageCms.ImageCmsProfile(ImageCms.createProfile("LAB")).tobytes()


def profile_name(profile: bytes | None) -> str:
    """Return the description of an embedded profile; "sRGB" without one."""
    if profile is None:
        return "sRGB"
    try:
        text = ImageCms.getProfileDescription(ImageCms.ImageCmsProfile(io.BytesIO(profile)))
    except (OSError, ImageCms.PyCMSError, UnicodeDecodeError):
        return UNREADABLE_PROFILE
    return " ".join(text.replace("\0", " ").split()) or "unnamed profile"


def profile_description(model: ColorModel, profile: bytes | Cicp | None) -> str:
    """Return a description of the colors that a picture is converted from."""
    return _choose_conversion(np.dtype(np.uint8), model, profile, srgb_profile())[1]


def srgb_from_samples(
    values: NDArray[Any], model: ColorModel, profile: bytes | Cicp | None, target: bytes | None = None
) -> tuple[FloatArray, str]:
    """Convert stored samples to sRGB, or another working space.

    A profile that is broken or made for another color model is ignored, and the description says so. Values
    outside [0, 1] are clipped.

    Args:
        values: Samples [H, W, C] in uint8, uint16 or float32 (in [0, 1], except for Lab: L* a* b*); C depends
            on the model.
        model: Color model of the samples.
        profile: ICC profile or color code points. None: sRGB, gray with the curve of sRGB, or plain CMYK.
        target: Profile of the result. None: that of the working space, normally sRGB.

    Returns:
        Pixels [H, W, 3], float32 sRGB in [0, 1], and a description of the original colors.
    """
    convert, name = _choose_conversion(values.dtype, model, profile, target or working_profile())
    height, width = values.shape[:2]
    pixels = np.empty((height, width, 3), dtype=np.float32)
    rows = max(1, _BAND_SAMPLES // (3 * width))
    for top in range(0, height, rows):
        band = convert(values[top : top + rows])
        np.clip(band, 0.0, 1.0, out=pixels[top : top + rows])
    return pixels, name


def to_unit_range(values: NDArray[Any]) -> FloatArray:
    """Scale uint8 or uint16 to float32 in [0, 1]; floats are only converted to float32."""
    if values.dtype == np.uint8 or values.dtype == np.uint16:
        # A division, not a product with the reciprocal, so that writing k / 65535 gives exactly k again.
        unit: FloatArray = np.true_divide(values, np.iinfo(values.dtype).max, dtype=np.float32)
        return unit
    return np.asarray(values, dtype=np.float32)


def _choose_conversion(
    dtype: np.dtype[Any], model: ColorModel, profile: bytes | Cicp | None, target: bytes
) -> tuple[_Convert, str]:
    """Return the function that converts samples to a target, and the description of their colors."""
    if isinstance(profile, Cicp):
        return _by_code_points(dtype, profile, target)
    name = profile_name(profile)
    if model is ColorModel.LAB:
        return lambda band: _transform(band, _lab_profile(), target, np.float32, precise=True), "CIELAB"
    fallback = _from_srgb_to(target, _cmyk_to_srgb if model is ColorModel.CMYK else _plain_to_srgb)
    if profile is None:
        return fallback, "CMYK without a profile" if model is ColorModel.CMYK else name
    space = profile[16:20]
    if space != MODEL_SPACES[model] and not (model is ColorModel.GRAY and space == b"RGB "):
        return fallback, name if name == UNREADABLE_PROFILE else f"{name}, not used: not for {model} pictures"
    distance = _distance_between(profile, target)
    if distance is None:
        return fallback, UNREADABLE_PROFILE
    if distance < _HALF_STEP:
        return _plain_to_srgb, name
    return lambda band: _icc_to(target, band, profile, precise=dtype != np.uint8), name


def _from_srgb_to(target: bytes, convert: _Convert) -> _Convert:
    """Return a conversion to the target, from one to sRGB."""
    if target == srgb_profile():
        return convert
    return lambda band: _icc_to(target, np.ascontiguousarray(convert(band)), srgb_profile(), precise=True)


def _by_code_points(dtype: np.dtype[Any], code: Cicp, target: bytes) -> tuple[_Convert, str]:
    """Return the conversion by code points, which only apply to gray and RGB, and its description."""
    depth = 8 if dtype == np.uint8 else 16
    is_wide = target != srgb_profile()  # which is Display P3
    if code.is_srgb:
        return _from_srgb_to(target, _plain_to_srgb), code.name
    return lambda band: code.to_srgb(_plain_to_srgb(band), depth, is_wide=is_wide), code.name


def _plain_to_srgb(band: NDArray[Any]) -> FloatArray:
    """Take RGB as sRGB, and repeat gray in three channels: [h, w, 1 or 3] to [h, w, 3]."""
    return np.broadcast_to(to_unit_range(band), (*band.shape[:2], 3))


def _cmyk_to_srgb(band: NDArray[Any]) -> FloatArray:
    """Convert CMYK as ideal filters: each ink removes its share of white light."""
    light = np.float32(1.0) - to_unit_range(band)
    return light[..., :3] * light[..., 3:]


def _icc_to(target: bytes, band: NDArray[Any], profile: bytes, *, precise: bool) -> FloatArray:
    """Convert through littleCMS: gray [h, w, 1], RGB [h, w, 3] or CMYK [h, w, 4] -> [h, w, 3]."""
    space = profile[16:20]
    if band.shape[2] == 1 and space == b"RGB ":
        band = np.repeat(band, 3, axis=2)
    if band.dtype == np.float32 and space != b"RGB ":
        # littleCMS expects float inks in percent and clips float gray; 16 bits avoid both.
        band = np.rint(np.clip(band, 0.0, 1.0) * np.float32(65535)).astype(np.uint16)
    if band.shape[2] == 1:
        band = band[..., 0]  # imagecodecs would keep this axis in addition to the new one
    dtype = np.float32 if band.dtype == np.float32 else np.uint16
    return to_unit_range(_transform(band, profile, target, dtype, precise=precise))


def _transform(
    band: NDArray[Any], profile: bytes, target: bytes, dtype: type[np.generic], *, precise: bool
) -> NDArray[Any]:
    """Convert by a profile, relative colorimetric with black point compensation: keeps all colors of sRGB.

    imagecodecs is used and not Pillow's ImageCms, which is limited to 8 bits.

    Args:
        band: Samples [h, w, C], or [h, w] for gray.
        profile: ICC profile of the samples.
        target: ICC profile of the result, RGB.
        dtype: Type of the result.
        precise: If False, littleCMS may replace the profile by interpolated tables. They are ten times as fast,
            with errors of a third of an 8-bit step; in 16 bits, errors reach 19 steps near black.
    """
    flags = int(imagecodecs.CMS.FLAGS.BLACKPOINTCOMPENSATION)
    if precise:
        flags |= imagecodecs.CMS.FLAGS.NOOPTIMIZE
    converted: NDArray[Any] = imagecodecs.cms_transform(
        np.ascontiguousarray(band),
        profile,
        target,
        colorspace=LCMS_NAMES[profile[16:20]],
        outcolorspace="rgb",
        outdtype=np.dtype(dtype),
        intent=imagecodecs.CMS.INTENT.RELATIVE_COLORIMETRIC,
        flags=flags,
    )
    return converted


@lru_cache(maxsize=16)
def _distance_between(profile: bytes, target: bytes) -> float | None:
    """Return the largest difference to the target over a grid of colors; infinite for CMYK, None if broken.

    Names are not reliable: many profiles are sRGB under other names, and converting those only adds rounding
    errors.
    """
    levels = np.linspace(0, 65535, 17).round().astype(np.uint16)
    probes = levels.reshape(1, -1, 1)  # gray: [1, 17, 1]
    if profile[16:20] == b"RGB ":
        probes = np.stack(np.meshgrid(levels, levels, levels), axis=-1).reshape(17, -1, 3)  # [17, 17 * 17, 3]
    if profile[16:20] == b"CMYK":
        probes = np.zeros((1, 1, 4), dtype=np.uint16)
    try:
        converted = _icc_to(target, probes, profile, precise=True)
    except imagecodecs.CmsError:
        return None
    return np.inf if probes.shape[2] == 4 else float(np.abs(converted - to_unit_range(probes)).max())
