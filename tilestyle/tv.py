"""Total variation: how much neighbouring pixels differ."""

from __future__ import annotations

import torch
from torch import Tensor


def total_variation(pixels: Tensor) -> Tensor:
    """Mean squared difference of neighbours, down and across, of pixels [3, h, w].

    Squared, as in Mahendran and Vedaldi 2015 with beta = 2: its gradient is linear, and smooth where the
    picture is flat.
    """
    down = (pixels[:, 1:] - pixels[:, :-1]).square().sum()
    across = (pixels[:, :, 1:] - pixels[:, :, :-1]).square().sum()
    return (down + across) / pixels.numel()


def total_variation_gradient(pixels: Tensor) -> Tensor:
    """Gradient of `total_variation`, times the number of pixels: [3, h, w]."""
    gradient = torch.zeros_like(pixels)
    down = pixels[:, 1:] - pixels[:, :-1]
    gradient[:, 1:] += down
    gradient[:, :-1] -= down
    across = pixels[:, :, 1:] - pixels[:, :, :-1]
    gradient[:, :, 1:] += across
    gradient[:, :, :-1] -= across
    return gradient * (2 / pixels.shape[0])
