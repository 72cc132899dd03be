"""Style targets: the distance of moments to those of a style, and its gradient in features."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial

import torch
from torch import Tensor

from tilestyle.config.enums import Normalize, StyleLoss
from tilestyle.config.render import RenderConfig
from tilestyle.devices.graphs import CapturedFunction
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


class TargetDistances:
    """The distances of a canvas's moments to targets for each layer, with their gradients in features."""

    def __init__(self, targets: Mapping[str, Target]) -> None:
        """Take the distances by layer."""
        self._targets = targets
        self._transported = {
            layer: target for layer, target in targets.items() if isinstance(target, WassersteinTarget)
        }
        self._from_factors = CapturedFunction(self._compute_from_factors)

    def cotangents(self, layer_moments: Mapping[str, Moments]) -> dict[str, Cotangent]:
        """Compute the distance of each layer's moments to its target, and the gradient in features.

        On the host, layers are computed in parallel, one thread each. On a device all are launched before the
        host waits for their distances, once.

        Args:
            layer_moments: Moments by layer.

        Returns:
            The distance with its gradient A, b, by layer.

        Raises:
            DivergedError: If moments are not finite.
        """
        if any(float64_device(moments.mean.device).type != "cpu" for moments in layer_moments.values()):
            return self._cotangents_on_device(layer_moments)
        check_finite(layer_moments)
        # Copies from a device are made in the calling thread, which launched the device's work.
        on_host = {layer: moments.on_float64_device() for layer, moments in layer_moments.items()}
        largest_first = sorted(on_host, key=lambda layer: -len(on_host[layer].mean))
        results = run_side_by_side(
            [partial(self._targets[layer].cotangent, on_host[layer]) for layer in largest_first]
        )
        by_layer = dict(zip(largest_first, results, strict=True))
        return {layer: by_layer[layer] for layer in layer_moments}

    def _cotangents_on_device(self, layer_moments: Mapping[str, Moments]) -> dict[str, Cotangent]:
        """Do the same as `cotangents` on a device that computes in float64."""
        results: dict[str, Cotangent | None] = {}
        if self._transported and self._transported.keys() <= layer_moments.keys():
            factors = [
                part
                for layer, target in self._transported.items()
                for part in target.factored(layer_moments[layer])
            ]
            numbers, *parts = self._from_factors(*factors)
            for index, ((layer, target), facts) in enumerate(
                zip(self._transported.items(), numbers.tolist(), strict=True)
            ):
                results[layer] = target.resolve(facts, *parts[2 * index : 2 * index + 2])
        if not all(results.get(layer) for layer in layer_moments):
            check_finite(layer_moments)
        return {
            layer: results.get(layer) or self._targets[layer].cotangent(moments)
            for layer, moments in layer_moments.items()
        }

    def _compute_from_factors(self, *factors: Tensor) -> list[Tensor]:
        """Compute the numbers of all layers [layers, 3], then A and b of each, from four tensors a layer."""
        numbers, parts = [], []
        for index, target in enumerate(self._transported.values()):
            facts, matrix, offset = target.from_factor(*factors[4 * index : 4 * index + 4])
            numbers.append(facts)
            parts += [matrix, offset]
        return [torch.stack(numbers), *parts]


def check_finite(layer_moments: Mapping[str, Moments]) -> None:
    """Raise DivergedError unless the moments of all layers are finite."""
    finite = [torch.isfinite(moments.second).all() for moments in layer_moments.values()]
    if not finite or torch.stack(finite).all():
        return
    layer = next(layer for layer, ok in zip(layer_moments, finite, strict=True) if not ok)
    raise DivergedError(
        f"the features of layer {layer} are not finite: the optimization diverged",
        hint="use lower weights (and a lower learning_rate from Python), or --precision fp32",
    )
