"""Perceptual distance of two pictures: by the features of a trained network, at normal viewing size.

Both pictures are compared at a long side of `SIDE` pixels. The distance is a weighted mean over layers, from
strokes to objects: one minus the mean cosine between the features of each cell, each channel less its mean. It
is 0 for equal pictures and near 1 for unrelated ones. Because the means of channels are subtracted, a change of
the whole palette is a small distance.

The network is always the compact one that is bundled with the package, whatever network renders, so that a
number means the same with each of them. Which layers: docs/algorithm.md.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from math import isfinite

import torch
import torch.nn.functional as F
from torch import Tensor

from tilestyle.config.render import RenderConfig
from tilestyle.networks.base import FeatureNetwork
from tilestyle.networks.registry import load_network

SIDE = 384  # long side of the compared pictures, pixels
LAYERS = {"relu3_1": 0.5, "relu5_1": 0.5}  # and their weights
STRIDE = 16  # deepest stride, pixels
MARGIN = 16  # pixels of padding around a picture, so that the network's own padding hardly matters
MIN_CONTRAST = 1e-6  # least variance of the pixels: a flat picture does not resemble anything
EPSILON = 1e-12  # under the root, for cells without a response


class PerceptualFeatures:
    """Features of a picture, for comparison with another."""

    def __init__(
        self, pixels: Tensor, weights: Tensor | None = None, network: FeatureNetwork | None = None
    ) -> None:
        """Compute the features of a picture.

        Args:
            pixels: [3, h, w], sRGB in [0, 1], about `SIDE` pixels long.
            weights: Weight of each pixel, [1, h, w]; None: all 1.
            network: A network whose device and dtype to compute with; None: float32 on the CPU. In bfloat16
                distances are at most 0.0006 less, in half the time.
        """
        device, dtype = (network.device, network.dtype) if network else (torch.device("cpu"), torch.float32)
        pixels = pixels.float().to(device)
        weights = None if weights is None else weights.to(device)
        self._energy = float((pixels - pixels.mean((1, 2), keepdim=True)).square().mean())
        self._layers = [
            LayerFeatures.from_features(features, None if weights is None else _cell_weights(weights, stride))
            for stride, features in _features(pixels, _network(device, dtype))
        ]

    @property
    def is_flat(self) -> bool:
        """Whether the picture is flat or not finite, so that nothing can resemble it."""
        return not self._energy >= MIN_CONTRAST  # also where it is NaN

    def distance(self, other: PerceptualFeatures) -> float | None:
        """Return the distance to a picture of the same size, 0 to 2; None if either is flat or not finite."""
        if self.is_flat or other.is_flat:
            return None
        cosines = [
            float(layer.cosine(other_layer))
            for layer, other_layer in zip(self._layers, other._layers, strict=True)
        ]
        distance = 1 - sum(share * cosine for share, cosine in zip(LAYERS.values(), cosines, strict=True))
        return max(0.0, min(2.0, distance)) if isfinite(distance) else None


@dataclass(frozen=True)
class LayerFeatures:
    """Features of one layer.

    Attributes:
        cells: Features less the mean of each channel, [C, h, w].
        norms: Norm of each cell, [h, w].
        weights: Weight of each cell, [h, w]; None: all 1.
    """

    cells: Tensor
    norms: Tensor
    weights: Tensor | None

    @classmethod
    def from_features(cls, features: Tensor, weights: Tensor | None) -> LayerFeatures:
        """Center features [C, h, w]."""
        cells = features - _weighted_mean(features, weights)[:, None, None]
        return cls(cells, (cells.square().sum(0) + EPSILON).sqrt(), weights)

    def cosine(self, other: LayerFeatures) -> Tensor:
        """Return the mean over all cells of the cosine with those of another picture."""
        return _weighted_mean((self.cells * other.cells).sum(0) / (self.norms * other.norms), self.weights)


@cache
def _network(device: torch.device, dtype: torch.dtype) -> FeatureNetwork:
    """Load the compact network, once for each device and dtype."""
    return load_network(RenderConfig()).to(device, dtype)


@torch.no_grad()
def _features(pixels: Tensor, network: FeatureNetwork) -> list[tuple[int, Tensor]]:
    """Return (stride, features [C, h, w]) of each layer for a picture [3, h, w].

    The last cells may reach beyond the picture.
    """
    height, width = pixels.shape[1:]
    bottom, right_padding = (-side % STRIDE + MARGIN for side in (height, width))
    padded = F.pad(pixels[None], (MARGIN, right_padding, MARGIN, bottom), "replicate")
    responses = network.features(padded.to(network.dtype), LAYERS)
    layers = []
    for name in LAYERS:
        stride = network.layers[name].stride
        edge = MARGIN // stride
        rows, columns = -(-height // stride), -(-width // stride)
        layers.append((stride, responses[name][0, :, edge : edge + rows, edge : edge + columns].float()))
    return layers


def _cell_weights(weights: Tensor, stride: int) -> Tensor:
    """Average weights [1, h, w] of pixels to those of cells; the last cells may be smaller."""
    return F.avg_pool2d(weights[None], stride, ceil_mode=True, count_include_pad=False)[0, 0]


def _weighted_mean(cells: Tensor, weights: Tensor | None) -> Tensor:
    """Return the weighted mean over cells [..., h, w]."""
    if weights is None:
        return cells.mean((-2, -1))
    return (cells * weights).sum((-2, -1)) / weights.sum()
