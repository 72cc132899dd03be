"""The passes of a network over patches of one size, kept as CUDA graphs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any, Protocol

import torch
from torch import Tensor

from tilestyle.devices.device_memory import empty_caches
from tilestyle.devices.graphs import CALLS_BEFORE, capture, graphs_enabled

# Passes of other sizes in a row after which one of these is captured instead.
REPLACED_AFTER = 2


class Passes(Protocol):
    """A network whose forward and backward passes can be captured (fused_vgg.py)."""

    def forward(
        self, pixels: Tensor, layers: Sequence[str], *, keep: bool
    ) -> tuple[dict[str, Tensor], list[Tensor]]:
        """Return the responses, and what the backward pass reads."""
        ...

    def backward(self, kept: list[Tensor], cotangents: Mapping[str, Tensor | None]) -> Tensor:
        """Return the gradient in the pixels."""
        ...


class CapturedPass:
    """A forward and a backward pass of pixels of one size, as two CUDA graphs.

    What they return lies where the next pass writes: responses are valid until the next forward pass.
    """

    def __init__(
        self,
        pixels: Tensor,
        responses: Sequence[Tensor],
        cotangents: Sequence[Tensor],
        graphs: tuple[torch.cuda.CUDAGraph, torch.cuda.CUDAGraph],
        gradient: Tensor,
    ) -> None:
        """Take the places of all that goes in and comes out, and the graphs."""
        self._pixels = pixels
        self._responses, self._cotangents = responses, cotangents
        self._forward, self._backward = graphs
        self._gradient = gradient
        self._kept: Sequence[Tensor] = ()  # what the backward pass reads

    @classmethod
    def capture(cls, network: Passes, pixels: Tensor, layers: Sequence[str]) -> CapturedPass | None:
        """Capture the passes of a network cut at its deepest layer; None if that is not possible."""
        # The memory of passes before this one, which a graph cannot use.
        empty_caches()
        static = torch.empty_like(pixels).copy_(pixels.detach())
        forward = capture(partial(network.forward, static, layers, keep=True), pixels.device)
        if forward is None:
            return None
        graph, (responses, kept) = forward
        try:
            cotangents = {layer: torch.zeros_like(responses[layer]) for layer in layers}
        except torch.OutOfMemoryError:
            empty_caches()
            return None
        backward = capture(partial(network.backward, [*kept], cotangents), pixels.device, after=graph)
        if backward is None:
            return None
        found = cls(
            static,
            [responses[layer] for layer in layers],
            [*cotangents.values()],
            (graph, backward[0]),
            backward[1],
        )
        found._kept = kept
        return found

    def forward(self, pixels: Tensor) -> tuple[Tensor, ...]:
        """Return the responses."""
        self._pixels.copy_(pixels)
        self._forward.replay()
        return tuple(response.detach() for response in self._responses)

    def backward(self, cotangents: Sequence[Tensor | None]) -> Tensor:
        """Return the gradient in the pixels of the last forward pass."""
        for mine, given in zip(self._cotangents, cotangents, strict=True):
            if given is None:
                mine.zero_()
            else:
                mine.copy_(given)
        self._backward.replay()
        return self._gradient.clone()


class PassGraphs:
    """The passes of a network that are captured: those of the size that comes most often."""

    def __init__(self) -> None:
        """Begin with none."""
        self._key: tuple[Any, ...] | None = None
        self._calls = 0
        self._captured: CapturedPass | None = None
        self._failed = not graphs_enabled()

    @property
    def captured(self) -> bool:
        """Whether any are captured now."""
        return self._captured is not None

    def drop(self) -> None:
        """Forget what is captured, and capture no more."""
        self._captured, self._failed = None, True

    def find(self, network: Passes, pixels: Tensor, layers: tuple[str, ...]) -> CapturedPass | None:
        """Return the passes for these pixels, if they are captured, or are now."""
        if self._failed or pixels.device.type != "cuda":
            return None
        key = (pixels.shape, pixels.dtype, layers)
        if key != self._key:
            if self._captured is not None and self._calls < REPLACED_AFTER:
                self._calls += 1  # of another size: a patch at an edge, or the first of the next level
                return None
            self._key, self._calls, self._captured = key, 0, None
        elif self._captured is not None:
            self._calls = 0
            return self._captured
        self._calls += 1
        if self._calls > CALLS_BEFORE:
            self._captured, self._calls = CapturedPass.capture(network, pixels, layers), 0
            self._failed = self._captured is None
        return self._captured
