"""Steps of the wavelet network with gradients of their own: fewer passes over memory than autograd's.

Between its convolutions the network moves many channels and computes little: what counts is how often each
value is read and written. All take and return [B, C, h, w] and are differentiable once.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable


def modulus(pair: Tensor, smallest: float) -> Tensor:
    """sqrt(even^2 + odd^2 + smallest^2) of channels that hold the even responses and then the odd ones."""
    found: Tensor = _Modulus.apply(pair, smallest)
    return found


def stacked(plain: Sequence[Tensor], both: Sequence[Tensor], rest: Sequence[Tensor] = ()) -> Tensor:
    """Channels of `plain`, then of `both`, then the absolute values of `both`, then of `rest`."""
    found: Tensor = _Stacked.apply(len(plain), len(both), *plain, *both, *rest)
    return found


def hinges(picture: Tensor, axes: Tensor, offsets: Tensor) -> Tensor:
    """relu(axes @ pixel + offsets) at every pixel; `axes` [K, C], `offsets` [K]."""
    found: Tensor = _Hinges.apply(picture, axes, offsets)
    return found


class _Modulus(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, pair: Tensor, smallest: float) -> Tensor:
        even, odd = pair.chunk(2, 1)
        found = (even * even).addcmul_(odd, odd).add_(smallest**2).sqrt_()
        ctx.save_for_backward(pair, found)
        return found

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, *gradients: Tensor) -> Any:
        pair, found = ctx.saved_tensors
        share = gradients[0] / found
        gradient = torch.empty_like(pair)
        for part, values in zip(gradient.chunk(2, 1), pair.chunk(2, 1), strict=True):
            torch.mul(values, share, out=part)
        return gradient, None


class _Stacked(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, plain: int, both: int, *parts: Tensor) -> Tensor:
        ctx.plain, ctx.both, ctx.sizes = plain, both, [part.shape[1] for part in parts]
        doubled = parts[plain : plain + both]
        ctx.save_for_backward(*doubled)
        height, width = parts[0].shape[2:]
        channels = sum(ctx.sizes) + sum(part.shape[1] for part in doubled)
        found = torch.empty(
            (parts[0].shape[0], channels, height, width),
            dtype=parts[0].dtype,
            device=parts[0].device,
            memory_format=torch.channels_last,
        )
        order = [*parts[: plain + both], *doubled, *parts[plain + both :]]
        places = torch.split(found, [part.shape[1] for part in order], 1)
        for index, (place, part) in enumerate(zip(places, order, strict=True)):
            if plain + both <= index < plain + 2 * both:
                torch.abs(part, out=place)
            else:
                place.copy_(part)
        return found

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


class _Hinges(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, picture: Tensor, axes: Tensor, offsets: Tensor) -> Tensor:
        found = torch.nn.functional.conv2d(picture, axes[:, :, None, None], offsets).relu_()
        ctx.save_for_backward(found, axes)
        return found

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, *gradients: Tensor) -> Any:
        found, axes = ctx.saved_tensors
        passed = (gradients[0] * (found > 0)).permute(0, 2, 3, 1)  # [B, h, w, K]
        return (passed @ axes).permute(0, 3, 1, 2), None, None
