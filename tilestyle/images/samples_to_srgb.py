"""Interpretation of decoded samples by the header of their file: palette, alpha, bit depth, Lab."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from tilestyle.errors import PictureError
from tilestyle.images.file_header import COLOR_CHANNELS, Alpha, Coding, FileHeader
from tilestyle.images.raw_samples import RawSamples, unpremultiply_samples


def interpret_samples(header: FileHeader, stored: NDArray[Any]) -> RawSamples:
    """Interpret the decoded samples of a picture or of a window of it.

    Args:
        header: Header of the file.
        stored: Decoded samples [h, w, C].

    Raises:
        PictureError: The samples differ from the header.
    """
    stored = header.check_samples(stored, *stored.shape[:2])
    alpha = (
        None if header.alpha is Alpha.NONE else _stretch_range(stored[..., header.alpha_channel], header.bits)
    )
    values = _color_values(header, stored[..., : COLOR_CHANNELS[header.coding]])
    if header.alpha is Alpha.PREMULTIPLIED and alpha is not None:
        values = unpremultiply_samples(values, alpha)
    if header.coding is Coding.WHITE_IS_ZERO:
        values = (1 if values.dtype == np.float32 else np.iinfo(values.dtype).max) - values
    return RawSamples(
        values=values,
        model=header.model,
        depth=header.depth,
        alpha=alpha,
        profile=header.profile,
        orientation=header.orientation,
        dpi=header.dpi,
    )


def _color_values(header: FileHeader, stored: NDArray[Any]) -> NDArray[Any]:
    if header.coding is Coding.PALETTE:
        return _apply_palette(header, stored)
    if header.coding in (Coding.LAB_SIGNED, Coding.LAB_OFFSET):
        return _lab_values(header.coding, stored)
    return _stretch_range(stored, header.bits)


def _apply_palette(header: FileHeader, stored: NDArray[Any]) -> NDArray[np.uint8]:
    """Replace palette indices [h, w, 1] by colors [h, w, 3]."""
    assert header.palette is not None, "the header of a palette picture has the palette"
    indices = stored[..., 0].astype(np.intp)
    if indices.size and indices.max() >= len(header.palette):
        raise PictureError(f"{header.label} uses colors that its palette does not have", hint="export it again")
    colors: NDArray[np.uint8] = header.palette[indices]
    return colors


def _stretch_range(values: NDArray[Any], bits: int) -> NDArray[Any]:
    """Stretch samples to the full range of uint8 or uint16, or to float32 in [0, 1].

    Args:
        values: Decoded samples.
        bits: Significant bits of a sample.
    """
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
    """Convert Lab samples of 8 or 16 bits [h, w, 3] to L* a* b*; floats already are L* a* b*."""
    if stored.dtype.kind == "f":
        return stored.astype(np.float32)
    scale = 1 if stored.dtype == np.uint8 else 256
    if coding is Coding.LAB_SIGNED:
        signed = np.int8 if stored.dtype == np.uint8 else np.int16
        color = np.ascontiguousarray(stored[..., 1:]).view(signed).astype(np.float32) / np.float32(scale)
        white = 255 if stored.dtype == np.uint8 else 65535
    else:
        color = stored[..., 1:].astype(np.float32) / np.float32(scale) - 128
        white = 255 * scale
    lightness = stored[..., :1].astype(np.float32) * np.float32(100 / white)
    return np.concatenate([lightness, color], axis=2)
