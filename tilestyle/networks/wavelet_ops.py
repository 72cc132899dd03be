"""Operations of the wavelet network with their own gradients: fewer passes over memory than autograd's.

Between its convolutions the network moves many channels and computes little, so the cost is how often each
value is read and written. All operations take and return [B, C, h, w] and are differentiable once.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable


def modulus(pair: Tensor, smallest: float) -> Tensor:
    """Return sqrt(even^2 + odd^2 + smallest^2) of channels that hold even responses, then odd ones."""
    response: Tensor = _Modulus.apply(pair, smallest)
    return response


def concat_with_abs(plain: Sequence[Tensor], with_abs: Sequence[Tensor], rest: Sequence[Tensor] = ()) -> Tensor:
    """Concatenate the channels of `plain`, `with_abs`, the absolute values of `with_abs`, and `rest`."""
    response: Tensor = _ConcatWithAbs.apply(len(plain), len(with_abs), *plain, *with_abs, *rest)
    return response


def relu_projections(picture: Tensor, axes: Tensor, offsets: Tensor) -> Tensor:
    """Return relu(axes @ pixel + offsets) at every pixel.

    Args:
        picture: [B, C, h, w].
        axes: [K, C].
        offsets: [K].

    Returns:
        [B, K, h, w].
    """
    response: Tensor = _ReluProjections.apply(picture, axes, offsets)
    return response


class _Modulus(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, pair: Tensor, smallest: float) -> Tensor:
        even, odd = pair.chunk(2, 1)
        response = (even * even).addcmul_(odd, odd).add_(smallest**2).sqrt_()
        ctx.save_for_backward(pair, response)
        return response

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, *gradients: Tensor) -> Any:
        pair, response = ctx.saved_tensors
        share = gradients[0] / response
        gradient = torch.empty_like(pair)
        for part, values in zip(gradient.chunk(2, 1), pair.chunk(2, 1), strict=True):
            torch.mul(values, share, out=part)
        return gradient, None


class _ConcatWithAbs(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, plain: int, both: int, *parts: Tensor) -> Tensor:
        ctx.plain, ctx.both, ctx.sizes = plain, both, [part.shape[1] for part in parts]
        doubled = parts[plain : plain + both]
        ctx.save_for_backward(*doubled)
        height, width = parts[0].shape[2:]
        channels = sum(ctx.sizes) + sum(part.shape[1] for part in doubled)
        response = torch.empty(
            (parts[0].shape[0], channels, height, width),
            dtype=parts[0].dtype,
            device=parts[0].device,
            memory_format=torch.channels_last,
        )
        order = [*parts[: plain + both], *doubled, *parts[plain + both :]]
        targets = torch.split(response, [part.shape[1] for part in order], 1)
        for index, (target, part) in enumerate(zip(targets, order, strict=True)):
            if plain + both <= index < plain + 2 * both:
                torch.abs(part, out=target)
            else:
                target.copy_(part)
        return response

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, *gradients: Tensor) -> Any:
        doubled: Sequence[Tensor] = ctx.saved_tensors
        first, last = ctx.plain, ctx.plain + ctx.both
        sizes = [*ctx.sizes[:last], *ctx.sizes[first:last], *ctx.sizes[last:]]
        pieces = list(torch.split(gradients[0], sizes, 1))
        for index, values in enumerate(doubled):
            pieces[first + index] = torch.addcmul(pieces[first + index], pieces[last + index], values.sgn())
        return None, None, *pieces[:last], *pieces[last + ctx.both :]


class _ReluProjections(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, picture: Tensor, axes: Tensor, offsets: Tensor) -> Tensor:
        response = torch.nn.functional.conv2d(picture, axes[:, :, None, None], offsets).relu_()
        ctx.save_for_backward(response, axes)
        return response

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, *gradients: Tensor) -> Any:
        response, axes = ctx.saved_tensors
        passed_gradient = (gradients[0] * (response > 0)).permute(0, 2, 3, 1)  # [B, h, w, K]
        return (passed_gradient @ axes).permute(0, 3, 1, 2), None, None  # [B, C, h, w]
