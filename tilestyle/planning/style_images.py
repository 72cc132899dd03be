"""Style pictures at one size, and the moments of their features."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol, TypeVar

import torch
import torch.nn.functional as F
from torch import Tensor

from tilestyle.canvas.canvas import pyramid_reduce, read_box
from tilestyle.canvas.mapped_pages import note_mapped_access
from tilestyle.canvas.margin import with_margin
from tilestyle.canvas.resample import Filter
from tilestyle.canvas.storage import PlaneStore
from tilestyle.devices.transfer import to_device
from tilestyle.geometry.boxes import Box, CanvasExtent, round_up, tile_grid
from tilestyle.networks.base import FeatureNetwork, crop_cells
from tilestyle.stats.moments import Moments, MomentSum

# Mirrored pixels around a style. Cells near the edge of the network's input are affected by its zero padding,
# and would distort the style's statistics.
STYLE_PADDING = 64


class RunningSum(Protocol):
    """A running sum over cells (stats.moments.MomentSum, stats.autocorrelation.AutocorrelationSum)."""

    def add(self, features: Tensor, weights: Tensor | None = None) -> None:
        """Add cells [1, C, h, w], each with its weight [h, w] if weights are given."""


RunningSumT = TypeVar("RunningSumT", bound=RunningSum)


@dataclass(frozen=True)
class Exemplar:
    """A style picture, and its share of the targets of the regions.

    Attributes:
        picture: Pixels [3, h, w].
        shares: Share of its moments in the target of each region; 0: none.
        guide: Weight of every region in each pixel, [K, h, w]; None: all pixels belong to every region.
    """

    picture: Tensor
    shares: tuple[float, ...] = (1.0,)
    guide: Tensor | None = None


class PaddedStyle:
    """A style at one size with mirrored padding, whose features are computed in windows."""

    def __init__(
        self,
        exemplar: Exemplar,
        size: Box,
        network: FeatureNetwork,
        scale_groups: Mapping[int, Mapping[str, str]],
        store: PlaneStore,
        rotations: int = 1,
    ) -> None:
        """Resample the style and add the padding.

        Args:
            exemplar: The style.
            size: Height and width to resample it to, pixels.
            network: Computes the features.
            scale_groups: Layers to compute, by the factor that their input is reduced by
                (FeatureNetwork.scale_groups).
            store: Where the resampled style is stored.
            rotations: Number of orientations, each a quarter turn from the last.
        """
        self.size = size
        self._rotations = rotations
        self._network, self._scale_groups = network, scale_groups
        strides = [
            f * network.layers[name].stride for f, names in scale_groups.items() for name in names.values()
        ]
        self.unit = max(strides)
        # The last row and column of cells are completed by reflection: at most one cell is partly mirrored.
        self.padded_height, self.padded_width = (
            round_up(size.height, self.unit),
            round_up(size.width, self.unit),
        )
        self._margin = margin = max(scale_groups) * STYLE_PADDING
        position = Box(margin, margin, size.height, size.width)
        padded_extent = CanvasExtent(self.padded_height + 2 * margin, self.padded_width + 2 * margin, position)
        self._plane = with_margin(exemplar.picture, padded_extent, store, clamped=True)
        self._guide: Tensor | None = None
        self._used_regions = [True]  # for each region: whether its moments are needed
        if exemplar.guide is not None:
            self._guide = with_margin(exemplar.guide, padded_extent, store, Filter.LINEAR)
            self._used_regions = [share > 0 for share in exemplar.shares]

    def moments(self, side: int) -> list[dict[str, Moments]]:
        """Return the moments of every layer over the whole style, for each region if it has a guide.

        Args:
            side: Largest patch side, pixels.
        """
        factories = [
            dict.fromkeys(self._layers, MomentSum) if is_used else {} for is_used in self._used_regions
        ]
        return [_moments(sums) for sums in self.accumulate(factories, side)]

    def accumulate(
        self, factories: Sequence[Mapping[str, Callable[[], RunningSumT]]], side: int
    ) -> list[dict[str, RunningSumT]]:
        """Accumulate sums over the whole style, of any kind, for each region.

        The network gets patches of limited size, so the size of the style does not affect device memory.

        Args:
            factories: For each region, a function for each layer that makes an empty sum.
            side: Largest patch side, pixels.
        """
        sums = [{layer: make() for layer, make in of_region.items()} for of_region in factories]
        for factor in self._scale_groups:
            step = self.unit // factor
            halo = round_up(min(STYLE_PADDING, side // 4), step)
            largest = max(side - 2 * halo, step)
            for box in tile_grid(self.padded_height // factor, self.padded_width // factor, largest, step):
                self._count(sums, box, halo, factor)
        return sums

    def window_moments(self, box: Box, halo: int) -> dict[str, Moments]:
        """Return the moments of every layer over a box.

        Args:
            box: The box, in pixels of the style; a multiple of the unit.
            halo: Pixels around it that the network also gets.
        """
        sums = [{layer: MomentSum() for layer in self._layers}]
        self._count(sums, box, halo, 1)
        return _moments(sums[0])

    @property
    def _layers(self) -> list[str]:
        """All layers to compute."""
        return [layer for names in self._scale_groups.values() for layer in names]

    def _count(self, sums: Sequence[Mapping[str, RunningSumT]], box: Box, halo: int, factor: int) -> None:
        """Add the features in a box to sums.

        Args:
            sums: For each region, the sum of each layer.
            box: The box, in pixels of the style reduced by `factor`.
            halo: Pixels around it that the network also gets.
            factor: Reduction of the input; selects the layers.
        """
        network, names = self._network, self._scale_groups[factor]
        names = {
            layer: name for layer, name in names.items() if any(layer in layer_sums for layer_sums in sums)
        }
        if not names:
            return
        window = pyramid_reduce(self._plane, self._in_plane(box.padded(halo).scaled(factor)), factor)
        note_mapped_access(window)
        network_input = to_device(window, network.device, network.dtype)
        weights: Tensor | None = None
        if self._guide is not None:
            guide = read_box(self._guide, self._in_plane(box.scaled(factor)))
            note_mapped_access(guide)
            weights = to_device(guide, network.device, torch.float32)
        for quarter_turns in range(self._rotations):
            with torch.no_grad():
                features = network.features(network_input.rot90(quarter_turns, (1, 2))[None], names.values())
            height, width = (box.width, box.height) if quarter_turns % 2 else (box.height, box.width)
            for layer, name in names.items():
                stride = network.layers[name].stride
                cells = crop_cells(features[name], Box(halo, halo, height, width).to_cells(stride))
                for region, layer_sums in enumerate(sums):
                    cell_weights = None
                    if weights is not None:
                        cell_weights = F.avg_pool2d(weights[region][None], factor * stride)[0].rot90(
                            quarter_turns
                        )
                    if layer in layer_sums:
                        layer_sums[layer].add(cells, cell_weights)

    def _in_plane(self, box: Box) -> Box:
        """Return a box of the style as a box of the padded plane."""
        return Box(box.top + self._margin, box.left + self._margin, box.height, box.width)


def _moments(sums: Mapping[str, MomentSum]) -> dict[str, Moments]:
    """Return the moments of the layers that have cells."""
    return {layer: total.moments() for layer, total in sums.items() if total.tensors}
