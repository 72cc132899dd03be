"""What the renderer asks of a feature network."""

from __future__ import annotations

import difflib
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Tensor

from tilestyle.errors import LayerError
from tilestyle.geometry.boxes import Box, rounded_up

# Share of the widest receptive field that a halo for measuring has; 0.5 would be exact.
NEAR = 0.3


@dataclass(frozen=True, slots=True)
class Layer:
    """One layer, described in arithmetic.

    `stride` and `receptive_field` are in input pixels and hold for both axes: a cell of the layer
    depends on at most `receptive_field` x `receptive_field` pixels, and neighbouring cells see
    windows `stride` pixels apart. Away from padding, exactly so.
    """

    name: str
    channels: int
    stride: int
    receptive_field: int


def exact_halo(layers: Collection[Layer]) -> int:
    """Pixels around a patch that its outermost cells see: with that halo no cell it owns feels padding.

    Half the widest receptive field, and a multiple of the deepest stride.
    """
    stride = max(layer.stride for layer in layers)
    return rounded_up(max(layer.receptive_field for layer in layers) // 2, stride)


def measuring_halo(layers: Collection[Layer]) -> int:
    """Pixels around a patch with which its moments lack a few hundredths of what padding does to them, at most.

    The outermost pixels of a receptive field count for little: what an exact halo has more is spent on those
    (measured: docs/algorithm.md). A multiple of the deepest stride.
    """
    stride = max(layer.stride for layer in layers)
    return rounded_up(int(NEAR * max(layer.receptive_field for layer in layers)), stride)


class FeatureNetwork(Protocol):
    """A fixed map from pictures to layers of features.

    Pictures are [B, 3, H, W], sRGB values in [0, 1], with H and W multiples of the deepest stride
    in use. A layer of stride k answers [B, C, H/k, W/k]: cell (i, j) belongs to the pixels
    [k i, k i + k) x [k j, k j + k).
    """

    @property
    def name(self) -> str:
        """Name under which the registry knows the network."""
        ...

    @property
    def device(self) -> torch.device:
        """Where its constants are, and pictures must be."""
        ...

    @property
    def dtype(self) -> torch.dtype:
        """Arithmetic of its constants, and of the pictures it takes."""
        ...

    @property
    def layers(self) -> Mapping[str, Layer]:
        """Every layer by its name, shallow to deep."""
        ...

    @property
    def style_layers(self) -> Mapping[str, float]:
        """Layers and relative weights that style is compared at unless told otherwise."""
        ...

    @property
    def content_layers(self) -> Mapping[str, float]:
        """Layers and relative weights that content is compared at unless told otherwise."""
        ...

    @property
    def arrangement_layers(self) -> Collection[str]:
        """Style layers whose autocorrelations are compared: coarse, to see far, yet fine enough for rows."""
        ...

    @property
    def content_weight(self) -> float:
        """Weight of content against style, 1, that keeps a picture recognisable and leaves it the style."""
        ...

    def canonical(self, name: str) -> str:
        """The network's own name of a layer; raises LayerError, suggesting the nearest."""
        ...

    def features(self, pixels: Tensor, layers: Collection[str]) -> dict[str, Tensor]:
        """Responses of the named layers, in the precision of `pixels`, differentiable in it."""
        ...

    def octaves(self, layers: Collection[str]) -> dict[int, dict[str, str]]:
        """Reductions at which layers can be seen, the finest first: {factor: {layer: its name there}}.

        A layer answers the same on a picture as the layer of the other name answers on that picture reduced by
        `factor` (canvas.reduced). From afar a patch of the same pixels shows far more, and padding less.
        """
        ...

    def to(self, device: torch.device, dtype: torch.dtype) -> FeatureNetwork:
        """The same network with its constants on `device` in `dtype`."""
        ...

    def bytes_per_pixel(self, layers: Collection[str], dtype: torch.dtype) -> float:
        """Memory of one forward and backward pass to the named layers, bytes per input pixel."""
        ...

    def multiply_adds_per_pixel(self, layers: Collection[str]) -> float:
        """Multiply-adds of one forward pass to the deepest of the named layers, per pixel."""
        ...


def unknown_layer(network: str, name: str, known: Collection[str]) -> LayerError:
    """The error for a layer `network` does not have, naming the nearest of the `known`."""
    nearest = difflib.get_close_matches(name, known, n=1, cutoff=0.0)
    return LayerError(
        f"network {network} has no layer {name!r}",
        hint=f"did you mean {nearest[0]!r}? the layers are {', '.join(known)}",
    )


def inner(features: Tensor, cells: Box) -> Tensor:
    """The given cells of [B, C, h, w] features: a view."""
    return features[:, :, cells.top : cells.top + cells.height, cells.left : cells.left + cells.width]
