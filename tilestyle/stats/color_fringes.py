"""Color fringes: chroma that changes from pixel to pixel more than it does in a style.

Networks hardly see them, so the other losses do not remove them. At 400 % they show as a weave of colored
specks.
"""

from __future__ import annotations

import torch
from torch import Tensor


def fringe_loss(pixels: Tensor, style_roughness: float) -> Tensor:
    """Return the mean over pixels and channels of how far second differences of chroma exceed a size, squared.

    Args:
        pixels: [3, h, w].
        style_roughness: Size of second differences that is not a fringe, as a share of the range of brightness.
    """
    excess = [
        (difference.abs() - style_roughness).clamp(min=0).square().sum()
        for difference in _second_differences(_chroma(pixels))
    ]
    return torch.stack(excess).sum() / pixels.numel()


def fringe_loss_gradient(pixels: Tensor, style_roughness: float) -> Tensor:
    """Return the gradient [3, h, w] of `fringe_loss`, times the number of pixels."""
    gradient = torch.zeros_like(pixels)
    for dim, difference in zip((1, 2), _second_differences(_chroma(pixels)), strict=True):
        excess = difference.sign() * (difference.abs() - style_roughness).clamp(min=0)
        count = difference.shape[dim]
        for start, factor in ((0, 1), (1, -2), (2, 1)) if count else ():
            gradient.narrow(dim, start, count).add_(excess, alpha=factor)
    return _chroma(gradient) * (2 / pixels.shape[0])


def roughness_sum(pixels: Tensor) -> tuple[float, int]:
    """Return the sum of the squared second differences of chroma of [3, h, w], and their number."""
    differences = _second_differences(_chroma(pixels))
    return sum(float(difference.square().sum()) for difference in differences), sum(
        difference.numel() for difference in differences
    )


def _chroma(pixels: Tensor) -> Tensor:
    """Return colors less their gray."""
    return pixels - pixels.mean(0, keepdim=True)


def _second_differences(pixels: Tensor) -> list[Tensor]:
    """Return second differences; they respond to waves of a few pixels and hardly to others."""
    return [pixels.diff(n=2, dim=dim) if pixels.shape[dim] > 2 else pixels.narrow(dim, 0, 0) for dim in (1, 2)]
