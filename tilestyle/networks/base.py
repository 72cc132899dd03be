"""Interface of a feature network."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Tensor

from tilestyle.config.suggestions import did_you_mean
from tilestyle.errors import LayerError, excerpt
from tilestyle.geometry.boxes import Box, round_up
from tilestyle.networks.forward_pass import ForwardPass

# Halo for measuring, as a share of the widest receptive field; 0.5 would be exact.
MEASURING_HALO_SHARE = 0.3


@dataclass(frozen=True, slots=True)
class Layer:
    """Geometry of one layer.

    Both `stride` and `receptive_field` are in input pixels and hold for both axes. A cell of the layer depends
    on at most `receptive_field` x `receptive_field` pixels, and neighboring cells see windows `stride` pixels
    apart. Away from padding this is exact.
    """

    name: str
    channels: int
    stride: int
    receptive_field: int


def exact_halo(layers: Collection[Layer]) -> int:
    """Return the halo with which the cells that a patch owns do not see padding, pixels.

    It is half the widest receptive field, rounded up to a multiple of the deepest stride.
    """
    stride = max(layer.stride for layer in layers)
    return round_up(max(layer.receptive_field for layer in layers) // 2, stride)


def measuring_halo(layers: Collection[Layer]) -> int:
    """Return a smaller halo for measuring moments, pixels.

    With it they keep at most a few hundredths of the bias of padding: the outermost pixels of a receptive field
    count for little, and the rest of an exact halo is spent on those (measured: docs/algorithm.md). It is a
    multiple of the deepest stride.
    """
    stride = max(layer.stride for layer in layers)
    return round_up(int(MEASURING_HALO_SHARE * max(layer.receptive_field for layer in layers)), stride)


class FeatureNetwork(Protocol):
    """A fixed map from pictures to layers of features.

    Pictures are [B, 3, H, W], sRGB values in [0, 1], with H and W multiples of the deepest stride in use. A
    layer of stride k returns [B, C, H/k, W/k]: cell (i, j) belongs to the pixels [k i, k i + k) x [k j, k j +
    k).
    """

    @property
    def name(self) -> str:
        """Name of the network in the registry."""
        ...

    @property
    def device(self) -> torch.device:
        """Device of its constants, and of the pictures it takes."""
        ...

    @property
    def dtype(self) -> torch.dtype:
        """Dtype of its constants, and of the pictures it takes."""
        ...

    @property
    def layers(self) -> Mapping[str, Layer]:
        """Every layer by its name, shallow to deep."""
        ...

    @property
    def style_layers(self) -> Mapping[str, float]:
        """Default style layers with their relative weights."""
        ...

    @property
    def content_layers(self) -> Mapping[str, float]:
        """Default content layers with their relative weights."""
        ...

    @property
    def arrangement_layers(self) -> Collection[str]:
        """Style layers whose autocorrelations are compared: coarse enough to see far, fine enough for rows."""
        ...

    @property
    def content_weight(self) -> float:
        """Default content weight, for a style weight of 1: keeps the picture recognizable, in the style."""
        ...

    def resolve_layer_name(self, name: str) -> str:
        """Return the network's own name of a layer.

        Raises:
            LayerError: There is no such layer; the message suggests the nearest name.
        """
        ...

    def features(self, pixels: Tensor, layers: Collection[str]) -> dict[str, Tensor]:
        """Return the responses of the named layers, in the dtype of `pixels`; differentiable."""
        ...

    def forward_pass(self, pixels: Tensor, layers: Collection[str], *, captures: bool = False) -> ForwardPass:
        """Run a forward pass whose gradient will be asked for.

        Args:
            pixels: [B, 3, H, W].
            layers: Names of layers.
            captures: Whether the pass may be kept as a CUDA graph: its features and gradient are then valid
                until the next pass only.
        """
        ...

    def scale_groups(self, layers: Collection[str]) -> dict[int, dict[str, str]]:
        """Group layers by the reduced picture that they can be computed from.

        A layer has the same response to a picture as the layer of the other name has to that picture reduced by
        the factor (canvas.pyramid_reduce). On a reduced picture a patch of the same size shows far more of it,
        and padding matters less.

        Returns:
            {factor: {layer: its name on the reduced picture}}, the finest first.
        """
        ...

    def to(self, device: torch.device, dtype: torch.dtype) -> FeatureNetwork:
        """Return the same network with its constants on `device` in `dtype`."""
        ...

    def bytes_per_pixel(self, layers: Collection[str], dtype: torch.dtype) -> float:
        """Return the memory of one forward and backward pass to the named layers, bytes per input pixel."""
        ...

    def multiply_adds_per_pixel(self, layers: Collection[str]) -> float:
        """Return the multiply-adds of one forward pass to the deepest of the named layers, per pixel."""
        ...


def unknown_layer_error(network: str, name: str, known: Collection[str]) -> LayerError:
    """Return the error for a layer that the network does not have, suggesting the nearest of the known."""
    return LayerError(
        f"network {network} has no layer {excerpt(name)}",
        hint=f"{did_you_mean(name, known, quoted=True)}the layers are {', '.join(known)}",
    )


def crop_cells(features: Tensor, cells: Box) -> Tensor:
    """Return a view of the given cells of [B, C, h, w] features."""
    return features[:, :, cells.top : cells.top + cells.height, cells.left : cells.left + cells.width]
