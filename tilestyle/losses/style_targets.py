"""Style targets: the distance of moments to those of a style, and its gradient in features."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial

import torch
from torch import Tensor

from tilestyle.config.enums import Normalize, StyleLoss
from tilestyle.config.render import RenderConfig
from tilestyle.devices.graphs import CapturedFunction, run_in_branches
from tilestyle.devices.threads import run_side_by_side
from tilestyle.devices.transfer import float64_device
from tilestyle.errors import DivergedError
from tilestyle.stats.affine_gradient import AffineGradient
from tilestyle.stats.distances import (
    MIN_ENERGY,
    Cotangent,
    GramTarget,
    StatisticsTarget,
    WassersteinTarget,
    resolve_launched,
)
from tilestyle.stats.moments import Moments

Target = WassersteinTarget | GramTarget | StatisticsTarget
Apply = Callable[[str, Tensor, Tensor], AffineGradient]


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


@dataclass(frozen=True)
class LayerGradient:
    """The gradient of a distance in the features of a layer.

    Attributes:
        cotangent: The distance with A, b.
        applied: The same as it is applied to features; None: not computed here.
    """

    cotangent: Cotangent
    applied: AffineGradient | None = None


class _Launch:
    """Computes the distances of all layers on a device, without waiting for it.

    It is an object of its own because its graph takes memory on the device: held in a circle of references,
    that would stay taken until somebody collects garbage.
    """

    def __init__(
        self, targets: Mapping[str, WassersteinTarget], apply: Apply | None, *, branches: bool
    ) -> None:
        """Take the distances by layer (see `TargetDistances`)."""
        self._targets = targets
        self._apply = apply
        self._branches = branches

    def __call__(self, *inputs: Tensor) -> list[Tensor]:
        """Compute the numbers of all layers [layers, 3], then A and b of each, and both as they are applied.

        Args:
            inputs: Mean and second raw moment of each layer.
        """
        layers = list(self._targets)
        largest_first = sorted(range(len(layers)), key=lambda index: -len(inputs[2 * index]))
        functions = [partial(self._layer, layers[i], *inputs[2 * i : 2 * i + 2]) for i in largest_first]
        device = inputs[0].device
        results = run_in_branches(functions, device) if self._branches else [run() for run in functions]
        by_index = dict(zip(largest_first, results, strict=True))
        in_order = [by_index[index] for index in range(len(layers))]
        numbers = torch.stack([layer_numbers for layer_numbers, *_ in in_order])
        return [numbers, *(part for _, *parts in in_order for part in parts)]

    def _layer(self, layer: str, mean: Tensor, second: Tensor) -> list[Tensor]:
        """Compute the numbers of a layer [3], then its A and b, and both as they are applied."""
        numbers, matrix, offset = self._targets[layer].launch(mean, second)
        applied = self._apply and self._apply(layer, matrix, offset)
        return [numbers, matrix, offset, *((applied.matrix, applied.offset) if applied else ())]


class TargetDistances:
    """The distances of a canvas's moments to targets for each layer, with their gradients in features."""

    def __init__(
        self, targets: Mapping[str, Target], apply: Apply | None = None, *, branches: bool = False
    ) -> None:
        """Take the distances.

        Args:
            targets: By layer.
            apply: Makes A, b of a layer's distance to its gradient as it is applied to features.
            branches: Whether layers are computed side by side on a device, which takes memory.
        """
        self._targets = targets
        self._wasserstein_targets = {
            layer: target for layer, target in targets.items() if isinstance(target, WassersteinTarget)
        }
        self._launched = CapturedFunction(_Launch(self._wasserstein_targets, apply, branches=branches))

    def cotangents(self, layer_moments: Mapping[str, Moments]) -> dict[str, Cotangent]:
        """Compute the distance of each layer's moments to its target, and its A, b (see `gradients`)."""
        return {layer: each.cotangent for layer, each in self.gradients(layer_moments).items()}

    def gradients(self, layer_moments: Mapping[str, Moments]) -> dict[str, LayerGradient]:
        """Compute the distance of each layer's moments to its target, and the gradient in features.

        On the host, layers are computed in parallel, one thread each. On a device all are launched before the
        host waits for their distances, once.

        Args:
            layer_moments: Moments by layer.

        Returns:
            The distance with its gradient, by layer; on a device valid until the next call.

        Raises:
            DivergedError: If moments are not finite.
        """
        if any(float64_device(moments.mean.device).type != "cpu" for moments in layer_moments.values()):
            return self._gradients_on_device(layer_moments)
        check_finite(layer_moments)
        # Copies from a device are made in the calling thread, which launched the device's work.
        on_host = {layer: moments.on_float64_device() for layer, moments in layer_moments.items()}
        largest_first = sorted(on_host, key=lambda layer: -len(on_host[layer].mean))
        results = run_side_by_side(
            [partial(self._targets[layer].cotangent, on_host[layer]) for layer in largest_first]
        )
        by_layer = dict(zip(largest_first, results, strict=True))
        return {layer: LayerGradient(by_layer[layer]) for layer in layer_moments}

    def _gradients_on_device(self, layer_moments: Mapping[str, Moments]) -> dict[str, LayerGradient]:
        """Do the same as `gradients` on a device that computes in float64."""
        results: dict[str, LayerGradient] = {}
        if self._wasserstein_targets and self._wasserstein_targets.keys() <= layer_moments.keys():
            inputs = [
                part
                for layer in self._wasserstein_targets
                for part in (layer_moments[layer].mean, layer_moments[layer].second)
            ]
            numbers, *parts = self._launched(*inputs)
            count = len(parts) // len(self._wasserstein_targets)  # of a layer
            for index, (layer, facts) in enumerate(
                zip(self._wasserstein_targets, numbers.tolist(), strict=True)
            ):
                matrix, offset, *applied = parts[count * index : count * (index + 1)]
                cotangent = resolve_launched(facts, matrix, offset)
                if cotangent is not None:
                    results[layer] = LayerGradient(cotangent, AffineGradient(*applied) if applied else None)
        if results.keys() != layer_moments.keys():
            check_finite(layer_moments)
        return {
            layer: results.get(layer) or LayerGradient(self._targets[layer].cotangent(moments))
            for layer, moments in layer_moments.items()
        }


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
