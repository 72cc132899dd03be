"""What lies between two convolutions, in one kernel each way: rectifier, pooling, padding by replication.

Features are channels-last, so that a cell's channels are contiguous. The functions ending in `_by_torch` do the
same by torch's operations: tests compare the two.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from tilestyle.config.enums import Pooling
from tilestyle.kernels.support import LAUNCH_OPTIONS

# Cells times channels of one program of a kernel, and the most channels of it.
BLOCK = 2048
MAX_CHANNEL_BLOCK = 32
CONVOLVED = 64  # pixels of one program of a convolution
# Cells and channels of one program that multiplies matrices.
PRODUCT_CELLS, PRODUCT_CHANNELS, MIN_PRODUCT = 64, 64, 16
MAX_AFFINE_CHANNELS = 128


@dataclass(frozen=True)
class Step:
    """What happens between two convolutions.

    Attributes:
        pooling: How 2 x 2 cells are pooled; None: they are not.
        scale: Factor on pooled cells.
        padding: Cells that are replicated on every side.
    """

    pooling: Pooling | None = None
    scale: float = 1.0
    padding: int = 0


def pool_and_pad(features: Tensor, step: Step) -> Tensor:
    """Return features pooled, then padded by replication.

    Args:
        features: [B, C, h, w], channels-last.
        step: What to do.

    Returns:
        [B, C, H, W], channels-last.
    """
    from tilestyle.kernels import triton_cells

    count, own, height, width = features.shape
    shrink = 1 if step.pooling is None else 2
    size = height // shrink + 2 * step.padding, width // shrink + 2 * step.padding
    out = _channels_last(features, (count, own, *size))
    block, grid = _launch(out.shape)
    triton_cells.pool_and_pad_kernel[grid](
        features,
        out,
        *features.shape[1:],
        *size,
        step.scale / 4 if step.pooling is Pooling.AVERAGE else step.scale,
        UNIT=_unit(own),
        POOL=_pool_code(step.pooling),
        PAD=step.padding,
        BLOCK_CELLS=BLOCK // block,
        BLOCK_CHANNELS=block,
        **LAUNCH_OPTIONS,
    )
    return out


def fold_gradient(  # noqa: PLR0913
    gradient: Tensor,
    *,
    padding: int = 0,
    features: Tensor | None = None,
    step: Step | None = None,
    cotangent: Tensor | None = None,
    affine: tuple[Tensor, Tensor] | None = None,
    channels: int | None = None,
) -> Tensor:
    """Return the gradient before padding, pooling and rectifier, given that after them.

    Args:
        gradient: Gradient in padded, pooled features, [B, C, h + 2 padding, w + 2 padding], channels-last.
        padding: Cells that had been replicated on every side, 0 or 1.
        features: The rectified features before pooling, [B, C, H, W], channels-last; None: there was neither
            rectifier nor pooling.
        step: The pooling.
        cotangent: A further gradient in the rectified features, [B, C, H, W].
        affine: W [C, C], symmetric, and b [C] of another one, W F + b at every cell of the features. Without
            pooling only, and for features that `takes_affine`.
        channels: Channels of the result, the first ones of `gradient`; None: all.

    Returns:
        Gradient in the features before the rectifier, [B, C, H, W]; without features, in those before padding.
    """
    from tilestyle.kernels import triton_cells

    step = step or Step()
    count, own, height, width = gradient.shape
    inner = height - 2 * padding, width - 2 * padding
    size = inner if features is None else tuple(features.shape[2:])
    out = _channels_last(gradient, (count, channels or own, *size))
    if cotangent is not None:
        cotangent = cotangent.contiguous(memory_format=torch.channels_last)
    tensors = (
        gradient,
        gradient if features is None else features,
        gradient if cotangent is None else cotangent,
        out,
    )
    shared = {"UNIT": _unit(own), "PAD": padding, "ADDED": cotangent is not None}
    if step.pooling is None:
        if affine is None:
            block, grid = _launch(out.shape)
        else:
            block = min(PRODUCT_CHANNELS, max(MIN_PRODUCT, 1 << (own - 1).bit_length()))
            grid = count * out.shape[2], -(-out.shape[3] // PRODUCT_CELLS), -(-own // block)
        triton_cells.fold_gradient_kernel[grid](
            *tensors,
            *(affine or (gradient, gradient)),
            own,
            *inner,
            *out.shape[1:],
            OUT_UNIT=_unit(out.shape[1]),
            RECTIFIED=features is not None,
            AFFINE=affine is not None,
            BLOCK_CELLS=BLOCK // block if affine is None else PRODUCT_CELLS,
            BLOCK_CHANNELS=block,
            **shared,
            **LAUNCH_OPTIONS,
        )
        return out
    assert affine is None, "pooled features have no kernel for affine gradients"
    halves = count, own, -(-size[0] // 2), -(-size[1] // 2)
    block, grid = _launch(halves, BLOCK // 2)  # a program has four cells to store for each
    triton_cells.unpool_gradient_kernel[grid](
        *tensors,
        *inner,
        *out.shape[1:],
        halves[2],
        step.scale / 4 if step.pooling is Pooling.AVERAGE else step.scale,
        POOL=_pool_code(step.pooling),
        BLOCK_CELLS=BLOCK // 2 // block,
        BLOCK_CHANNELS=block,
        **shared,
        **LAUNCH_OPTIONS,
    )
    return out


def takes_affine(features: Tensor) -> bool:
    """Return whether `fold_gradient` takes affine gradients in these features: few channels, of 16 bits.

    More are faster as a product of their own. With 64, 128 and 256 channels of VGG's sizes one kernel takes
    194, 150 and 134 microseconds on an H200, two take 238, 177 and 77.
    """
    return features.dtype in (torch.bfloat16, torch.float16) and features.shape[1] <= MAX_AFFINE_CHANNELS


def convolve_pixels(pixels: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
    """Convolve pixels padded by replication, and rectify: max(0, weight * pixels + bias).

    Products on tensor cores need more channels than pictures have: cuDNN takes ten times as long here.

    Args:
        pixels: [B, 3, H, W], with any strides.
        weight: `filter_rows` of [K, 3, 3, 3]: [32, K].
        bias: [K].

    Returns:
        [B, K, H, W], channels-last.
    """
    from tilestyle.kernels import triton_cells

    count, _, height, width = pixels.shape
    out = _channels_last(pixels, (count, len(bias), height, width))
    block = 64 if len(bias) % 64 == 0 else 32
    grid = count * height, -(-width // CONVOLVED), -(-len(bias) // block)
    triton_cells.first_convolution_kernel[grid](
        pixels,
        weight,
        bias,
        out,
        *pixels.stride(),
        height,
        width,
        len(bias),
        OUT_UNIT=_unit(len(bias)),
        BLOCK_CELLS=CONVOLVED,
        BLOCK_CHANNELS=block,
        **LAUNCH_OPTIONS,
    )
    return out


def filter_rows(weight: Tensor) -> Tensor:
    """Return filters [K, 3, 3, 3] as `convolve_pixels` takes them: [32, K], neighbor after neighbor."""
    rows = weight.permute(2, 3, 1, 0).reshape(27, len(weight))
    return F.pad(rows, [0, 0, 0, 32 - 27]).contiguous()


def convolve_pixels_by_torch(pixels: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
    """Do the same as `convolve_pixels`."""
    filters = weight[:27].view(3, 3, 3, -1).permute(3, 2, 0, 1)
    return F.relu(F.conv2d(F.pad(pixels, [1] * 4, mode="replicate"), filters, bias))


def rectify_gradient(gradient: Tensor, features: Tensor, cotangent: Tensor | None = None) -> Tensor:
    """Return (gradient + cotangent) where features are positive, elsewhere 0: all [B, C, H, W]."""
    return fold_gradient(gradient, features=features, cotangent=cotangent)


def pool_and_pad_by_torch(features: Tensor, step: Step) -> Tensor:
    """Do the same as `pool_and_pad`."""
    if step.pooling is not None:
        pool: Any = F.max_pool2d if step.pooling is Pooling.MAX else F.avg_pool2d
        features = pool(features, 2) * step.scale
    if step.padding:
        features = F.pad(features, [step.padding] * 4, mode="replicate")
    return features


def fold_gradient_by_torch(  # noqa: PLR0913
    gradient: Tensor,
    *,
    padding: int = 0,
    features: Tensor | None = None,
    step: Step | None = None,
    cotangent: Tensor | None = None,
    affine: tuple[Tensor, Tensor] | None = None,
    channels: int | None = None,
) -> Tensor:
    """Do the same as `fold_gradient`, by torch's gradients."""
    count, own, height, width = gradient.shape
    size = (height - 2 * padding, width - 2 * padding) if features is None else features.shape[2:]
    values = torch.zeros(count, own, *size, dtype=torch.float64, device=gradient.device)
    values = (values if features is None else features.double()).requires_grad_()
    with torch.enable_grad():
        padded = pool_and_pad_by_torch(
            values, Step(step.pooling if step else None, step.scale if step else 1.0, padding)
        )
        # Not with `grad_outputs`, which torch checks by means of sympy: its import takes two seconds.
        (gradients,) = torch.autograd.grad((padded * gradient.double()).sum(), values)
    if cotangent is not None:
        gradients = gradients + cotangent.double()
    if affine is not None and features is not None:
        matrix, offset = (part.double() for part in affine)
        gradients = gradients + torch.einsum("bchw,cd->bdhw", features.double(), matrix) + offset[:, None, None]
    if features is not None:
        gradients = gradients * (features > 0)
    return gradients[:, : channels or own].to(gradient.dtype).contiguous(memory_format=torch.channels_last)


def _channels_last(like: Tensor, shape: tuple[int, ...]) -> Tensor:
    return torch.empty(shape, dtype=like.dtype, device=like.device, memory_format=torch.channels_last)


def _launch(shape: Sequence[int], values: int = BLOCK) -> tuple[int, tuple[int, int, int]]:
    """Return the channels of one program of so many values, and the grid: rows, cells of a row, channels."""
    count, channels, height, width = shape
    block = min(MAX_CHANNEL_BLOCK, 1 << (channels - 1).bit_length())
    return block, (count * height, -(-width // (values // block)), -(-channels // block))


def _unit(channels: int) -> int:
    """Return the number of channels that can be loaded at once, of which `channels` is a multiple."""
    return 8 if channels % 8 == 0 else 1


def _pool_code(pooling: Pooling | None) -> int:
    """Return the pooling as a number: 0 none, 1 the maximum, 2 the mean."""
    return 0 if pooling is None else 1 if pooling is Pooling.MAX else 2
