"""Distances of single patches to targets of their own, with their gradients in features.

Both change with every patch: moments of the patch are mixed with those of the canvas, and moments of its window
in the style with those of the whole style (style_local.py).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial

from torch import Tensor, cat, split, stack

from tilestyle.config.enums import Normalize, StyleLoss
from tilestyle.config.render import RenderConfig
from tilestyle.devices.graphs import CapturedFunction, run_in_branches
from tilestyle.devices.threads import run_side_by_side
from tilestyle.devices.transfer import float64_device
from tilestyle.losses.running_moments import LayerFactors
from tilestyle.losses.style_targets import Target, check_finite, make_target
from tilestyle.stats.distances import MIN_ENERGY, Cotangent, VaryingWassersteinTarget, resolve_launched
from tilestyle.stats.moments import Moments, MomentSum, mix_moments


class PatchDistances:
    """The distances of patches, mixed with the canvas, to targets for their places."""

    def __init__(
        self, style_moments: Mapping[str, Moments], layers: LayerFactors, config: RenderConfig
    ) -> None:
        """Take what all patches share.

        Args:
            style_moments: Moments of the whole style, by layer.
            layers: The style layers.
            config: Settings: which distance, and the share of a patch's own moments.
        """
        self._style_moments = {layer: each.on_float64_device() for layer, each in style_moments.items()}
        self._layers, self._config = layers, config
        self.canvas_targets = {layer: self._target(layer, moments) for layer, moments in style_moments.items()}
        # Distances are relative to the whole style. Relative to each window, flat windows would dominate.
        self._energies = {layer: target.energy for layer, target in self.canvas_targets.items()}
        can_launch = config.style_loss is StyleLoss.W2 and config.normalize is Normalize.RELATIVE
        launch = _Launch(style_moments, self._energies, layers.energy_floors, config.locality)
        self._launch = (CapturedFunction(launch) if layers.captures else launch) if can_launch else None

    def cotangents(
        self,
        cells: Mapping[str, Tensor],
        targets: Mapping[str, Moments],
        canvas_moments: Mapping[str, Moments],
    ) -> dict[str, Cotangent]:
        """Compute the gradient of each layer's distance at the mixture of the patch and the canvas.

        On the host, layers are computed in parallel, one thread each. A device that computes in float64
        launches all layers before the host waits for their distances, once. Another device sends their moments
        to the host, once.

        Args:
            cells: Features that the patch owns, by layer, [1, C, h, w].
            targets: Moments of the style at its place, by layer.
            canvas_moments: Moments of the canvas, by layer; empty: those of the patch stand for them.

        Returns:
            A, b of each layer; on a device valid until the next call.

        Raises:
            DivergedError: If moments are not finite.
        """
        device = self._layers.network.device
        largest_first = sorted(cells, key=lambda layer: -cells[layer].shape[1])
        if device.type == "cpu":
            functions = [
                partial(self._from_cells, layer, cells[layer], targets[layer], canvas_moments.get(layer))
                for layer in largest_first
            ]
            return dict(zip(largest_first, run_side_by_side(functions), strict=True))
        moments = {layer: _moments_of(cells[layer]) for layer in self._style_moments}
        if float64_device(device).type == "cpu":
            return self._from_device(largest_first, moments, targets, canvas_moments)
        launched = {}
        if self._launch is not None:
            launched = self._launched(self._launch, moments, targets, canvas_moments)
        return {
            layer: launched.get(layer)
            or self._from_moments(layer, moments[layer], targets[layer], canvas_moments.get(layer))
            for layer in largest_first
        }

    def _launched(
        self,
        launch: CapturedFunction | _Launch,
        moments: Mapping[str, Moments],
        targets: Mapping[str, Moments],
        canvas_moments: Mapping[str, Moments],
    ) -> dict[str, Cotangent]:
        """Compute `cotangents` on the device, without those that have to be computed in another way."""
        parts = [
            (moments[layer], canvas_moments.get(layer, moments[layer]), targets[layer]) for layer in moments
        ]
        numbers, *results = launch(
            *(each for layer_parts in parts for part in layer_parts for each in (part.mean, part.second))
        )
        cotangents = {}
        for index, (layer, facts) in enumerate(zip(moments, numbers.tolist(), strict=True)):
            cotangent = resolve_launched(facts, *results[2 * index : 2 * index + 2])
            if cotangent is not None:
                cotangents[layer] = cotangent
        return cotangents

    def _from_device(
        self,
        layers: Sequence[str],
        moments: Mapping[str, Moments],
        targets: Mapping[str, Moments],
        canvas_moments: Mapping[str, Moments],
    ) -> dict[str, Cotangent]:
        """Compute `cotangents` on the host, from moments on a device, in the order of these layers."""
        sources = (moments, targets, canvas_moments)
        keys = [(index, layer) for index, each in enumerate(sources) for layer in layers if layer in each]
        copies = _copied_to_host([sources[index][layer] for index, layer in keys])
        on_host = dict(zip(keys, copies, strict=True))
        functions = [
            partial(self._from_moments, layer, on_host[0, layer], on_host[1, layer], on_host.get((2, layer)))
            for layer in layers
        ]
        return dict(zip(layers, run_side_by_side(functions), strict=True))

    def _from_cells(
        self, layer: str, cells: Tensor, target: Moments, canvas_moments: Moments | None
    ) -> Cotangent:
        """Compute the gradient of a layer from the features that the patch owns, [1, C, h, w]."""
        return self._from_moments(layer, _moments_of(cells), target, canvas_moments)

    def _from_moments(
        self, layer: str, moments: Moments, target: Moments, canvas_moments: Moments | None
    ) -> Cotangent:
        """Compute the gradient of a layer from the moments of the patch, of its place and of the canvas."""
        check_finite({layer: moments})
        share = self._config.locality
        mixed_target = mix_moments([self._style_moments[layer], target], [1 - share, share])
        if canvas_moments is not None:
            moments = mix_moments([canvas_moments, moments], [1 - share, share])
        distance = self._target(layer, mixed_target)
        return distance.cotangent(moments).scaled(distance.energy / self._energies[layer])

    def _target(self, layer: str, moments: Moments) -> Target:
        """Return a layer's distance to these moments."""
        return make_target(moments, self._config, self._layers.energy_floors.get(layer, MIN_ENERGY))


class _Launch:
    """Computes the distances of all layers of a patch on a device, without waiting for it."""

    def __init__(
        self,
        style_moments: Mapping[str, Moments],
        energies: Mapping[str, float],
        energy_floors: Mapping[str, float],
        share: float,
    ) -> None:
        """Take what all patches share; `share` is that of a patch in its mixtures."""
        self._share = share
        self._style = [(each.mean, each.second) for each in style_moments.values()]
        self._targets = [
            VaryingWassersteinTarget(len(each.mean), energies[layer], energy_floors.get(layer, MIN_ENERGY))
            for layer, each in style_moments.items()
        ]

    def __call__(self, *inputs: Tensor) -> Sequence[Tensor]:
        """Compute the numbers of all layers [layers, 3], then A and b of each.

        Args:
            inputs: Of each layer, mean and second raw moment of the patch, of the canvas, and of the patch's
                window in the style.
        """
        largest_first = sorted(range(len(self._targets)), key=lambda index: -len(inputs[6 * index]))
        functions = [partial(self._layer, index, inputs[6 * index :][:6]) for index in largest_first]
        results = run_in_branches(functions, inputs[0].device)
        by_index = dict(zip(largest_first, results, strict=True))
        in_order = [by_index[index] for index in range(len(self._targets))]
        numbers = stack([layer_numbers for layer_numbers, *_ in in_order])
        return [numbers, *(part for _, *gradient in in_order for part in gradient)]

    def _layer(self, index: int, inputs: Sequence[Tensor]) -> Sequence[Tensor]:
        """Compute the numbers of a layer [3], its A and its b."""
        patch_moments, canvas_moments, window_moments = (inputs[2 * part :][:2] for part in range(3))
        return self._targets[index].launch(
            *self._mixed(canvas_moments, patch_moments), *self._mixed(self._style[index], window_moments)
        )

    def _mixed(self, whole: Sequence[Tensor], part: Sequence[Tensor]) -> list[Tensor]:
        """Mix mean and second raw moment of the whole with those of a part, in float64."""
        return [a.double().lerp(b.double(), self._share) for a, b in zip(whole, part, strict=True)]


def _moments_of(cells: Tensor) -> Moments:
    """Return the moments of features [1, C, h, w]."""
    total = MomentSum()
    total.add(cells)
    return total.moments()


def _copied_to_host(parts: Sequence[Moments]) -> list[Moments]:
    """Copy moments on a device to the host, all at once: it is waited for once."""
    tensors = [tensor for part in parts for tensor in (part.mean, part.second)]
    sizes = [tensor.numel() for tensor in tensors]
    pieces = split(cat([tensor.flatten() for tensor in tensors]).cpu(), sizes)
    copies = [piece.view(tensor.shape) for piece, tensor in zip(pieces, tensors, strict=True)]
    return [
        Moments(part.count, mean, second)
        for part, mean, second in zip(parts, copies[::2], copies[1::2], strict=True)
    ]
