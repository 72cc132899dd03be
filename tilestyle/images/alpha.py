"""Transparency: premultiplied colors, compositing, and filling of transparent areas."""

from __future__ import annotations

import numpy as np

from tilestyle.images.bilinear import bilinear_window
from tilestyle.images.picture import FloatArray

_MIN_COVER = np.float32(1e-6)
"""Alpha below which a color cannot be recovered from the premultiplied color."""


def premultiply(values: FloatArray) -> FloatArray:
    """Multiply colors by alpha: straight [H, W, 4] -> premultiplied [H, W, 4]; [H, W, 3] is unchanged.

    Averages of premultiplied colors have no fringes, because each color is weighted by its alpha.
    """
    if values.shape[2] == 3:
        return values
    return np.concatenate([values[..., :3] * values[..., 3:], values[..., 3:]], axis=2)


def unpremultiply(values: FloatArray) -> FloatArray:
    """Divide colors by alpha, the inverse of `premultiply`; black where alpha is 0."""
    if values.shape[2] == 3:
        return values
    colors = np.zeros_like(values[..., :3])
    np.divide(values[..., :3], values[..., 3:], out=colors, where=values[..., 3:] > _MIN_COVER)
    return np.concatenate([np.minimum(colors, np.float32(1.0)), values[..., 3:]], axis=2)


def halve(values: FloatArray) -> FloatArray:
    """Average 2 x 2 pixels: [h, w, C] -> [ceil(h / 2), ceil(w / 2), C], premultiplied or opaque.

    A last row or column without a partner is repeated.
    """
    odd_rows, odd_columns = values.shape[0] % 2, values.shape[1] % 2
    if odd_rows or odd_columns:
        values = np.pad(values, ((0, odd_rows), (0, odd_columns), (0, 0)), mode="edge")
    return (values[::2, ::2] + values[1::2, ::2] + values[::2, 1::2] + values[1::2, 1::2]) * np.float32(0.25)


def composite(over: FloatArray, under: FloatArray, cover: FloatArray) -> FloatArray:
    """Composite one picture over another; where alpha is 0 or 1 the result is exactly one of them.

    Args:
        over: Upper picture [H, W, C].
        under: Lower picture [H, W, C].
        cover: Alpha [H, W] of the upper picture.
    """
    share = cover[..., None]
    mixed = over * share + under * (np.float32(1.0) - share)
    return np.where(share <= 0, under, np.where(share >= 1, over, mixed))


def fill_transparent_pixels(pixels: FloatArray, alpha: FloatArray) -> FloatArray:
    """Fill transparent pixels with the colors of the visible pixels around them.

    The colors stored there are arbitrary, often black, and a network would see an edge at their border.
    Visible colors are averaged down to a single pixel, and each size fills the holes of the next larger one.

    Args:
        pixels: Colors [H, W, 3].
        alpha: Straight alpha [H, W].

    Returns:
        Pixels [H, W, 3]. Visible ones keep their colors; gray if no pixel is visible.
    """
    sizes = [premultiply(np.dstack([pixels, alpha]))]
    while max(sizes[-1].shape[:2]) > 1:
        sizes.append(halve(sizes[-1]))
    if not sizes[-1][..., 3].any():
        return np.full_like(pixels, 0.5)
    colors = unpremultiply(sizes.pop())[..., :3]
    for size in reversed(sizes):
        height, width = colors.shape[:2]
        doubled = bilinear_window(colors, 2 * height, 2 * width, (0, 0, *size.shape[:2]))
        colors = size[..., :3] + doubled * (np.float32(1.0) - size[..., 3:])
    return np.where(alpha[..., None] > 0, pixels, colors)
