"""Adam (Kingma and Ba 2015, algorithm 1) on a window of the canvas."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor

from tilestyle.kernels.adam import AdamRates, adam_step, takes
from tilestyle.kernels.support import has_kernels


@dataclass(frozen=True)
class AdamBuffers:
    """Temporary tensors of a step, allocated before it begins, so that no step runs out of memory halfway."""

    step_count: Tensor  # [1, h, w]
    share: Tensor
    root: Tensor  # [3, h, w]
    step: Tensor

    @classmethod
    def allocate(cls, window: Mapping[str, Tensor]) -> AdamBuffers | None:
        """Allocate the buffers for a step of a window of the canvas; None where a kernel needs none."""
        if _in_one_kernel(window):
            return None
        single, triple = window["steps"], window["pixels"]
        return cls(*(torch.empty_like(plane) for plane in (single, single, triple, triple)))


@dataclass(frozen=True)
class Adam:
    """Adam's decay rates. The moments and step counts are planes of the canvas.

    beta2 is 0.99 instead of the usual 0.999: a level lasts about a hundred steps, and within them the second
    moment has to forget the coarser level.
    """

    beta1: float = 0.9
    beta2: float = 0.99
    epsilon: float = 1e-8

    def update(
        self,
        window: Mapping[str, Tensor],
        gradient: Tensor,
        learning_rate: float,
        step_share: Tensor | None = None,
        buffers: AdamBuffers | None = None,
    ) -> None:
        """Step all pixels of a window of the canvas in place, and clamp them to [0, 1].

        The bias of each pixel's moments is corrected by its own step count.

        Args:
            window: Views of the canvas: `pixels`, `first`, `second` [3, h, w] and `steps` [1, h, w].
            gradient: Gradient in the pixels, [3, h, w].
            learning_rate: Step size, in units of the full range of brightness.
            step_share: Fraction of a step that each pixel takes, [1, h, w] from 0 to 1. At 0 the pixel and its
                state stay unchanged. By default 1 everywhere.
            buffers: Temporary tensors; by default allocated here, before anything is changed.
        """
        if _in_one_kernel(window):
            rates = AdamRates(self.beta1, self.beta2, self.epsilon, learning_rate)
            adam_step(window, gradient, rates, step_share)
            return
        buffers = buffers or AdamBuffers.allocate(window)
        assert buffers is not None, "there is no kernel"
        pixels, first, second, steps = (window[name] for name in ("pixels", "first", "second", "steps"))
        if step_share is None:
            steps.add_(1)
            first.lerp_(gradient, 1 - self.beta1)
            second.mul_(self.beta2).addcmul_(gradient, gradient, value=1 - self.beta2)
        else:
            steps.add_(step_share)
            first.lerp_(gradient, torch.mul(step_share, 1 - self.beta1, out=buffers.share))
            square = torch.square(gradient, out=buffers.root)
            second.lerp_(square, torch.mul(step_share, 1 - self.beta2, out=buffers.share))
        # At least 1: a pixel that was never stepped has a count of 0, which would divide by zero.
        counts = torch.clamp(steps, min=1, out=buffers.step_count)
        root = torch.div(second, self._bias_correction(self.beta2, counts, buffers), out=buffers.root)
        root.sqrt_().add_(self.epsilon)
        step = torch.div(first, self._bias_correction(self.beta1, counts, buffers), out=buffers.step).div_(root)
        if step_share is not None:
            step.mul_(step_share)
        pixels.add_(step, alpha=-learning_rate).clamp_(0, 1)

    @staticmethod
    def _bias_correction(beta: float, step_count: Tensor, buffers: AdamBuffers) -> Tensor:
        """Return 1 - beta^step_count, by which a moment is divided, in a buffer."""
        return torch.pow(beta, step_count, out=buffers.share).neg_().add_(1)


def _in_one_kernel(window: Mapping[str, Tensor]) -> bool:
    """Return whether a window of the canvas is stepped in one kernel."""
    return has_kernels(window["pixels"].device) and takes(window)
