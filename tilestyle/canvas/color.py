"""Color modes: the colors of one picture applied to another, and transfer in luminance alone.

Matching colors: an affine map gives a picture's colors another mean and covariance. Gatys et al. 2016 (arXiv
1606.05897, section 3) match the style to the content in this way before a transfer. Of the maps that do it,
this is the optimal transport of Gaussians, which moves colors least. (The map of Cholesky factors alone depends
on the order of the channels, and lost the blue threads of a weave; K*^1/2 K^-1/2 turned yellows orange.)

Luminance alone: pictures are rendered in grayscale, and the result takes the content's chroma (Gatys et al.
2016, section 4). Luminance is Y of YIQ (BT.601) on sRGB-encoded values, as theirs. It is linear in the numbers
that canvases hold, so it can be taken before or after resampling, and a change of Y at the same I and Q is the
same step in all three channels. So the result keeps the content's chroma up to rounding. (In linear light, or
in Lab, equal steps would not preserve it in the encoded values.)
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import torch
from torch import Tensor

from tilestyle.canvas.mapped_pages import note_mapped_access
from tilestyle.canvas.resize import resize_to_plane
from tilestyle.canvas.storage import PlaneStore
from tilestyle.config.enums import Color
from tilestyle.geometry.boxes import Box
from tilestyle.stats.gaussian_transport import add_ridge, cholesky_or_root, gaussian_transport_map

STRIP_PIXELS = 2**20  # pixels that are processed at once
# Ridge on both covariances: a gray picture has no variance in two of three directions, and noise there must not
# be stretched into colors.
COLOR_RIDGE = 1e-5
# Standard deviation of a luminance that counts as flat, a quarter of an 8-bit step: less is rounding, not
# contrast.
MIN_DEVIATION = 1 / (4 * 255)
LUMA_WEIGHTS = (0.299, 0.587, 0.114)
NON_STYLE_ROLES = ("content", "init")


@dataclass(frozen=True)
class ColorMoments:
    """Mean [3] and covariance [3, 3] of the sRGB-encoded colors of a picture, float64."""

    mean: Tensor
    covariance: Tensor


def color_moments(picture: Tensor, alpha: Tensor | None = None) -> ColorMoments:
    """Return the moments of a picture's colors.

    Args:
        picture: [3, h, w].
        alpha: Weights of the pixels [1, h, w]; None: all 1.
    """
    count = torch.zeros((), dtype=torch.float64)
    total = torch.zeros(3, dtype=torch.float64)
    products = torch.zeros(3, 3, dtype=torch.float64)
    for rows in row_slices(picture):
        strip = picture[:, rows].flatten(1).double()
        weight = torch.ones_like(strip[:1]) if alpha is None else alpha[:, rows].flatten(1).double()
        count += weight.sum()
        total += (strip * weight).sum(1)
        products += (strip * weight) @ strip.mT
        note_mapped_access(picture[:, rows])
    mean = total / count.clamp(min=1e-12)
    return ColorMoments(mean, products / count.clamp(min=1e-12) - torch.outer(mean, mean))


def match_colors(picture: Tensor, target: ColorMoments, store: PlaneStore) -> Tensor:
    """Return a picture with its colors matched to the given moments, in a new plane.

    Values outside [0, 1] are clipped: these are few, far from the mean.

    Args:
        picture: [3, h, w].
        target: Mean and covariance of the result.
        store: Where the plane is allocated.
    """
    own = color_moments(picture)
    matrix, _ = gaussian_transport_map(
        add_ridge(own.covariance, COLOR_RIDGE),
        cholesky_or_root(add_ridge(target.covariance, COLOR_RIDGE)),
        COLOR_RIDGE,
    )
    offset = target.mean - matrix @ own.mean
    plane = store.empty(*picture.shape)
    for rows in row_slices(picture):
        strip = picture[:, rows]
        moved = matrix.float() @ strip.flatten(1) + offset.float()[:, None]
        plane[:, rows] = moved.clamp_(0, 1).reshape(strip.shape)
        note_mapped_access(strip, plane[:, rows])
    return plane


def row_slices(plane: Tensor) -> Iterator[slice]:
    """Yield slices over the rows of a plane [C, h, w], each of limited area."""
    height, width = plane.shape[1:]
    count = max(1, STRIP_PIXELS // width)
    for top in range(0, height, count):
        yield slice(top, min(top + count, height))


def to_grayscale(picture: Tensor, store: PlaneStore, target: ColorMoments | None = None) -> Tensor:
    """Return a picture's luminance as three equal channels [3, h, w], a view of one plane.

    Args:
        picture: [3, h, w].
        store: Where the plane is allocated.
        target: Color moments whose luminance the result has in mean and standard deviation, clipped to [0, 1];
            None: as it is.
    """
    plane = store.empty(1, *picture.shape[1:])
    factor, offset = 1.0, 0.0
    if target is not None:
        mean, deviation = _luminance_moments(target)
        own_mean, own_deviation = _luminance_moments(color_moments(picture))
        factor = deviation / max(own_deviation, MIN_DEVIATION)
        offset = mean - factor * own_mean
    for rows in row_slices(picture):
        strip = picture[:, rows]
        plane[:, rows] = _luminance(strip).mul_(factor).add_(offset).clamp_(0, 1)
        note_mapped_access(strip, plane[:, rows])
    return plane.expand(3, -1, -1)


def apply_chroma(pixels: Tensor, chroma_source: Tensor, store: PlaneStore) -> Tensor:
    """Return the luminance of pixels with the chroma of another picture, in a new plane on the host.

    Where the result would leave [0, 1], the luminance is limited to what the chroma allows.

    Args:
        pixels: [3, h, w].
        chroma_source: The other picture, [3, ...]; resampled to the size of the pixels.
        store: Where the plane is allocated.
    """
    _, height, width = pixels.shape
    plane = resize_to_plane(chroma_source, Box(0, 0, height, width), store)
    for rows in row_slices(plane):
        strip = plane[:, rows]
        change = _luminance(pixels[:, rows]) - _luminance(strip)
        lowest, highest = -strip.amin(0, keepdim=True), 1 - strip.amax(0, keepdim=True)
        strip += torch.minimum(torch.maximum(change, lowest), highest)
        strip.clamp_(0, 1)  # rounding
        note_mapped_access(strip, pixels[:, rows])
    return plane


def _luminance(strip: Tensor) -> Tensor:
    """Return the luminance [1, h, w] of pixels [3, h, w]."""
    weights = torch.tensor(LUMA_WEIGHTS, dtype=strip.dtype, device=strip.device)
    return (weights[:, None, None] * strip).sum(0, keepdim=True)


def _luminance_moments(target: ColorMoments) -> tuple[float, float]:
    """Return mean and standard deviation of the luminance of colors with these moments."""
    weights = torch.tensor(LUMA_WEIGHTS, dtype=torch.float64)
    variance = float(weights @ target.covariance @ weights)
    return float(weights @ target.mean), max(variance, 0.0) ** 0.5


def apply_color_mode(
    mode: Color, pictures: Mapping[str, Tensor], content_colors: ColorMoments, store: PlaneStore
) -> dict[str, Tensor]:
    """Return pictures as they are rendered in a color mode.

    Args:
        mode: The color mode.
        pictures: [3, h, w] each, by role.
        content_colors: Color moments of the whole content, which styles take on.
        store: Where new planes are allocated.
    """
    result = dict(pictures)
    for role, picture in pictures.items():
        is_style = role not in NON_STYLE_ROLES
        if mode is Color.LUMINANCE:
            result[role] = to_grayscale(picture, store, content_colors if is_style else None)
        elif mode is Color.CONTENT and is_style:
            result[role] = match_colors(picture, content_colors, store)
    return result
