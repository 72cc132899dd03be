"""Content targets: the features of the content picture at the place of any patch.

Content targets that are kept, for networks whose content costs much to see.
"""

from __future__ import annotations

from collections.abc import Mapping
from math import sqrt

import torch
from torch import Tensor

from tilestyle.canvas.canvas import Reader, read
from tilestyle.canvas.storage import Memory, Store, touched
from tilestyle.config.enums import ContentLoss
from tilestyle.devices.transfer import sent
from tilestyle.distributed import ALONE, Ranks
from tilestyle.geometry.boxes import Box, Extent, Patch, tiling
from tilestyle.geometry.sampling import overlapping
from tilestyle.geometry.sharding import dealt
from tilestyle.networks.base import FeatureNetwork, exact_halo, inner
from tilestyle.stats.moments import MomentSum, pooled
from tilestyle.stats.self_similarity import LEAST_DISTANCE, Directions

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
        self.faint: Mapping[str, float] = {}  # least energy of each layer (networks.energy)

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


class RecentContent(Content):
    """Content features of the last few places of patches that saw all of the canvas, as `Content` has them.

    Such patches come back to the same few places for a while (loop.sampled).
    """

    def __init__(self, plane: Tensor, network: FeatureNetwork, layers: Mapping[str, float], count: int) -> None:
        """`plane` is the content with its margin, [3, H, W]; those of `count` places are kept."""
        super().__init__(plane, network, layers, 1)
        self._count = count
        self._recent: dict[Patch, dict[str, Tensor]] = {}

    def features(self, patch: Patch) -> dict[str, Tensor]:
        """Features [1, C, h, w] of each layer over what the patch sees."""
        found = self._recent.get(patch)
        if found is None:
            while len(self._recent) >= self._count:
                del self._recent[next(iter(self._recent))]
            found = self._recent[patch] = super().features(patch)
        return found


class CachedContent(Content):
    """Content features of the whole canvas at one phase of the layers' grid, computed where first asked for.

    In bfloat16, and free of any trace of padding: so patches must begin on that grid, and the cells at their
    edges differ from the target by what padding does to them. Patches at another phase empty the cache.
    """

    def __init__(
        self,
        plane: Tensor,
        network: FeatureNetwork,
        layers: Mapping[str, float],
        extent: Extent,
        side: int,
        store: Store | None = None,
    ) -> None:
        """Keep nothing yet.

        Args:
            plane: The content with its margin, [3, H, W].
            network: Computes the features.
            layers: Content layers with their weights.
            extent: Of the canvas.
            side: Of the patches, pixels.
            store: Where the features are kept; by default in memory, where the content is.
        """
        super().__init__(plane, network, layers, 1)
        described = [network.layers[layer] for layer in layers]
        self._unit = max(layer.stride for layer in described)
        self._halo = exact_halo(described)
        self._extent = extent
        self._tiles = tiling(extent.height, extent.width, side, self._unit)
        self._phase = 0, 0
        self._missing = set(self._tiles)
        store = store or Memory(plane.device)
        self._kept = {
            layer.name: _room(store, layer.channels, *_shape(extent, layer.stride)) for layer in described
        }

    def features(self, patch: Patch) -> dict[str, Tensor]:
        """Features [1, C, h, w] of each layer over what the patch sees."""
        box = patch.read
        phase = box.top % self._unit, box.left % self._unit
        if phase != self._phase:
            self._phase, self._missing = phase, set(self._tiles)
        place = Box(box.top - phase[0], box.left - phase[1], box.height, box.width)
        for tile in [tile for tile in self._missing if self._meet(tile, place)]:
            self._fill(tile)
        network, found = self._network, {}
        for layer, kept in self._kept.items():
            cells = place.over(network.layers[layer].stride)
            found[layer] = sent(read(kept, cells)[None], network.device, network.dtype)
            touched(kept[:, : cells.height, : cells.width])  # as much, wherever it was
        return found

    def _fill(self, tile: Box) -> None:
        moved = Box(tile.top + self._phase[0], tile.left + self._phase[1], tile.height, tile.width)
        seen = Patch(moved, moved.widened(self._halo), 1)
        for layer, features in super().features(seen).items():
            stride = self._network.layers[layer].stride
            cells = inner(features, seen.cells(stride))[0]
            self._kept[layer][_cells(tile.over(stride))] = cells.to(self._kept[layer])
            touched(self._kept[layer][_cells(tile.over(stride))])
        self._missing.remove(tile)

    def _meet(self, one: Box, other: Box) -> bool:
        """Whether two boxes share pixels of the torus."""
        height, width = self._extent.height, self._extent.width
        rows = (other.top - one.top) % height < one.height or (one.top - other.top) % height < other.height
        columns = (other.left - one.left) % width < one.width or (one.left - other.left) % width < other.width
        return rows and columns


def _room(store: Store, channels: int, height: int, width: int) -> Tensor:
    """Zeros in bfloat16, [channels, height, width], two of them in each number of a plane of the store.

    A plane of one channel: a store judges by its area whether it is worth a file.
    """
    pairs = -(-width // 2)
    plane = store.zeros(1, channels * height, pairs)
    return plane.view(torch.bfloat16).view(channels, height, 2 * pairs)[:, :, :width]


def _shape(extent: Extent, stride: int) -> tuple[int, int]:
    return extent.height // stride, extent.width // stride


def _cells(box: Box) -> tuple[slice, slice, slice]:
    return slice(None), slice(box.top, box.top + box.height), slice(box.left, box.left + box.width)
