"""How far a picture looks from another: by features of a trained network, at the size at which one takes it in.

Both pictures are seen at a long side of `SIDE` pixels. The distance is a weighed mean over
layers, from strokes to things: one less the mean cosine of the features of each cell,
each channel less its mean. It is 0 for the same picture and near 1 for one that has nothing to do with it. As
channels count less their means, another palette as a whole is a small distance.

The network is always the one that comes with the package, whatever network renders, so a number means the same
with each of them. Which layers: docs/algorithm.md.
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

SIDE = 384  # long side at which pictures are seen, pixels
LAYERS = {"relu3_1": 0.5, "relu5_1": 0.5}  # and their shares
STRIDE = 16  # of the deepest of them, pixels
MARGIN = 16  # pixels put around a picture, so that no cell that counts sees what the network pads with
FAINT = 1e-6  # least mean square of pixels less their mean: a picture that is flat is like nothing
SMALL = 1e-12  # under the root, for cells without any response


class Looks:
    """What a picture is compared by."""

    def __init__(
        self, pixels: Tensor, weights: Tensor | None = None, like: FeatureNetwork | None = None
    ) -> None:
        """See a picture.

        Args:
            pixels: [3, h, w], sRGB in [0, 1], some `SIDE` pixels long.
            weights: How much of each pixel counts, [1, h, w]; None: all of it.
            like: A network whose device and arithmetic to compute with; None: float32 on the CPU. In bfloat16
                distances are 0.0006 less at most, in half the time.
        """
        device, dtype = (like.device, like.dtype) if like else (torch.device("cpu"), torch.float32)
        pixels = pixels.float().to(device)
        weights = None if weights is None else weights.to(device)
        self._energy = float((pixels - pixels.mean((1, 2), keepdim=True)).square().mean())
        self._seen = [
            Seen.of(features, None if weights is None else _cells(weights, stride))
            for stride, features in _features(pixels, _network(device, dtype))
        ]

    @property
    def flat(self) -> bool:
        """Whether there is nothing that another could be like."""
        return not self._energy >= FAINT  # nor numbers

    def distance(self, other: Looks) -> float | None:
        """How far another picture of the same size is, 0 to 2; None where one of them is flat or no number."""
        if self.flat or other.flat:
            return None
        cosines = [float(one.cosine(another)) for one, another in zip(self._seen, other._seen, strict=True)]
        found = 1 - sum(share * each for share, each in zip(LAYERS.values(), cosines, strict=True))
        return max(0.0, min(2.0, found)) if isfinite(found) else None


@dataclass(frozen=True)
class Seen:
    """One layer of a picture, each channel less its mean, and how long each cell is."""

    cells: Tensor  # [C, h, w]
    lengths: Tensor  # [h, w]
    weights: Tensor | None  # [h, w]

    @classmethod
    def of(cls, features: Tensor, weights: Tensor | None) -> Seen:
        """Of features [C, h, w] as they are."""
        cells = features - _mean(features, weights)[:, None, None]
        return cls(cells, (cells.square().sum(0) + SMALL).sqrt(), weights)

    def cosine(self, other: Seen) -> Tensor:
        """The mean over all cells of the cosine with another's."""
        return _mean((self.cells * other.cells).sum(0) / (self.lengths * other.lengths), self.weights)


@cache
def _network(device: torch.device, dtype: torch.dtype) -> FeatureNetwork:
    return load_network(RenderConfig()).to(device, dtype)


@torch.no_grad()
def _features(pixels: Tensor, network: FeatureNetwork) -> list[tuple[int, Tensor]]:
    """The layers [C, h, w] of a picture [3, h, w], with their strides; the last cells may reach beyond it."""
    height, width = pixels.shape[1:]
    below, right = (-side % STRIDE + MARGIN for side in (height, width))
    surrounded = F.pad(pixels[None], (MARGIN, right, MARGIN, below), "replicate")
    found = network.features(surrounded.to(network.dtype), LAYERS)
    layers = []
    for name in LAYERS:
        stride = network.layers[name].stride
        edge = MARGIN // stride
        rows, columns = -(-height // stride), -(-width // stride)
        layers.append((stride, found[name][0, :, edge : edge + rows, edge : edge + columns].float()))
    return layers


def _cells(weights: Tensor, stride: int) -> Tensor:
    """Weights [1, h, w] of pixels as those of cells; the last cells may be smaller."""
    return F.avg_pool2d(weights[None], stride, ceil_mode=True, count_include_pad=False)[0, 0]


def _mean(cells: Tensor, weights: Tensor | None) -> Tensor:
    """Mean over the cells [..., h, w], weighed."""
    if weights is None:
        return cells.mean((-2, -1))
    return (cells * weights).sum((-2, -1)) / weights.sum()
