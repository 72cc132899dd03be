"""Style targets: the distance of moments to those of a style, and its gradient in features."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial

import torch

from tilestyle.config.enums import Normalize, StyleLoss
from tilestyle.config.render import RenderConfig
from tilestyle.devices.threads import run_side_by_side
from tilestyle.devices.transfer import float64_device
from tilestyle.errors import DivergedError
from tilestyle.stats.distances import MIN_ENERGY, Cotangent, GramTarget, StatisticsTarget, WassersteinTarget
from tilestyle.stats.moments import Moments

Target = WassersteinTarget | GramTarget | StatisticsTarget


def make_target(moments: Moments, config: RenderConfig, min_energy: float = MIN_ENERGY) -> Target:
    """Return the distance to these moments that the settings ask for.

    Args:
        moments: Moments of a style, or of a part of it.
        config: Settings: which distance, in which units.
        min_energy: Least energy of the style in this layer (networks.energy).

    Raises:
        DivergedError: If the moments are not finite.
    """
    if not torch.isfinite(moments.second).all():
        raise DivergedError("the features of the style are not finite", hint="use other network weights")
    absolute = config.normalize is Normalize.ABSOLUTE
    if config.style_loss is StyleLoss.W2:
        return WassersteinTarget(moments, absolute=absolute, min_energy=min_energy)
    if config.style_loss is StyleLoss.GRAM:
        return GramTarget(moments, absolute=absolute, min_energy=min_energy)
    return StatisticsTarget(moments, config.statistics_weight, absolute=absolute, min_energy=min_energy)


def cotangents(targets: Mapping[str, Target], layer_moments: Mapping[str, Moments]) -> dict[str, Cotangent]:
    """Compute the distance of each layer's moments to its target, and the gradient in features.

    On the host, layers are computed in parallel, one thread each.

    Args:
        targets: Distances by layer.
        layer_moments: Moments by layer.

    Returns:
        The distance with its gradient A, b, by layer.
    """
    if any(float64_device(moments.mean.device).type != "cpu" for moments in layer_moments.values()):
        return {layer: targets[layer].cotangent(moments) for layer, moments in layer_moments.items()}
    # Copies from a device are made in the calling thread, which launched the device's work.
    on_host = {layer: moments.on_float64_device() for layer, moments in layer_moments.items()}
    largest_first = sorted(on_host, key=lambda layer: -len(on_host[layer].mean))
    results = run_side_by_side([partial(targets[layer].cotangent, on_host[layer]) for layer in largest_first])
    by_layer = dict(zip(largest_first, results, strict=True))
    return {layer: by_layer[layer] for layer in layer_moments}
