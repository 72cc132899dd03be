"""Colours of one picture given to another: an affine map takes mean and covariance to those wanted.

Gatys et al. 2016 (arXiv 1606.05897, section 3) match style to content so before a transfer. Of the maps that
do it, this is the optimal transport of Gaussians, which moves colours least. (The one made of Cholesky factors
alone depends on the order of the channels, and lost the blue threads of a weave; K*^1/2 K^-1/2 turned yellows
orange.)

Transfer in luminance alone: pictures shown in grey, and the grey result given the content's chroma.

Gatys et al. 2016 (arXiv 1606.05897, section 4). Luminance is Y of YIQ (BT.601) on sRGB-encoded values, as
theirs: linear in the numbers that canvases hold, so it can be taken before or after resampling, and a change
of Y at the same I and Q is the same step of all three channels. So the result keeps the content's chroma to
rounding. (In linear light, or Lab, equal steps would not keep the numbers of a file.)

Pictures as a colour mode shows them to the renderer.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import torch
from torch import Tensor

from tilestyle.canvas.canvas import fitted
from tilestyle.canvas.storage import Store, touched
from tilestyle.config.enums import Color
from tilestyle.geometry.boxes import Box
from tilestyle.stats.gaussian_transport import factor, ridged, transport

PIXELS = 2**20  # gone through at once
# Ridge on both covariances: a grey picture has no variance in two of three directions, and noise there is not
# to be stretched into colours.
RIDGE = 1e-5


@dataclass(frozen=True)
class Palette:
    """Mean [3] and covariance [3, 3] of the sRGB-encoded colours of a picture, float64."""

    mean: Tensor
    covariance: Tensor


def palette_of(picture: Tensor, alpha: Tensor | None = None) -> Palette:
    """The palette of a [3, h, w] picture; by `alpha` [1, h, w], what is transparent counts as it shows."""
    count = torch.zeros((), dtype=torch.float64)
    total = torch.zeros(3, dtype=torch.float64)
    products = torch.zeros(3, 3, dtype=torch.float64)
    for rows in row_slices(picture):
        strip = picture[:, rows].flatten(1).double()
        weight = torch.ones_like(strip[:1]) if alpha is None else alpha[:, rows].flatten(1).double()
        count += weight.sum()
        total += (strip * weight).sum(1)
        products += (strip * weight) @ strip.mT
        touched(picture[:, rows])
    mean = total / count.clamp(min=1e-12)
    return Palette(mean, products / count.clamp(min=1e-12) - torch.outer(mean, mean))


def matched(picture: Tensor, palette: Palette, store: Store) -> Tensor:
    """A [3, h, w] picture in the colours of a palette, a new plane in [0, 1].

    What leaves the gamut is clipped: colours far from the mean, few.
    """
    own = palette_of(picture)
    matrix, _ = transport(ridged(own.covariance, RIDGE), factor(ridged(palette.covariance, RIDGE)), RIDGE)
    offset = palette.mean - matrix @ own.mean
    plane = store.empty(*picture.shape)
    for rows in row_slices(picture):
        strip = picture[:, rows]
        moved = matrix.float() @ strip.flatten(1) + offset.float()[:, None]
        plane[:, rows] = moved.clamp_(0, 1).reshape(strip.shape)
        touched(strip, plane[:, rows])
    return plane


def row_slices(plane: Tensor) -> Iterator[slice]:
    """Rows of a plane [C, h, w], so many at a time that their pixels are few."""
    height, width = plane.shape[1:]
    count = max(1, PIXELS // width)
    for top in range(0, height, count):
        yield slice(top, min(top + count, height))


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


NOT_STYLE = ("content", "init")


def recoloured(
    mode: Color, pictures: Mapping[str, Tensor], palette: Palette, store: Store
) -> dict[str, Tensor]:
    """Pictures [3, h, w] by role; a style takes its colours from `palette`, that of the whole content."""
    found = dict(pictures)
    for role, picture in pictures.items():
        style = role not in NOT_STYLE
        if mode is Color.LUMINANCE:
            found[role] = grey(picture, store, palette if style else None)
        elif mode is Color.CONTENT and style:
            found[role] = matched(picture, palette, store)
    return found
