"""Adam (Kingma and Ba 2015, algorithm 1) on a window of the canvas."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass(frozen=True)
class Room:
    """All the memory that a step takes besides the canvas: with it at hand, no step fails half done."""

    taken: Tensor  # [1, h, w]
    share: Tensor
    root: Tensor  # [3, h, w]
    step: Tensor

    @classmethod
    def of(cls, window: Mapping[str, Tensor]) -> Room:
        """Room for a window of the canvas."""
        single, triple = window["steps"], window["pixels"]
        return cls(*(torch.empty_like(plane) for plane in (single, single, triple, triple)))


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
        self,
        window: Mapping[str, Tensor],
        gradient: Tensor,
        rate: float,
        seen: Tensor | None = None,
        room: Room | None = None,
    ) -> None:
        """One step, in place, of all pixels of a window of the canvas, then back into [0, 1].

        Every pixel's bias is corrected by its own count of steps.

        Args:
            window: The views `pixels`, `first`, `second` [3, h, w] and `steps` [1, h, w] of Canvas.views.
            gradient: [3, h, w].
            rate: In units of the full range of brightness.
            seen: [1, h, w], 0 to 1, the share of a step that each pixel takes: where it is 0 the pixel is left
                as it is, state and all.
            room: Memory to work in; by default it is taken here, before anything is changed.
        """
        room = room or Room.of(window)
        pixels, first, second, steps = (window[name] for name in ("pixels", "first", "second", "steps"))
        if seen is None:
            steps.add_(1)
            first.lerp_(gradient, 1 - self.beta1)
            second.mul_(self.beta2).addcmul_(gradient, gradient, value=1 - self.beta2)
        else:
            steps.add_(seen)
            first.lerp_(gradient, torch.mul(seen, 1 - self.beta1, out=room.share))
            square = torch.square(gradient, out=room.root)
            second.lerp_(square, torch.mul(seen, 1 - self.beta2, out=room.share))
        # max(1): a pixel never seen has no step to correct, and none to take.
        taken = torch.clamp(steps, min=1, out=room.taken)
        root = torch.div(second, self._unbiased(self.beta2, taken, room), out=room.root)
        root.sqrt_().add_(self.epsilon)
        step = torch.div(first, self._unbiased(self.beta1, taken, room), out=room.step).div_(root)
        if seen is not None:
            step.mul_(seen)
        pixels.add_(step, alpha=-rate).clamp_(0, 1)

    @staticmethod
    def _unbiased(beta: float, taken: Tensor, room: Room) -> Tensor:
        """What a moment is divided by after so many steps."""
        return torch.pow(beta, taken, out=room.share).neg_().add_(1)
