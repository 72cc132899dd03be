"""Pictures continued by their outermost pixels: zeros would be an edge that is not there.

torch does that in one kernel. On CUDA it takes and leaves channels apart, where convolutions want them side by
side, and its gradient is added up in any order: not twice the same. There it is done by copies.
"""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.autograd.function import once_differentiable

# Devices on which it is done by copies.
COPYING = {"cuda"}


def continued(picture: Tensor, reach: int) -> Tensor:
    """Pictures [B, C, h, w] with `reach` pixels more on every side."""
    if picture.device.type not in COPYING:
        return F.pad(picture, [reach] * 4, mode="replicate")
    found: Tensor = _Continued.apply(picture, reach)
    return found


def convolved(picture: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
    """A 3 x 3 convolution of the size of pictures [B, C, h, w], which are continued by one pixel.

    `weight` [K, C, 3, 3] and `bias` [K] have no gradient. So the continued picture need not be kept, as torch's
    own convolution would keep it beside the picture.
    """
    found: Tensor = _Convolved.apply(picture, weight, bias)
    return found


def unshuffled(picture: Tensor) -> Tensor:
    """2 x 2 pixels made channels, [B, 4 C, h / 2, w / 2], side by side in memory."""
    if picture.device.type not in COPYING:
        return F.pixel_unshuffle(picture, 2).contiguous(memory_format=torch.channels_last)
    count, channels, height, width = picture.shape
    blocks = picture.view(count, channels, height // 2, 2, width // 2, 2)
    cells = blocks.permute(0, 2, 4, 1, 3, 5).reshape(count, height // 2, width // 2, 4 * channels)  # one copy
    return cells.permute(0, 3, 1, 2)


class _Continued(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, picture: Tensor, reach: int) -> Tensor:
        ctx.reach = reach
        count, channels, height, width = picture.shape
        found = torch.empty(
            (count, channels, height + 2 * reach, width + 2 * reach),
            dtype=picture.dtype,
            device=picture.device,
            memory_format=torch.channels_last,
        )
        rows, columns = slice(reach, reach + height), slice(reach, reach + width)
        found[:, :, rows, columns].copy_(picture)
        found[:, :, :reach, columns].copy_(picture[:, :, :1])
        found[:, :, reach + height :, columns].copy_(picture[:, :, -1:])
        found[:, :, :, :reach].copy_(found[:, :, :, reach : reach + 1])
        found[:, :, :, reach + width :].copy_(found[:, :, :, reach + width - 1 : reach + width])
        return found

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, *gradients: Tensor) -> Any:
        reach, gradient = ctx.reach, gradients[0]
        rows = gradient[:, :, reach:-reach].clone()
        rows[:, :, :1] += gradient[:, :, :reach].sum(2, keepdim=True)
        rows[:, :, -1:] += gradient[:, :, -reach:].sum(2, keepdim=True)
        found = rows[:, :, :, reach:-reach]
        found[:, :, :, :1] += rows[:, :, :, :reach].sum(3, keepdim=True)
        found[:, :, :, -1:] += rows[:, :, :, -reach:].sum(3, keepdim=True)
        return found, None


class _Convolved(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, picture: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
        ctx.save_for_backward(weight)
        return F.conv2d(continued(picture, 1), weight, bias)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, *gradients: Tensor) -> Any:
        (weight,) = ctx.saved_tensors
        found = F.conv_transpose2d(gradients[0], weight)  # of the continued picture: its rim goes to the edge
        found[:, :, 1] += found[:, :, 0]
        found[:, :, -2] += found[:, :, -1]
        found[:, :, :, 1] += found[:, :, :, 0]
        found[:, :, :, -2] += found[:, :, :, -1]
        return found[:, :, 1:-1, 1:-1], None, None
