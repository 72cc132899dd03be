"""Content targets: the features of the content in the pixels of any patch.

They are computed for every patch, or kept for networks whose features cost much.
"""

from __future__ import annotations

from collections.abc import Mapping
from math import sqrt

import torch
from torch import Tensor

from tilestyle.canvas.canvas import Reader, fetch_box, read_box
from tilestyle.canvas.content_map import ContentMap
from tilestyle.canvas.mapped_pages import note_mapped_access
from tilestyle.canvas.storage import MemoryStore, PlaneStore
from tilestyle.config.enums import ContentLoss
from tilestyle.devices.bus_copies import bus_copies
from tilestyle.devices.transfer import to_device
from tilestyle.devices.zero_copy import zero_copy
from tilestyle.distributed import SINGLE, Communicator
from tilestyle.geometry.boxes import Box, CanvasExtent, Patch, tile_grid
from tilestyle.geometry.sampling import halo_tiles
from tilestyle.geometry.sharding import shard_patches
from tilestyle.networks.base import FeatureNetwork, crop_cells, exact_halo
from tilestyle.stats.moments import MomentSum, all_reduce_moments
from tilestyle.stats.self_similarity import MIN_DISTANCE, UnitFeatures

# Least variance of content features to divide by (flat content has none), for networks without a known floor.
MIN_VARIANCE = 1e-6


class ContentTarget:
    """Content features of one level at one scale, and the energies that make layers comparable.

    Features are computed for every patch, over exactly the pixels that it sees. So the network's padding at the
    edge of the patch affects target and canvas alike, and cancels.

    Attributes:
        layers: Content layers with their weights.
        scale: Canvas pixels averaged into one patch pixel, per axis.
        loss_form: Features or self-similarity.
        energies: By layer, what the loss is divided by.
        energy_floors: By layer, the least energy (networks.energy).
        content_map: Factors of the content weight; None: 1 everywhere.
    """

    def __init__(
        self,
        plane: Tensor,
        network: FeatureNetwork,
        layers: Mapping[str, float],
        scale: int,
        reader: Reader = read_box,
    ) -> None:
        """Prepare the targets; `measure_energies` comes next.

        Args:
            plane: The content with its margin, at the canvas's size, [3, H, W].
            network: Computes the features.
            layers: Content layers with their weights.
            scale: Canvas pixels averaged into one patch pixel, per axis.
            reader: Reads a box of the plane at this scale.
        """
        self._plane = plane
        self._reader = reader
        self._network = network
        self.layers = layers
        self.scale = scale
        self.loss_form = ContentLoss.FEATURES
        self.energies: dict[str, float] = {}
        self.energy_floors: Mapping[str, float] = {}
        self.content_map: ContentMap | None = None

    def measure_energies(
        self,
        extent: CanvasExtent,
        side: int,
        unit: int,
        halo: int = 0,
        comm: Communicator = SINGLE,
        fixed_point: bool = False,
    ) -> None:
        """Measure the energy of each layer, in one forward pass over the whole canvas.

        It is the mean variance of the layer's channels; for self-similarity, the mean cosine distance of any
        two cells, 1 - |mean of their unit vectors|^2. (Dividing by each patch's own variance instead would
        visibly bind flat patches to the photograph.)

        Args:
            extent: Size of the canvas.
            side: Side of the patches, in patch pixels.
            unit: The deepest stride; patches begin at multiples of it.
            halo: Halo of the patches, in patch pixels; half the receptive field makes the result exact.
            comm: The communicator; the patches are divided among its processes.
            fixed_point: Whether to sum in fixed point, so that the order does not matter.
        """
        sums = {layer: MomentSum(fixed_point=fixed_point) for layer in self.layers}
        network, patches = self._network, halo_tiles(extent, side, unit, halo, self.scale)
        alike = self.loss_form is ContentLoss.SELF_SIMILARITY
        for patch in shard_patches(patches, extent.height, comm.world_size)[comm.rank]:
            for layer, features in self.features(patch).items():
                owned = crop_cells(features, patch.owned_cells(network.layers[layer].stride))
                sums[layer].add(self._directions(layer, owned) if alike else owned)
        channels = {layer: network.layers[layer].channels + alike for layer in sums}
        all_reduce_moments(sums, channels, network.device, comm)
        for layer, total in sums.items():
            if alike:
                self.energies[layer] = max(1 - float(total.moments().mean.square().sum()), MIN_DISTANCE)
                continue
            variance = float(total.moments().covariance.diagonal().mean())
            floor = self.energy_floors.get(layer)
            min_variance = MIN_VARIANCE if floor is None else floor / self._network.layers[layer].channels
            self.energies[layer] = max(variance, min_variance)

    def min_norm(self, layer: str) -> float:
        """Return the norm of a cell's features below which it counts as zero."""
        return sqrt(self.energy_floors.get(layer, MIN_VARIANCE))

    def _directions(self, layer: str, features: Tensor) -> Tensor:
        """Normalize features [1, C, h, w] to unit vectors [1, C + 1, h, w]."""
        units = UnitFeatures.normalize(
            features[0].flatten(1).float(), self.min_norm(layer)
        ).unit_vectors  # [C + 1, h w]
        return units.view(1, -1, *features.shape[2:])

    def cell_factors(self, layer: str, patch: Patch) -> Tensor | None:
        """Return the factors of the content weight at the cells of a patch, [h, w]; None: all 1."""
        if self.content_map is None:
            return None
        return self.content_map.cell_factors(patch, self._network.layers[layer].stride, self._network.device)

    def features(self, patch: Patch) -> dict[str, Tensor]:
        """Features [1, C, h, w] of each layer over what the patch sees."""
        window = self._reader(self._plane, patch.read, patch.scale)
        note_mapped_access(window, times=patch.scale**2)
        with torch.no_grad():
            return self._network.features(
                to_device(window[None], self._network.device, self._network.dtype), self.layers
            )


class RecentContentTarget(ContentTarget):
    """Content targets that keep the features of the last few patches.

    For patches that see the whole canvas: they return to the same few positions for a while
    (optim/loop.py, sweep_patches).
    """

    def __init__(
        self, plane: Tensor, network: FeatureNetwork, layers: Mapping[str, float], capacity: int
    ) -> None:
        """Keep nothing yet.

        Args:
            plane: The content with its margin, [3, H, W].
            network: Computes the features.
            layers: Content layers with their weights.
            capacity: How many patches to keep.
        """
        super().__init__(plane, network, layers, 1)
        self._capacity = capacity
        self._recent: dict[Patch, dict[str, Tensor]] = {}

    def features(self, patch: Patch) -> dict[str, Tensor]:
        """Features [1, C, h, w] of each layer over what the patch sees."""
        features = self._recent.get(patch)
        if features is None:
            while len(self._recent) >= self._capacity:
                del self._recent[next(iter(self._recent))]
            features = self._recent[patch] = super().features(patch)
        return features


class CachedContentTarget(ContentTarget):
    """Content targets that keep the features of the whole canvas, computed tile by tile on first use.

    They are stored in bfloat16, without any padding. So cells at the edge of a patch, which do see padding,
    differ from them. The features belong to one phase of the layers' grid: patches must begin on that grid, and
    a patch at another phase empties the cache.
    """

    def __init__(
        self,
        plane: Tensor,
        network: FeatureNetwork,
        layers: Mapping[str, float],
        extent: CanvasExtent,
        side: int,
        store: PlaneStore | None = None,
    ) -> None:
        """Keep nothing yet.

        Args:
            plane: The content with its margin, [3, H, W].
            network: Computes the features.
            layers: Content layers with their weights.
            extent: Size of the canvas.
            side: Side of the patches, in pixels.
            store: Where the features are kept; by default in memory, on the content's device.
        """
        super().__init__(plane, network, layers, 1)
        infos = [network.layers[layer] for layer in layers]
        self._unit = max(layer.stride for layer in infos)
        self._halo = exact_halo(infos)
        self._extent = extent
        self._tiles = tile_grid(extent.height, extent.width, side, self._unit)
        self._phase = 0, 0
        self._missing = set(self._tiles)
        store = store or MemoryStore(plane.device)
        self._features = {
            layer.name: _bfloat16_plane(
                store, layer.channels, *_feature_size(extent, layer.stride), network.device
            )
            for layer in infos
        }
        # Whether the planes are host memory that the network's device reads over the bus.
        on_device = all(plane.device == network.device for plane in self._features.values())
        self._beyond_bus = on_device and store.device != network.device

    def features(self, patch: Patch) -> dict[str, Tensor]:
        """Features [1, C, h, w] of each layer over what the patch sees."""
        box = patch.read
        phase = box.top % self._unit, box.left % self._unit
        if phase != self._phase:
            self._phase, self._missing = phase, set(self._tiles)
        aligned = Box(box.top - phase[0], box.left - phase[1], box.height, box.width)
        missing = [tile for tile in self._missing if self._overlap(tile, aligned)]
        for tile in missing:
            self._compute_tile(tile)
        if missing and self._beyond_bus:
            bus_copies(self._network.device).include_work()
        network, features = self._network, {}
        for layer, plane in self._features.items():
            cells = aligned.to_cells(network.layers[layer].stride)
            window = fetch_box(plane, cells) if self._beyond_bus else read_box(plane, cells)
            features[layer] = to_device(window[None], network.device, network.dtype)
            note_mapped_access(
                plane[:, : cells.height, : cells.width]
            )  # as many bytes as were read, wherever they lie
        return features

    def _compute_tile(self, tile: Box) -> None:
        """Compute and store the features of a tile, from a patch with an exact halo around it."""
        moved = Box(tile.top + self._phase[0], tile.left + self._phase[1], tile.height, tile.width)
        patch = Patch(moved, moved.padded(self._halo), 1)
        for layer, features in super().features(patch).items():
            stride = self._network.layers[layer].stride
            cells = crop_cells(features, patch.owned_cells(stride))[0]  # [C, h, w]
            self._features[layer][_cell_slices(tile.to_cells(stride))] = cells.to(self._features[layer])
            note_mapped_access(self._features[layer][_cell_slices(tile.to_cells(stride))])
        self._missing.remove(tile)

    def _overlap(self, first: Box, second: Box) -> bool:
        """Return whether two boxes share pixels of the torus."""
        height, width = self._extent.height, self._extent.width
        rows = (second.top - first.top) % height < first.height or (
            first.top - second.top
        ) % height < second.height
        columns = (second.left - first.left) % width < first.width or (
            first.left - second.left
        ) % width < second.width
        return rows and columns


def _bfloat16_plane(store: PlaneStore, channels: int, height: int, width: int, device: torch.device) -> Tensor:
    """Allocate zeros in bfloat16, [channels, height, width]: two in each float32 number of a stored plane.

    The plane has one channel, because a store decides by a plane's area whether to put it in a file. A plane in
    host memory is returned as the device sees it, if that is possible.
    """
    pairs = -(-width // 2)
    plane = store.zeros(1, channels * height, pairs)  # [1, C h, w / 2], float32
    if isinstance(store, MemoryStore) and store.device != device:
        device_plane = zero_copy(plane, device)
        plane = plane if device_plane is None else device_plane
    return plane.view(torch.bfloat16).view(channels, height, 2 * pairs)[:, :, :width]


def _feature_size(extent: CanvasExtent, stride: int) -> tuple[int, int]:
    """Return the height and width of a layer's features over the canvas."""
    return extent.height // stride, extent.width // stride


def _cell_slices(box: Box) -> tuple[slice, slice, slice]:
    """Return the slices of a box in features [C, h, w]."""
    return slice(None), slice(box.top, box.top + box.height), slice(box.left, box.left + box.width)
