"""Transfer in luminance alone: pictures shown in grey, and the grey result given the content's chroma.

Gatys et al. 2016 (arXiv 1606.05897, section 4). Luminance is Y of YIQ (BT.601) on sRGB-encoded values, as
theirs: linear in the numbers that canvases hold, so it can be taken before or after resampling, and a change
of Y at the same I and Q is the same step of all three channels. So the result keeps the content's chroma to
rounding. (In linear light, or Lab, equal steps would not keep the numbers of a file.)
"""

from __future__ import annotations

import torch
from torch import Tensor

from tilestyle.canvas import fitted
from tilestyle.geometry import Box
from tilestyle.palette import Palette, palette_of, row_slices
from tilestyle.planes import Store, touched

# Deviation of a luminance that counts as flat, a quarter of an 8-bit step: less is rounding, not contrast.
FLAT = 1 / (4 * 255)
WEIGHTS = (0.299, 0.587, 0.114)


def grey(picture: Tensor, store: Store, palette: Palette | None = None) -> Tensor:
    """The luminance of a [3, h, w] picture, the same in three channels: [3, h, w], a view of one plane.

    With a palette, its mean and deviation are that of the palette's luminance; what leaves [0, 1] is clipped.
    """
    plane = store.empty(1, *picture.shape[1:])
    factor, offset = 1.0, 0.0
    if palette is not None:
        (mean, deviation), (own, spread) = _distribution(palette), _distribution(palette_of(picture))
        factor = deviation / max(spread, FLAT)
        offset = mean - factor * own
    for rows in row_slices(picture):
        strip = picture[:, rows]
        plane[:, rows] = _luminance(strip).mul_(factor).add_(offset).clamp_(0, 1)
        touched(strip, plane[:, rows])
    return plane.expand(3, -1, -1)


def tinted(pixels: Tensor, colours: Tensor, store: Store) -> Tensor:
    """The luminance of [3, h, w] pixels with the chroma of a [3, ...] picture resampled under it: a new plane.

    All on the host, a few rows at a time.

    Where that leaves the gamut, the luminance is limited to what the chroma allows.
    """
    _, height, width = pixels.shape
    plane = fitted(colours, Box(0, 0, height, width), store)
    for rows in row_slices(plane):
        strip = plane[:, rows]
        change = _luminance(pixels[:, rows]) - _luminance(strip)
        lowest, highest = -strip.amin(0, keepdim=True), 1 - strip.amax(0, keepdim=True)
        strip += torch.minimum(torch.maximum(change, lowest), highest)
        strip.clamp_(0, 1)  # of rounding
        touched(strip, pixels[:, rows])
    return plane


def _luminance(strip: Tensor) -> Tensor:
    """[3, h, w] -> [1, h, w]."""
    weights = torch.tensor(WEIGHTS, dtype=strip.dtype, device=strip.device)
    return (weights[:, None, None] * strip).sum(0, keepdim=True)


def _distribution(palette: Palette) -> tuple[float, float]:
    """Mean and deviation of a palette's luminance."""
    weights = torch.tensor(WEIGHTS, dtype=torch.float64)
    variance = float(weights @ palette.covariance @ weights)
    return float(weights @ palette.mean), max(variance, 0.0) ** 0.5
