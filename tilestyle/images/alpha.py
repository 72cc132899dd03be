"""Transparency: colours that are averaged by how much of them is seen."""

from __future__ import annotations

import numpy as np

from tilestyle.images.bilinear import enlarged
from tilestyle.images.picture import FloatArray

_SEEN = np.float32(1e-6)
"""Below this cover a colour is not recoverable from its product with the cover."""


def premultiplied(values: FloatArray) -> FloatArray:
    """Colours times cover: straight [H, W, 4] -> premultiplied [H, W, 4]; [H, W, 3] as it is.

    Averages of these have no fringe: a colour counts as much as it is seen.
    """
    if values.shape[2] == 3:
        return values
    return np.concatenate([values[..., :3] * values[..., 3:], values[..., 3:]], axis=2)


def straight(values: FloatArray) -> FloatArray:
    """The inverse of ``premultiplied``; black where nothing is seen."""
    if values.shape[2] == 3:
        return values
    colours = np.zeros_like(values[..., :3])
    np.divide(values[..., :3], values[..., 3:], out=colours, where=values[..., 3:] > _SEEN)
    return np.concatenate([np.minimum(colours, np.float32(1.0)), values[..., 3:]], axis=2)


def halved(values: FloatArray) -> FloatArray:
    """Means of 2 x 2 pixels: [h, w, C] -> [ceil(h / 2), ceil(w / 2), C], premultiplied or opaque.

    An odd last row or column counts twice.
    """
    odd_rows, odd_columns = values.shape[0] % 2, values.shape[1] % 2
    if odd_rows or odd_columns:
        values = np.pad(values, ((0, odd_rows), (0, odd_columns), (0, 0)), mode="edge")
    return (values[::2, ::2] + values[1::2, ::2] + values[::2, 1::2] + values[1::2, 1::2]) * np.float32(0.25)


def composited(over: FloatArray, under: FloatArray, cover: FloatArray) -> FloatArray:
    """``over`` [H, W, C] where ``cover`` [H, W] is 1, ``under`` where it is 0, their mix between.

    Exactly ``under`` at 0 and ``over`` at 1, as a picture that is to stay as it was asks for.
    """
    share = cover[..., None]
    mixed = over * share + under * (np.float32(1.0) - share)
    return np.where(share <= 0, under, np.where(share >= 1, over, mixed))


def filled_pixels(pixels: FloatArray, alpha: FloatArray) -> FloatArray:
    """Give what is hidden the colours of what is seen around it: [H, W, 3], [H, W] -> [H, W, 3].

    What lies under transparent pixels is arbitrary, often black, and a network would take its edge for
    one of the picture. Visible colours are averaged down to a single pixel, and each size fills the holes
    of the next larger one. Seen pixels keep their colours; grey when nothing is seen at all.
    """
    sizes = [premultiplied(np.dstack([pixels, alpha]))]
    while max(sizes[-1].shape[:2]) > 1:
        sizes.append(halved(sizes[-1]))
    if not sizes[-1][..., 3].any():
        return np.full_like(pixels, 0.5)
    colours = straight(sizes.pop())[..., :3]
    for size in reversed(sizes):
        height, width = colours.shape[:2]
        doubled = enlarged(colours, 2 * height, 2 * width, (0, 0, *size.shape[:2]))
        colours = size[..., :3] + doubled * (np.float32(1.0) - size[..., 3:])
    return np.where(alpha[..., None] > 0, pixels, colours)
