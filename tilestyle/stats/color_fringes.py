"""Coloured fringes: chroma that changes from pixel to pixel more than it does in a style.

Networks hardly see them, so nothing takes them out; at 400 % they show as a weave of coloured specks.
"""

from __future__ import annotations

import torch
from torch import Tensor


def fringes(pixels: Tensor, usual: float) -> Tensor:
    """Mean over pixels and channels of how far second differences of chroma exceed `usual`, squared.

    Args:
        pixels: [3, h, w].
        usual: Size of second differences that is no fringe, of the full range of brightness.
    """
    excess = [(found.abs() - usual).clamp(min=0).square().sum() for found in _second(_chroma(pixels))]
    return torch.stack(excess).sum() / pixels.numel()


def fringes_gradient(pixels: Tensor, usual: float) -> Tensor:
    """Gradient of `fringes`, times the number of pixels: [3, h, w]."""
    gradient = torch.zeros_like(pixels)
    for dim, found in zip((1, 2), _second(_chroma(pixels)), strict=True):
        pull = found.sign() * (found.abs() - usual).clamp(min=0)
        count = found.shape[dim]
        for start, factor in ((0, 1), (1, -2), (2, 1)) if count else ():
            gradient.narrow(dim, start, count).add_(pull, alpha=factor)
    return _chroma(gradient) * (2 / pixels.shape[0])


def roughness(pixels: Tensor) -> tuple[float, int]:
    """Sum of the squared second differences of chroma of [3, h, w], and how many there are."""
    found = _second(_chroma(pixels))
    return sum(float(each.square().sum()) for each in found), sum(each.numel() for each in found)


def _chroma(pixels: Tensor) -> Tensor:
    """What is left of colours without their grey."""
    return pixels - pixels.mean(0, keepdim=True)


def _second(pixels: Tensor) -> list[Tensor]:
    """Second differences downwards and across: of waves, those of a few pixels count, all others hardly."""
    return [pixels.diff(n=2, dim=dim) if pixels.shape[dim] > 2 else pixels.narrow(dim, 0, 0) for dim in (1, 2)]
