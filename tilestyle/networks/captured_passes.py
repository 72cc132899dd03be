"""The passes of a network over patches of one size, kept as CUDA graphs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any, Protocol

import torch
from torch import Tensor

from tilestyle.devices.device_memory import empty_caches
from tilestyle.devices.graphs import CALLS_BEFORE, capture, graphs_enabled
from tilestyle.networks.forward_pass import FeatureGradient
from tilestyle.stats.affine_gradient import AffineGradient

# Passes of other sizes in a row after which one of these is captured instead.
REPLACED_AFTER = 2


class Passes(Protocol):
    """A network whose forward and backward passes can be captured (fused_vgg.py)."""

    def forward(
        self, pixels: Tensor, layers: Sequence[str], *, keep: bool
    ) -> tuple[dict[str, Tensor], list[Tensor]]:
        """Return the responses, and what the backward pass reads."""
        ...

    def backward(self, saved: list[Tensor], gradients: Mapping[str, FeatureGradient]) -> Tensor:
        """Return the gradient in the pixels."""
        ...


class CapturedPass:
    """A forward and a backward pass of pixels of one size, as two CUDA graphs.

    What they return lies where the next pass writes: features and gradient are valid until then.
    """

    takes_affine = True

    def __init__(
        self,
        network: Passes,
        pixels: Tensor,
        responses: Mapping[str, Tensor],
        saved: Sequence[Tensor],
        graph: torch.cuda.CUDAGraph,
    ) -> None:
        """Take the network, the places of pixels and results, and the graph of the forward pass."""
        self._network = network
        self._pixels = pixels
        self.features = responses
        self._kept = saved  # what the backward pass reads
        self._graph = graph
        self._backward: _CapturedBackward | None = None
        self._failed = False

    @classmethod
    def capture(cls, network: Passes, pixels: Tensor, layers: Sequence[str]) -> CapturedPass | None:
        """Capture the forward pass of a network cut at its deepest layer; None if that is not possible."""
        # The memory of passes before this one, which a graph cannot use.
        empty_caches()
        static = torch.empty_like(pixels).copy_(pixels)
        forward = capture(partial(network.forward, static, layers, keep=True), pixels.device)
        if forward is None:
            return None
        graph, (responses, saved) = forward
        return cls(network, static, responses, saved, graph)

    def run(self, pixels: Tensor) -> CapturedPass:
        """Run the forward pass."""
        self._pixels.copy_(pixels)
        self._graph.replay()
        return self

    def gradient(self, by_layer: Mapping[str, FeatureGradient]) -> Tensor:
        """Return the gradient in the pixels of the last forward pass.

        The backward pass is captured when gradients of this kind, affine or at every cell, come first.
        """
        kind = _kind(by_layer)
        if not self._failed and (self._backward is None or self._backward.kind != kind):
            self._backward = None
            self._backward = self._capture_backward(by_layer)
            self._failed = self._backward is None
        if self._backward is None:
            return self._network.backward([*self._kept], by_layer)
        return self._backward.run(by_layer)

    def _capture_backward(self, by_layer: Mapping[str, FeatureGradient]) -> _CapturedBackward | None:
        """Capture the backward pass; None if that is not possible."""
        try:
            static = {layer: _empty_like(gradient) for layer, gradient in by_layer.items()}
        except torch.OutOfMemoryError:
            empty_caches()
            return None
        captured = capture(
            partial(self._network.backward, [*self._kept], static), self._pixels.device, after=self._graph
        )
        if captured is None:
            return None
        return _CapturedBackward(_kind(by_layer), static, *captured)


@dataclass(eq=False)
class _CapturedBackward:
    """A backward pass as a CUDA graph: where gradients in features go, and the gradient in pixels comes."""

    kind: tuple[tuple[str, bool, bool], ...]
    static: Mapping[str, FeatureGradient]
    graph: torch.cuda.CUDAGraph
    in_pixels: Tensor
    _current: dict[str, AffineGradient] = field(default_factory=dict)  # what `static` holds

    def run(self, by_layer: Mapping[str, FeatureGradient]) -> Tensor:
        """Run it."""
        for layer, gradient in by_layer.items():
            static, affine = self.static[layer], gradient.affine
            if static.values is not None and gradient.values is not None:
                static.values.copy_(gradient.values)
            # The same for all patches of a sweep: copied once.
            if static.affine is not None and affine is not None and self._current.get(layer) is not affine:
                static.affine.matrix.copy_(affine.matrix)
                static.affine.offset.copy_(affine.offset)
                self._current[layer] = affine
        self.graph.replay()
        # Callers convert it to float32: then this is their own.
        return self.in_pixels.clone() if self.in_pixels.dtype is torch.float32 else self.in_pixels


def _kind(by_layer: Mapping[str, FeatureGradient]) -> tuple[tuple[str, bool, bool], ...]:
    """Return which parts the gradients have."""
    return tuple((layer, each.values is None, each.affine is None) for layer, each in by_layer.items())


def _empty_like(gradient: FeatureGradient) -> FeatureGradient:
    """Return places for gradients of this kind."""
    values, affine = gradient.values, gradient.affine
    return FeatureGradient(
        None if values is None else torch.empty_like(values),
        affine and AffineGradient(torch.empty_like(affine.matrix), torch.empty_like(affine.offset)),
    )


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
