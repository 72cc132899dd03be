"""Style targets: the moments of style pictures, as the network sees them at a level."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial

import torch

from tilestyle.config.enums import Normalise, StyleLoss
from tilestyle.config.render import RenderConfig
from tilestyle.devices.threads import abreast
from tilestyle.devices.transfer import matrix_device
from tilestyle.errors import DivergedError
from tilestyle.stats.distances import TINY, Cotangent, GramTarget, StatisticsTarget, WassersteinTarget
from tilestyle.stats.moments import Moments

Target = WassersteinTarget | GramTarget | StatisticsTarget


def target(moments: Moments, config: RenderConfig, least: float = TINY) -> Target:
    """The distance to these moments that the settings ask for.

    Args:
        moments: What a style, or a part of it, has.
        config: Which distance, in which units.
        least: Smallest energy that the style counts as having in this layer (networks.energy).

    Raises:
        DivergedError: If the moments are not finite.
    """
    if not torch.isfinite(moments.second).all():
        raise DivergedError("the features of the style are not finite", hint="give other weights")
    absolute = config.normalise is Normalise.ABSOLUTE
    if config.style_loss is StyleLoss.W2:
        return WassersteinTarget(moments, absolute=absolute, least=least)
    if config.style_loss is StyleLoss.GRAM:
        return GramTarget(moments, absolute=absolute, least=least)
    return StatisticsTarget(moments, config.statistics_weight, absolute=absolute, least=least)


def cotangents(targets: Mapping[str, Target], found: Mapping[str, Moments]) -> dict[str, Cotangent]:
    """Of these layers, the distances of their moments to their targets: on a host, side by side."""
    if any(matrix_device(moments.mean.device).type != "cpu" for moments in found.values()):
        return {layer: targets[layer].cotangent(moments) for layer, moments in found.items()}
    # What comes from a device comes in the calling thread, which is the one that gave it its work.
    here = {layer: moments.placed() for layer, moments in found.items()}
    largest_first = sorted(here, key=lambda layer: -len(here[layer].mean))
    made = abreast([partial(targets[layer].cotangent, here[layer]) for layer in largest_first])
    by_layer = dict(zip(largest_first, made, strict=True))
    return {layer: by_layer[layer] for layer in found}
