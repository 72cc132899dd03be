"""A step of Adam in one kernel, where torch takes a dozen."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor

from tilestyle.kernels.support import LAUNCH_OPTIONS

BLOCK = 512  # pixels of one program


@dataclass(frozen=True)
class AdamRates:
    """Decay rates, the number that is added to the root, and the step size."""

    beta1: float
    beta2: float
    epsilon: float
    learning_rate: float


def adam_step(
    window: Mapping[str, Tensor], gradient: Tensor, rates: AdamRates, step_share: Tensor | None
) -> None:
    """Step pixels in place, as optim/adam.py describes it.

    Args:
        window: `pixels`, `first`, `second` [3, h, w] or [3, n], and `steps` [1, h, w] or [1, n]; float32, with
            pixels of a row one after the other.
        gradient: Like the pixels, with any strides.
        rates: Decay rates and step size.
        step_share: Fraction of a step, like the steps; None: 1 everywhere.
    """
    from tilestyle.kernels import triton_adam

    planes = [_rows(window[name]) for name in ("pixels", "first", "second", "steps")]
    gradient, share = _rows(gradient), planes[-1] if step_share is None else _rows(step_share)
    if share.stride(2) != 1:
        share = share.contiguous()
    height, width = planes[0].shape[1:]
    strides = [stride for plane in planes[:3] for stride in plane.stride()[:2]]
    triton_adam.adam_kernel[height, -(-width // BLOCK)](
        *planes,
        gradient,
        share,
        width,
        *strides,
        planes[3].stride(1),
        *gradient.stride(),
        share.stride(1),
        rates.beta1,
        rates.beta2,
        rates.epsilon,
        rates.learning_rate,
        SHARED=step_share is not None,
        BLOCK=BLOCK,
        **LAUNCH_OPTIONS,
    )


def takes(window: Mapping[str, Tensor]) -> bool:
    """Return whether `adam_step` can step these planes."""
    return all(plane.dtype is torch.float32 and plane.stride(-1) == 1 for plane in window.values())


def _rows(plane: Tensor) -> Tensor:
    """Return [C, n] as [C, 1, n]."""
    return plane if plane.dim() == 3 else plane[:, None]
