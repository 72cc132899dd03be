"""Padding by replication: zeros would be an edge that is not in the picture.

torch pads in one kernel. On CUDA that kernel needs channels in separate planes, while convolutions want them
contiguous per pixel, and its gradient is summed in a random order, so that it is not reproducible. On CUDA
padding is therefore done by copies.
"""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.autograd.function import once_differentiable

# Devices on which padding is done by copies.
COPYING_DEVICE_TYPES = {"cuda"}


def replicate_pad(picture: Tensor, pixels: int) -> Tensor:
    """Return pictures [B, C, h, w] with this many pixels more on every side."""
    if picture.device.type not in COPYING_DEVICE_TYPES:
        return F.pad(picture, [pixels] * 4, mode="replicate")
    padded: Tensor = _ReplicatePad.apply(picture, pixels)
    return padded


def replicate_pad_conv(picture: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
    """Apply a 3 x 3 convolution to pictures padded by one pixel, keeping their size.

    Weights and bias get no gradient. So the padded picture need not be kept, as torch's own convolution would
    keep it in addition to the picture.

    Args:
        picture: [B, C, h, w].
        weight: [K, C, 3, 3].
        bias: [K].

    Returns:
        [B, K, h, w].
    """
    response: Tensor = _ReplicatePadConv.apply(picture, weight, bias)
    return response


def pixel_unshuffle(picture: Tensor) -> Tensor:
    """Turn 2 x 2 pixels into channels, [B, 4 C, h / 2, w / 2], in channels-last memory."""
    if picture.device.type not in COPYING_DEVICE_TYPES:
        return F.pixel_unshuffle(picture, 2).contiguous(memory_format=torch.channels_last)
    count, channels, height, width = picture.shape
    blocks = picture.view(count, channels, height // 2, 2, width // 2, 2)  # [B, C, h / 2, 2, w / 2, 2]
    # One copy: [B, h / 2, w / 2, 4 C].
    cells = blocks.permute(0, 2, 4, 1, 3, 5).reshape(count, height // 2, width // 2, 4 * channels)
    return cells.permute(0, 3, 1, 2)  # [B, 4 C, h / 2, w / 2]


class _ReplicatePad(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, picture: Tensor, reach: int) -> Tensor:
        ctx.reach = reach
        count, channels, height, width = picture.shape
        padded = torch.empty(
            (count, channels, height + 2 * reach, width + 2 * reach),
            dtype=picture.dtype,
            device=picture.device,
            memory_format=torch.channels_last,
        )
        rows, columns = slice(reach, reach + height), slice(reach, reach + width)
        padded[:, :, rows, columns].copy_(picture)
        padded[:, :, :reach, columns].copy_(picture[:, :, :1])
        padded[:, :, reach + height :, columns].copy_(picture[:, :, -1:])
        padded[:, :, :, :reach].copy_(padded[:, :, :, reach : reach + 1])
        padded[:, :, :, reach + width :].copy_(padded[:, :, :, reach + width - 1 : reach + width])
        return padded

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, *gradients: Tensor) -> Any:
        reach, gradient = ctx.reach, gradients[0]
        rows = gradient[:, :, reach:-reach].clone()
        rows[:, :, :1] += gradient[:, :, :reach].sum(2, keepdim=True)
        rows[:, :, -1:] += gradient[:, :, -reach:].sum(2, keepdim=True)
        inner = rows[:, :, :, reach:-reach]
        inner[:, :, :, :1] += rows[:, :, :, :reach].sum(3, keepdim=True)
        inner[:, :, :, -1:] += rows[:, :, :, -reach:].sum(3, keepdim=True)
        return inner, None


class _ReplicatePadConv(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, picture: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
        ctx.save_for_backward(weight)
        return F.conv2d(replicate_pad(picture, 1), weight, bias)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, *gradients: Tensor) -> Any:
        (weight,) = ctx.saved_tensors
        padded_gradient = F.conv_transpose2d(gradients[0], weight)  # its outermost pixels go to the edge
        padded_gradient[:, :, 1] += padded_gradient[:, :, 0]
        padded_gradient[:, :, -2] += padded_gradient[:, :, -1]
        padded_gradient[:, :, :, 1] += padded_gradient[:, :, :, 0]
        padded_gradient[:, :, :, -2] += padded_gradient[:, :, :, -1]
        return padded_gradient[:, :, 1:-1, 1:-1], None, None
