"""Style pictures at one size, and their moments as the network computes them."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol, TypeVar

import torch
import torch.nn.functional as F
from torch import Tensor

from tilestyle.canvas.canvas import fill, read, reduced
from tilestyle.canvas.resample import Filter
from tilestyle.canvas.storage import Store, touched
from tilestyle.devices.transfer import sent
from tilestyle.geometry.boxes import Box, Extent, rounded_up, tiling
from tilestyle.networks.base import FeatureNetwork, inner
from tilestyle.stats.moments import Moments, MomentSum

# Cells near the edge of what a network is shown feel its padding, and would speak for that rather than for
# the style: mirrored surroundings of this many pixels keep them out.
SURROUNDINGS = 64


class Summing(Protocol):
    """A running sum over cells (moments.MomentSum, autocorrelation.AutocorrelationSum)."""

    def add(self, features: Tensor, weights: Tensor | None = None) -> None:
        """Count cells [1, C, h, w] in, as much of each as `weights` [h, w] say."""


Sum = TypeVar("Sum", bound=Summing)


@dataclass(frozen=True)
class Exemplar:
    """A style picture, and which part it has in the targets of the regions."""

    picture: Tensor  # [3, h, w]
    shares: tuple[float, ...] = (1.0,)  # of its moments in the target of each region; 0: no part
    guide: Tensor | None = None  # [K, h, w], how much of every region each pixel is; None: all of any


class Exhibit:
    """A style at one size, in mirrored surroundings, to be looked at through boxes."""

    def __init__(
        self,
        exemplar: Exemplar,
        size: Box,
        network: FeatureNetwork,
        octaves: Mapping[int, Mapping[str, str]],
        store: Store,
        turns: int = 1,
    ) -> None:
        """`size` is its height and width, `octaves` are the layers that look at it (FeatureNetwork.octaves).

        It is looked at in so many orientations, each a quarter turn from the last.
        """
        self.size = size
        self._turns = turns
        self._network, self._octaves = network, octaves
        strides = [f * network.layers[name].stride for f, names in octaves.items() for name in names.values()]
        self.unit = max(strides)
        # The last row and column of cells are filled up by reflection: at most one cell is partly the mirror's.
        self.rows, self.columns = rounded_up(size.height, self.unit), rounded_up(size.width, self.unit)
        self._margin = margin = max(octaves) * SURROUNDINGS
        place = Box(margin, margin, size.height, size.width)
        around = Extent(self.rows + 2 * margin, self.columns + 2 * margin, place)
        self._plane = store.empty(3, around.height, around.width)
        fill(self._plane, around, exemplar.picture, clamped=True)
        self._guide: Tensor | None = None
        self._wanted = [True]  # whether moments for each row of the guide are
        if exemplar.guide is not None:
            self._guide = store.empty(len(exemplar.guide), around.height, around.width)
            fill(self._guide, around, exemplar.guide, Filter.LINEAR)
            self._wanted = [share > 0 for share in exemplar.shares]

    def moments(self, side: int) -> list[dict[str, Moments]]:
        """Moments of every layer over all of it: for each region, if it has a guide."""
        makers = [dict.fromkeys(self._layers, MomentSum) if wanted else {} for wanted in self._wanted]
        return [_moments(found) for found in self.counted(makers, side)]

    def counted(self, makers: Sequence[Mapping[str, Callable[[], Sum]]], side: int) -> list[dict[str, Sum]]:
        """Sums over all of it, of whatever kind is made for a layer in each region.

        Shown to the network in patches of at most `side` pixels: the style's size costs no device memory.
        """
        found = [{layer: make() for layer, make in of_region.items()} for of_region in makers]
        for factor in self._octaves:
            step = self.unit // factor
            halo = rounded_up(min(SURROUNDINGS, side // 4), step)
            largest = max(side - 2 * halo, step)
            for box in tiling(self.rows // factor, self.columns // factor, largest, step):
                self._count(found, box, halo, factor)
        return found

    def part(self, box: Box, halo: int) -> dict[str, Moments]:
        """Moments of every layer over a box, shown with `halo` pixels around: of whole units, one octave."""
        sums = [{layer: MomentSum() for layer in self._layers}]
        self._count(sums, box, halo, 1)
        return _moments(sums[0])

    @property
    def _layers(self) -> list[str]:
        return [layer for names in self._octaves.values() for layer in names]

    def _count(self, sums: Sequence[Mapping[str, Sum]], box: Box, halo: int, factor: int) -> None:
        """Count in what the layers of an octave answer over a box of the picture reduced by `factor`."""
        network, names = self._network, self._octaves[factor]
        names = {layer: name for layer, name in names.items() if any(layer in found for found in sums)}
        if not names:
            return
        window = reduced(self._plane, self._moved(box.widened(halo).times(factor)), factor)
        touched(window)
        shown = sent(window, network.device, network.dtype)
        weights: Tensor | None = None
        if self._guide is not None:
            guide = read(self._guide, self._moved(box.times(factor)))
            touched(guide)
            weights = sent(guide, network.device, torch.float32)
        for turn in range(self._turns):
            with torch.no_grad():
                features = network.features(shown.rot90(turn, (1, 2))[None], names.values())
            height, width = (box.width, box.height) if turn % 2 else (box.height, box.width)
            for layer, name in names.items():
                stride = network.layers[name].stride
                seen = inner(features[name], Box(halo, halo, height, width).over(stride))
                for region, found in enumerate(sums):
                    part = None
                    if weights is not None:
                        part = F.avg_pool2d(weights[region][None], factor * stride)[0].rot90(turn)
                    if layer in found:
                        found[layer].add(seen, part)

    def _moved(self, box: Box) -> Box:
        """A box of the style in its plane."""
        return Box(box.top + self._margin, box.left + self._margin, box.height, box.width)


def _moments(sums: Mapping[str, MomentSum]) -> dict[str, Moments]:
    return {layer: total.moments() for layer, total in sums.items() if total.parts}
