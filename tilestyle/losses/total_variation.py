"""Total variation: how much neighboring pixels differ."""

from __future__ import annotations

import torch
from torch import Tensor

from tilestyle.config.enums import TvForm

# Least squared gradient under a root: at 0 the slope of the root is infinite.
EPSILON = 1e-10


def total_variation(pixels: Tensor, form: TvForm = TvForm.NEIGHBORS, exponent: float = 2.0) -> Tensor:
    """Return the mean over pixels and channels of the differences of neighbors to a power.

    With exponent 2 (Mahendran and Vedaldi 2015, beta = 2), the gradient is linear, and smooth where the picture
    is flat.

    Args:
        pixels: Pixels, [3, h, w].
        form: Which differences: of neighbors down and across; the norm of the gradient; or the nine-point
            stencil of the Laplacian.
        exponent: Power of the differences.
    """
    return total_variation_sum(pixels, form, exponent) / pixels.numel()


def total_variation_sum(pixels: Tensor, form: TvForm = TvForm.NEIGHBORS, exponent: float = 2.0) -> Tensor:
    """Return the sum that `total_variation` is the mean of."""
    down = pixels[:, 1:] - pixels[:, :-1]
    across = pixels[:, :, 1:] - pixels[:, :, :-1]
    if form is TvForm.GRADIENT:
        squared = down[:, :, :-1].square() + across[:, :-1].square()
        return (squared if exponent >= 2 else squared.clamp(min=EPSILON)).pow(exponent / 2).sum()
    if form is TvForm.NEIGHBORS:
        return _powers(down, exponent) + _powers(across, exponent)
    # The nine-point stencil of the Laplacian, which treats all directions nearly alike.
    falling = pixels[:, 1:, 1:] - pixels[:, :-1, :-1]
    rising = pixels[:, 1:, :-1] - pixels[:, :-1, 1:]
    straight = _powers(down, exponent) + _powers(across, exponent)
    return (4 * straight + _powers(falling, exponent) + _powers(rising, exponent)) / 6


def _powers(differences: Tensor, exponent: float) -> Tensor:
    return (differences.square() if exponent == 2 else differences.abs().pow(exponent)).sum()


def total_variation_gradient(pixels: Tensor, form: TvForm = TvForm.NEIGHBORS, exponent: float = 2.0) -> Tensor:
    """Return the gradient of `total_variation`, times the number of pixels, [3, h, w]."""
    if form is not TvForm.NEIGHBORS or exponent != 2:
        with torch.enable_grad():
            values = pixels.detach().requires_grad_()
            (slope,) = torch.autograd.grad(total_variation_sum(values, form, exponent), values)
        return slope / pixels.shape[0]
    gradient = torch.zeros_like(pixels)
    down = pixels[:, 1:] - pixels[:, :-1]
    gradient[:, 1:] += down
    gradient[:, :-1] -= down
    across = pixels[:, :, 1:] - pixels[:, :, :-1]
    gradient[:, :, 1:] += across
    gradient[:, :, :-1] -= across
    return gradient * (2 / pixels.shape[0])
