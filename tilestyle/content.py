"""Content targets: the features of the content picture at the place of any patch."""

from __future__ import annotations

from collections.abc import Mapping
from math import sqrt

import torch
from torch import Tensor

from tilestyle.canvas import Reader, read
from tilestyle.config import ContentLoss
from tilestyle.covering import overlapping
from tilestyle.geometry import Extent, Patch
from tilestyle.moments import MomentSum, pooled
from tilestyle.networks.network import FeatureNetwork
from tilestyle.planes import touched
from tilestyle.ranks import ALONE, Ranks, dealt
from tilestyle.similarity import LEAST_DISTANCE, Directions
from tilestyle.style import inner
from tilestyle.transfer import sent

# Least variance of content features, where nothing is known of the network: flat content has none.
LEAST_VARIANCE = 1e-6


class Content:
    """Content features of one level at one scale, and the energy that makes layers comparable.

    Computed anew for every patch, over exactly the pixels the patch sees: so the network's padding at the
    edge of a patch is the same in the target as in the canvas, and cancels.
    """

    def __init__(
        self,
        plane: Tensor,
        network: FeatureNetwork,
        layers: Mapping[str, float],
        scale: int,
        reader: Reader = read,
    ) -> None:
        """`plane` [3, H, W] is the content with its margin, at the canvas's size, seen through `reader`."""
        self._plane = plane
        self._reader = reader
        self._network = network
        self.layers = layers
        self.scale = scale
        self.loss = ContentLoss.FEATURES
        self.energy: dict[str, float] = {}  # what the loss of each layer is measured in
        self.faint: Mapping[str, float] = {}  # least energy of each layer (networks.scale)

    def measure(
        self,
        extent: Extent,
        side: int,
        unit: int,
        halo: int = 0,
        ranks: Ranks = ALONE,
        fixed: bool = False,
    ) -> None:
        """One forward pass over the whole canvas: the mean variance of each layer's channels.

        For self-similarity, the mean cosine distance of any two cells: 1 - |mean of their directions|^2.
        Exact with a halo of half the receptive field.
        A normaliser per patch would leave flat patches bound to the photograph: seen, and ugly.
        """
        sums = {layer: MomentSum(fixed=fixed) for layer in self.layers}
        network, patches = self._network, overlapping(extent, side, unit, halo, self.scale)
        alike = self.loss is ContentLoss.SELF_SIMILARITY
        for patch in dealt(patches, extent.height, ranks.count)[ranks.index]:
            for layer, features in self.features(patch).items():
                seen = inner(features, patch.cells(network.layers[layer].stride))
                sums[layer].add(self._directions(layer, seen) if alike else seen)
        channels = {layer: network.layers[layer].channels + alike for layer in sums}
        pooled(sums, channels, network.device, ranks)
        for layer, total in sums.items():
            if alike:
                self.energy[layer] = max(1 - float(total.moments().mean.square().sum()), LEAST_DISTANCE)
                continue
            variance = float(total.moments().covariance.diagonal().mean())
            faint = self.faint.get(layer)
            least = LEAST_VARIANCE if faint is None else faint / self._network.layers[layer].channels
            self.energy[layer] = max(variance, least)

    def least_norm(self, layer: str) -> float:
        """Length of a cell's features that is next to nothing."""
        return sqrt(self.faint.get(layer, LEAST_VARIANCE))

    def _directions(self, layer: str, features: Tensor) -> Tensor:
        """Features [1, C, h, w] as directions [1, C + 1, h, w]."""
        units = Directions.of(features[0].flatten(1).float(), self.least_norm(layer)).units
        return units.view(1, -1, *features.shape[2:])

    def features(self, patch: Patch) -> dict[str, Tensor]:
        """Features [1, C, h, w] of each layer over what the patch sees."""
        window = self._reader(self._plane, patch.read, patch.scale)
        touched(window, times=patch.scale**2)
        with torch.no_grad():
            return self._network.features(
                sent(window[None], self._network.device, self._network.dtype), self.layers
            )
