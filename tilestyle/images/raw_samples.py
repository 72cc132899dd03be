"""Samples as they are stored in a file, and their development into a picture."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tilestyle.errors import PictureError
from tilestyle.images.cicp import Cicp
from tilestyle.images.color_management import ColourModel, srgb_from_samples, unit_from_stored
from tilestyle.images.library_errors import within_memory
from tilestyle.images.orientation import UPRIGHT, upright
from tilestyle.images.picture import FloatArray, Picture
from tilestyle.images.pixel_limit import check_content

_LOWEST = -0.5
"""No colour encodes this far below black; a tensor normalised around zero does."""


@dataclass(frozen=True, slots=True, eq=False)
class Samples:
    """One picture as decoded, before colour and orientation.

    ``values`` are uint8, uint16 or float32 [H, W, C], C as the model asks; ``alpha`` is the same in
    [H, W], straight. Lab values are float32 L* a* b*.
    """

    values: NDArray[Any]
    model: ColourModel
    depth: int
    alpha: NDArray[Any] | None = None
    profile: bytes | Cicp | None = None
    orientation: int = UPRIGHT
    dpi: tuple[float, float] | None = None


def picture_from_samples(samples: Samples, name: str) -> Picture:
    """Develop samples: to sRGB, the right way up, float32 in [0, 1].

    Floats above 1, as in high dynamic range files, are clipped: sRGB has no brighter white, and a tone
    curve is a choice that belongs to the user. Should that lose more than half of the values, they were
    on another scale, and PictureError is raised; likewise for values that are not finite.
    """
    label = name or "the array"
    with within_memory(label):
        return _developed(samples, name, label)


def picture_from_window(samples: Samples, name: str) -> Picture:
    """Develop the samples of a part of a picture, which may be of any size and brightness."""
    with within_memory(name):
        for values in (samples.values, samples.alpha):
            # NaN anywhere makes both NaN.
            if (
                values is not None
                and values.dtype == np.float32
                and not np.isfinite([values.min(), values.max()]).all()
            ):
                raise _not_finite(name)
        return _upright_srgb(samples, name)


def _developed(samples: Samples, name: str, label: str) -> Picture:
    check_content(label, *samples.values.shape[:2])
    check_floats(samples, label)
    return _upright_srgb(samples, name)


def _upright_srgb(samples: Samples, name: str) -> Picture:
    pixels, profile = srgb_from_samples(samples.values, samples.model, samples.profile)
    alpha: FloatArray | None = None
    if samples.alpha is not None:
        alpha = upright(np.clip(unit_from_stored(samples.alpha), 0.0, 1.0), samples.orientation)
    return Picture(
        pixels=upright(pixels, samples.orientation),
        alpha=alpha,
        depth=samples.depth,
        profile=profile,
        dpi=samples.dpi,
        name=name,
    )


def straight_from_premultiplied(values: NDArray[Any], alpha: NDArray[Any]) -> FloatArray:
    """Divide the alpha [H, W] out of values [H, W, C]; black where nothing is left to divide by."""
    unit, cover = unit_from_stored(values), unit_from_stored(alpha)[..., None]
    straight = np.zeros_like(unit)
    with np.errstate(over="ignore", invalid="ignore"):  # of floats that are no colours
        np.divide(unit, cover, out=straight, where=cover > 0)
    return np.minimum(straight, np.float32(1.0))


def check_floats(samples: Samples, label: str) -> None:
    """Raise PictureError for floats that are not finite, or mostly beyond [0, 1]."""
    _check_floats(samples.values, label, bounded=samples.model is not ColourModel.LAB)
    if samples.alpha is not None:
        _check_floats(samples.alpha, label, bounded=True)


def _check_floats(values: NDArray[Any], label: str, *, bounded: bool) -> None:
    if values.dtype != np.float32:
        return
    low, high = float(values.min()), float(values.max())  # NaN anywhere makes both NaN
    if not (np.isfinite(low) and np.isfinite(high)):
        raise _not_finite(label)
    if not bounded or (low >= 0.0 and high <= 1.0):
        return
    outside = np.count_nonzero((values < 0.0) | (values > 1.0))
    if low < _LOWEST or outside > values.size / 2:
        raise PictureError(
            f"{label} holds floats from {low:g} to {high:g} where [0, 1] is meant",
            hint="scale them (divide by 255?), or undo a normalisation",
        )


def _not_finite(label: str) -> PictureError:
    return PictureError(f"{label} holds values that are not finite", hint="replace NaN and infinity before")
