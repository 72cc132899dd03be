"""Content targets that are kept, for networks whose content costs much to see."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor

from tilestyle.canvas import read
from tilestyle.content import Content
from tilestyle.geometry import Box, Extent, Patch, tiling
from tilestyle.networks.network import FeatureNetwork, exact_halo
from tilestyle.planes import Memory, Store, touched
from tilestyle.style import inner
from tilestyle.transfer import sent


class RecentContent(Content):
    """Content features of the last few places of patches that saw all of the canvas, as `Content` has them.

    Such patches come back to the same few places for a while (renderer.sampled).
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
