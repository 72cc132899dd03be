"""Decoded samples as colours: what a description says of them, applied."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from tilestyle.errors import PictureError
from tilestyle.images.file_header import COLOUR_CHANNELS, Alpha, Coding, Description
from tilestyle.images.raw_samples import Samples, straight_from_premultiplied


def samples_of(seen: Description, stored: NDArray[Any]) -> Samples:
    """What decoded samples [h, w, C] of a picture, or of a window of it, mean.

    Raises PictureError when they are not as described.
    """
    stored = seen.checked(stored, *stored.shape[:2])
    alpha = None if seen.alpha is Alpha.NONE else _full_range(stored[..., seen.alpha_channel], seen.bits)
    values = _colours(seen, stored[..., : COLOUR_CHANNELS[seen.coding]])
    if seen.alpha is Alpha.PREMULTIPLIED and alpha is not None:
        values = straight_from_premultiplied(values, alpha)
    if seen.coding is Coding.WHITE_IS_ZERO:
        values = (1 if values.dtype == np.float32 else np.iinfo(values.dtype).max) - values
    return Samples(
        values=values,
        model=seen.model,
        depth=seen.depth,
        alpha=alpha,
        profile=seen.profile,
        orientation=seen.orientation,
        dpi=seen.dpi,
    )


def _colours(seen: Description, stored: NDArray[Any]) -> NDArray[Any]:
    if seen.coding is Coding.PALETTE:
        return _looked_up(seen, stored)
    if seen.coding in (Coding.LAB_SIGNED, Coding.LAB_OFFSET):
        return _lab_values(seen.coding, stored)
    return _full_range(stored, seen.bits)


def _looked_up(seen: Description, stored: NDArray[Any]) -> NDArray[np.uint8]:
    assert seen.palette is not None, "a palette picture is described with its palette"
    indices = stored[..., 0].astype(np.intp)
    if indices.size and indices.max() >= len(seen.palette):
        raise PictureError(f"{seen.label} uses colours that its palette has not", hint="export it again")
    colours: NDArray[np.uint8] = seen.palette[indices]
    return colours


def _full_range(values: NDArray[Any], bits: int) -> NDArray[Any]:
    """Stretch samples of any width to uint8, uint16 or float32 with white at the top."""
    if values.dtype.kind == "f":
        with np.errstate(over="ignore"):
            return values.astype(np.float32)
    if values.dtype.kind == "b":
        return values.astype(np.uint8) * np.uint8(255)
    if bits == 8 * values.dtype.itemsize and bits in (8, 16):
        return values
    if values.dtype == np.uint8 and bits < 8:
        top = 2**bits - 1
        if 255 % top == 0:
            return np.asarray(values * (255 // top), np.uint8)
    return np.asarray(values / np.float64(2**bits - 1), np.float32)


def _lab_values(coding: Coding, stored: NDArray[Any]) -> NDArray[np.float32]:
    """Decode Lab of 8 or 16 bits to L* a* b*; floats are those already."""
    if stored.dtype.kind == "f":
        return stored.astype(np.float32)
    scale = 1 if stored.dtype == np.uint8 else 256
    if coding is Coding.LAB_SIGNED:
        signed = np.int8 if stored.dtype == np.uint8 else np.int16
        colour = np.ascontiguousarray(stored[..., 1:]).view(signed).astype(np.float32) / np.float32(scale)
        white = 255 if stored.dtype == np.uint8 else 65535
    else:
        colour = stored[..., 1:].astype(np.float32) / np.float32(scale) - 128
        white = 255 * scale
    lightness = stored[..., :1].astype(np.float32) * np.float32(100 / white)
    return np.concatenate([lightness, colour], axis=2)
