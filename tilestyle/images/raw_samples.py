"""Samples as stored in a file, and their conversion to a picture."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tilestyle.config.readable import format_number
from tilestyle.errors import PictureError
from tilestyle.images.cicp import Cicp
from tilestyle.images.color_management import ColorModel, srgb_from_samples, to_unit_range
from tilestyle.images.library_errors import translating_memory_errors
from tilestyle.images.orientation import UPRIGHT, rotate_upright
from tilestyle.images.picture import FloatArray, Picture
from tilestyle.images.pixel_limit import check_not_empty

_LOWEST = -0.5
"""Floats below this are not colors, but for instance values of a tensor that was normalized around zero."""


@dataclass(frozen=True, slots=True, eq=False)
class RawSamples:
    """A decoded picture before color conversion and rotation.

    Attributes:
        values: Samples [H, W, C] in uint8, uint16 or float32; C depends on the model. Lab values are float32
            L* a* b*.
        model: Color model of the samples.
        depth: Bits per channel of the file: 8, 16 or 32.
        alpha: Straight alpha [H, W] in one of these types. None: opaque.
        profile: ICC profile or color code points. None: none are stated.
        orientation: EXIF orientation, 1 to 8.
        dpi: Dots per inch (x, y).
    """

    values: NDArray[Any]
    model: ColorModel
    depth: int
    alpha: NDArray[Any] | None = None
    profile: bytes | Cicp | None = None
    orientation: int = UPRIGHT
    dpi: tuple[float, float] | None = None


def picture_from_samples(samples: RawSamples, name: str) -> Picture:
    """Convert samples to a picture: sRGB, rotated upright, float32 in [0, 1].

    Floats above 1, as in high dynamic range files, are clipped: sRGB has no brighter white, and the choice of a
    tone curve is left to the user.

    Args:
        samples: The samples.
        name: Name of the picture; empty for arrays.

    Raises:
        PictureError: Values are NaN or infinite, or floats have another range than [0, 1] (more than half of
            them would be clipped, or some are far below 0).
        MemoryLimit: The picture does not fit into memory.
    """
    label = name or "the array"
    with translating_memory_errors(label):
        return _develop(samples, name, label)


def picture_from_window(samples: RawSamples, name: str, target: bytes | None = None) -> Picture:
    """Convert the samples of a window, which may have any size and brightness.

    Args:
        samples: The samples.
        name: Name of the picture.
        target: Profile of the result. None: that of the working space.

    Raises:
        PictureError: Values are NaN or infinite.
        MemoryLimit: The window does not fit into memory.
    """
    with translating_memory_errors(name):
        for values in (samples.values, samples.alpha):
            # A NaN makes both minimum and maximum NaN.
            if (
                values is not None
                and values.dtype == np.float32
                and not np.isfinite([values.min(), values.max()]).all()
            ):
                raise _not_finite_error(name)
        return _upright_srgb(samples, name, target)


def _develop(samples: RawSamples, name: str, label: str) -> Picture:
    check_not_empty(label, *samples.values.shape[:2])
    check_floats(samples, label)
    return _upright_srgb(samples, name)


def _upright_srgb(samples: RawSamples, name: str, target: bytes | None = None) -> Picture:
    pixels, profile = srgb_from_samples(samples.values, samples.model, samples.profile, target)
    alpha: FloatArray | None = None
    if samples.alpha is not None:
        alpha = rotate_upright(np.clip(to_unit_range(samples.alpha), 0.0, 1.0), samples.orientation)
    return Picture(
        pixels=rotate_upright(pixels, samples.orientation),
        alpha=alpha,
        depth=samples.depth,
        profile=profile,
        dpi=samples.dpi,
        name=name,
    )


def unpremultiply_samples(values: NDArray[Any], alpha: NDArray[Any]) -> FloatArray:
    """Divide values [H, W, C] by alpha [H, W]; black where alpha is 0."""
    unit, cover = to_unit_range(values), to_unit_range(alpha)[..., None]
    quotient = np.zeros_like(unit)
    with np.errstate(over="ignore", invalid="ignore"):  # floats outside [0, 1]
        np.divide(unit, cover, out=quotient, where=cover > 0)
    return np.minimum(quotient, np.float32(1.0))


def check_floats(samples: RawSamples, label: str) -> None:
    """Raise PictureError for floats that are NaN or infinite, or mostly outside [0, 1].

    Args:
        samples: The samples; those of other types are not checked. Lab values are only checked to be finite.
        label: Name of the picture in the message.
    """
    _check_floats(samples.values, label, bounded=samples.model is not ColorModel.LAB)
    if samples.alpha is not None:
        _check_floats(samples.alpha, label, bounded=True)


def _check_floats(values: NDArray[Any], label: str, *, bounded: bool) -> None:
    if values.dtype != np.float32:
        return
    low, high = float(values.min()), float(values.max())  # a NaN makes both NaN
    if not (np.isfinite(low) and np.isfinite(high)):
        raise _not_finite_error(label)
    if not bounded or (low >= 0.0 and high <= 1.0):
        return
    outside = np.count_nonzero((values < 0.0) | (values > 1.0))
    if low < _LOWEST or outside > values.size / 2:
        raise PictureError(
            f"{label} contains floats from {format_number(low)} to {format_number(high)} instead of [0, 1]",
            hint="scale them (divide by 255?), or undo a normalization",
        )


def _not_finite_error(label: str) -> PictureError:
    return PictureError(f"{label} contains NaN or infinity", hint="replace these values first")
