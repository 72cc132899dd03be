"""Adam (Kingma and Ba 2015, algorithm 1) on a window of the canvas."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass(frozen=True)
class Adam:
    """Decay rates; the state lives in the canvas.

    beta2 is 0.99 rather than the customary 0.999: a level lasts a hundred steps or so, and the second moment
    has to forget the coarser level within it.
    """

    beta1: float = 0.9
    beta2: float = 0.99
    epsilon: float = 1e-8

    def update(
        self, window: Mapping[str, Tensor], gradient: Tensor, rate: float, seen: Tensor | None = None
    ) -> None:
        """One step, in place, of all pixels of a window of the canvas, then back into [0, 1].

        `window` are the views `pixels`, `first`, `second` [3, h, w] and `steps` [1, h, w] of Canvas.views;
        `gradient` [3, h, w]; `rate` in units of the full range of brightness; `seen` [1, h, w], 0 to 1, is the
        share of a step that each pixel takes: where it is 0 it is left as it is, state and all. Every pixel's
        bias is corrected by its own count of steps.
        """
        pixels, first, second, steps = (window[name] for name in ("pixels", "first", "second", "steps"))
        if seen is None:
            steps.add_(1)
            first.lerp_(gradient, 1 - self.beta1)
            second.mul_(self.beta2).addcmul_(gradient, gradient, value=1 - self.beta2)
        else:
            steps.add_(seen)
            first.lerp_(gradient, seen * (1 - self.beta1))
            second.lerp_(gradient.square(), seen * (1 - self.beta2))
        # max(1): a pixel never seen has no step to correct, and none to take.
        taken = steps.clamp(min=1)
        root = (second / (1 - torch.pow(self.beta2, taken))).sqrt_().add_(self.epsilon)
        step = (first / (1 - torch.pow(self.beta1, taken))).div_(root)
        if seen is not None:
            step.mul_(seen)
        pixels.add_(step, alpha=-rate).clamp_(0, 1)
