"""Style targets: the moments of style pictures, as the network sees them at a level."""

from __future__ import annotations

from collections.abc import Collection

import torch
from torch import Tensor

from tilestyle.canvas import fill, reduced
from tilestyle.config import Normalise, RenderConfig, StyleLoss
from tilestyle.geometry import Box, Extent, rounded_up, tiling
from tilestyle.moments import GramTarget, Moments, MomentSum, StatisticsTarget, WassersteinTarget
from tilestyle.networks.network import FeatureNetwork
from tilestyle.planes import Memory, Store, touched

# Cells near the edge of what a network is shown feel its padding, and would speak for that rather than for
# the style: mirrored surroundings of this many pixels keep them out.
SURROUNDINGS = 64

Target = WassersteinTarget | GramTarget | StatisticsTarget


def target(moments: Moments, config: RenderConfig) -> Target:
    """The distance to these moments that the settings ask for."""
    absolute = config.normalise is Normalise.ABSOLUTE
    if config.style_loss is StyleLoss.W2:
        return WassersteinTarget(moments, absolute=absolute)
    if config.style_loss is StyleLoss.GRAM:
        return GramTarget(moments, absolute=absolute)
    return StatisticsTarget(moments, config.statistics_weight, absolute=absolute)


def style_moments(
    picture: Tensor,
    size: Box,
    network: FeatureNetwork,
    layers: Collection[str],
    side: int,
    store: Store | None = None,
) -> dict[str, Moments]:
    """Moments of each layer for a [3, h, w] picture at the height and width of `size`.

    Shown to the network in patches of at most `side` pixels, so that the picture's size costs no device memory.
    """
    octaves = network.octaves(layers)
    unit = max(network.layers[layer].stride for layer in layers)
    # The last row and column of cells are filled up by reflection: at most one cell is partly the mirror's.
    rows, columns = rounded_up(size.height, unit), rounded_up(size.width, unit)
    margin = max(octaves) * SURROUNDINGS
    place = Box(margin, margin, size.height, size.width)
    around = Extent(rows + 2 * margin, columns + 2 * margin, place)
    plane = (store or Memory()).empty(3, around.height, around.width)
    fill(plane, around, picture, clamped=True)
    sums = {layer: MomentSum() for layer in layers}
    for factor, names in octaves.items():
        step = unit // factor
        halo = rounded_up(min(SURROUNDINGS, side // 4), step)
        for box in tiling(rows // factor, columns // factor, max(side - 2 * halo, step), step):
            seen = box.widened(halo).times(factor)
            window = reduced(plane, Box(seen.top + margin, seen.left + margin, seen.height, seen.width), factor)
            touched(window)
            with torch.no_grad():
                features = network.features(window[None].to(network.device, network.dtype), names.values())
            for layer, name in names.items():
                stride = network.layers[name].stride
                cells = Box(halo, halo, box.height, box.width).over(stride)
                sums[layer].add(inner(features[name], cells))
    return {layer: total.moments() for layer, total in sums.items()}


def shrunk(height: int, width: int, long_side: float) -> Box:
    """Height and width of a picture scaled to have this long side, but never above its own."""
    factor = min(1.0, long_side / max(height, width))
    return Box(0, 0, max(1, round(height * factor)), max(1, round(width * factor)))


def inner(features: Tensor, cells: Box) -> Tensor:
    """The given cells of [B, C, h, w] features: a view."""
    return features[:, :, cells.top : cells.top + cells.height, cells.left : cells.left + cells.width]
