"""The loss of one level at one scale, as the gradient of a patch."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor

from tilestyle.config import TvForm
from tilestyle.content import Content
from tilestyle.errors import DivergedError
from tilestyle.geometry import Box, Extent, Patch
from tilestyle.moments import Correction, Cotangent, Moments, MomentSum, combined
from tilestyle.networks.network import FeatureNetwork
from tilestyle.style import Target, inner
from tilestyle.transfer import sent
from tilestyle.tv import total_variation, total_variation_gradient


@dataclass(frozen=True)
class Terms:
    """The parts of the loss, each relative: 1 is the distance of a canvas that has none of it."""

    style: float
    content: float
    tv: float
    anchor: float = 0.0

    def __add__(self, other: Terms) -> Terms:
        """Those of both."""
        return Terms(
            self.style + other.style,
            self.content + other.content,
            self.tv + other.tv,
            self.anchor + other.anchor,
        )


@dataclass(frozen=True)
class Weights:
    """Weights of the terms, and of the layers within style and content; layers' sum to one."""

    style: float
    content: float
    tv: float
    style_layers: Mapping[str, float]
    content_layers: Mapping[str, float]
    tv_form: TvForm = TvForm.NEIGHBOURS
    tv_exponent: float = 2.0

    @property
    def names(self) -> dict[str, str]:
        """Every layer in use, under its own name."""
        return {layer: layer for layer in (*self.style_layers, *self.content_layers)}

    def of(self, names: Mapping[str, str]) -> Weights:
        """The share of these layers, under these names."""
        style, content = (
            {names[layer]: weight for layer, weight in layers.items() if layer in names}
            for layers in (self.style_layers, self.content_layers)
        )
        return replace(self, style_layers=style, content_layers=content)


class Objective:
    """Style against the moments of the whole canvas one sweep ago, content and smoothness here and now.

    Gradients are those of the loss times the number of canvas pixels: of order one at any resolution,
    so that the optimiser's state means the same on every level.
    """

    def __init__(
        self,
        network: FeatureNetwork,
        targets: Mapping[str, Target],
        content: Content | None,
        weights: Weights,
        extent: Extent,
        scale: int = 1,
    ) -> None:
        self._network = network
        self._targets = targets
        self._content = content
        self._weights = weights
        self._extent = extent
        self._scale = scale
        self._layers = {**weights.style_layers, **(weights.content_layers if content else {})}
        self._cotangents: dict[str, Cotangent] = {}
        self._moments: dict[str, Moments] = {}
        self._exact: dict[str, Moments] = {}
        self._corrections: dict[str, Correction] = {}
        self._begin()

    def _begin(self) -> None:
        self._sums = {layer: MomentSum() for layer in self._targets}
        self._losses = torch.zeros(2, device=self._network.device)  # content, tv
        self._style: float | None = None  # the style term, once it is known

    def _counted(self) -> dict[str, Moments]:
        return {layer: total.moments() for layer, total in self._sums.items()}

    @property
    def state(self) -> dict[str, Tensor]:
        """All that it has seen of the canvas, as tensors by name, to be stored."""
        parts: dict[str, Mapping[str, Moments | Correction | MomentSum]] = {
            "moments": self._moments,
            "exact": self._exact,
            "corrections": self._corrections,
            "sums": self._sums,
        }
        state = {"losses": self._losses} | {
            f"{part} {layer} {name}": tensor
            for part, layers in parts.items()
            for layer, seen in layers.items()
            for name, tensor in seen.state.items()
        }
        if self._style is not None:
            state["style"] = torch.tensor(self._style, dtype=torch.float64)
        return state

    def restore(self, state: Mapping[str, Tensor]) -> None:
        """Go on from such a state."""
        parts: dict[str, dict[str, dict[str, Tensor]]] = {}
        device = self._network.device
        for key, tensor in state.items():
            part, *names = key.split(" ")
            if names:
                home = "cpu" if part == "corrections" else device
                parts.setdefault(part, {}).setdefault(names[0], {})[names[1]] = tensor.to(home)
        self._aim({layer: Moments.of_state(seen) for layer, seen in parts.get("moments", {}).items()})
        self._exact = {layer: Moments.of_state(seen) for layer, seen in parts.get("exact", {}).items()}
        self._corrections = {
            layer: Correction.of_state(seen) for layer, seen in parts.get("corrections", {}).items()
        }
        self._sums |= {layer: MomentSum.of_state(seen) for layer, seen in parts.get("sums", {}).items()}
        self._losses = state["losses"].to(device)
        self._style = float(state["style"]) if "style" in state else None

    @property
    def ready(self) -> bool:
        """Whether there are moments of an earlier sweep to work with."""
        return bool(self._moments)

    def measure(self, window: Tensor, patch: Patch) -> None:
        """Count the moments of a patch in, without a gradient; `window` [3, h, w]."""
        with torch.no_grad():
            self._count(self._network.features(self._shown(window), self._targets), patch)

    def gradient(self, window: Tensor, patch: Patch, *, alone: bool = False, owned: bool = False) -> Tensor:
        """Gradient of the loss [3, h, w] in the patch's pixels, float32 on the device; `window` the same.

        Summed over the canvas pixels that each patch pixel averages. A patch that is the whole canvas,
        `alone`, has its moments in hand before it needs their cotangents: they are not one sweep old. `owned`
        is the share of the cells that it owns: those of all patches add up to the gradient of the canvas.
        """
        pixels = self._shown(window).requires_grad_()
        features = self._network.features(pixels, self._layers)
        with torch.no_grad():
            self._count(features, patch)
            if alone:
                self._style = self._aim(self._counted())
            wanted = self._content.features(patch) if self._content else {}
            cotangents = [
                self._cotangent(layer, features[layer], wanted.get(layer), patch) for layer in features
            ]
            if owned:
                cotangents = [
                    self._kept(pull, patch.cells(self._network.layers[layer].stride))
                    for layer, pull in zip(features, cotangents, strict=True)
                ]
        (gradient,) = torch.autograd.grad(_Pull.apply(cotangents, *features.values()), pixels)
        gradient = gradient[0].float()
        if self._weights.tv:
            values = pixels.detach()[0].float()
            kind = self._weights.tv_form, self._weights.tv_exponent
            self._losses[1] += total_variation(values, *kind) * (patch.owned.area / self._extent.area)
            gradient += self._weights.tv * self._scale**2 * total_variation_gradient(values, *kind)
        return gradient

    def _cotangent(self, layer: str, features: Tensor, wanted: Tensor | None, patch: Patch) -> Tensor:
        """Gradient of the loss, times the canvas's pixels, at every cell of a layer."""
        density = self._density(layer)
        if layer in self._cotangents:
            gradient = self._cotangents[layer].at(features)
        else:
            gradient = torch.zeros_like(features)
        if wanted is not None and self._content is not None:
            share = self._weights.content_layers[layer] / (features.shape[1] * self._content.energy[layer])
            difference = features - wanted
            owned = inner(difference, patch.cells(self._network.layers[layer].stride))
            self._losses[0] += share * owned.float().square().sum() * density / self._extent.area
            gradient = gradient.add_(difference, alpha=2 * self._weights.content * share * density)
        return gradient

    @staticmethod
    def _kept(pull: Tensor, cells: Box) -> Tensor:
        """Zero but for the given cells."""
        kept = torch.zeros_like(pull)
        inner(kept, cells).copy_(inner(pull, cells))
        return kept

    def _density(self, layer: str) -> int:
        """Canvas pixels for every cell of a layer: what turns a mean over cells into one over pixels."""
        return (self._network.layers[layer].stride * self._scale) ** 2

    def _shown(self, window: Tensor) -> Tensor:
        return sent(window[None], self._network.device, self._network.dtype)

    def _count(self, features: Mapping[str, Tensor], patch: Patch) -> None:
        for layer, total in self._sums.items():
            total.add(inner(features[layer].detach(), patch.cells(self._network.layers[layer].stride)))

    def correct(self, *, lasting: bool) -> None:
        """Take what was measured since the last sweep as the exact moments of the canvas.

        They make the cotangents of the coming sweep. If `lasting`, what the padded edges of its patches add to
        them is noted at its end, and taken off the moments of the sweeps after it.
        """
        exact = self._counted()
        self._aim(exact)
        self._exact = exact if lasting else {}
        self._begin()

    def turn(self, memory: float = 0.0) -> Terms:
        """End a sweep: its moments make the cotangents of the next; answers the sweep's terms.

        `memory` is the share of the earlier moments kept, for sweeps that do not see every pixel.
        """
        style = self._aim(self._recent(memory)) if self._style is None else self._style
        content, tv = self._losses.tolist()
        self._begin()
        return Terms(style, content, tv)

    def _recent(self, memory: float) -> dict[str, Moments]:
        """The moments of the sweep that ends, corrected or mixed with earlier ones."""
        found = self._counted()
        if self._exact and not memory:
            self._corrections = {
                layer: Correction.between(found[layer], exact) for layer, exact in self._exact.items()
            }
        self._exact = {}
        for layer, moments in found.items():
            if memory and self.ready:
                found[layer] = combined([self._moments[layer], moments], [memory, 1 - memory])
            elif layer in self._corrections:
                found[layer] = self._corrections[layer](moments)
        return found

    def _aim(self, found: Mapping[str, Moments]) -> float:
        """Make the cotangents from these moments; answers the style term."""
        style = 0.0
        for layer, moments in found.items():
            if not torch.isfinite(moments.second).all():
                raise DivergedError(
                    f"the features of {layer} are not finite any more",
                    hint="lower the learning rate or the weights, or use --precision fp32",
                )
            weight = self._weights.style_layers[layer]
            cotangent = self._targets[layer].cotangent(moments)
            style += weight * cotangent.value
            factor = self._weights.style * weight * self._density(layer)
            self._cotangents[layer] = cotangent.scaled(factor).to(self._network.device, self._network.dtype)
        self._moments = dict(found)
        return style


class _Pull(torch.autograd.Function):
    """A scalar whose gradient in the features is the given cotangents.

    What `grad_outputs` is for; but torch checks those with the help of sympy, whose import takes a second.
    """

    @staticmethod
    def forward(ctx: Any, cotangents: list[Tensor], *features: Tensor) -> Tensor:
        ctx.cotangents = cotangents
        return features[0].new_zeros(())

    @staticmethod
    def backward(ctx: Any, *ones: Tensor) -> Any:
        return None, *ctx.cotangents
