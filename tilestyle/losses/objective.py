"""The loss of one level at one scale, as the gradient of a patch."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from tilestyle.config.enums import ContentLoss
from tilestyle.devices.transfer import sent
from tilestyle.distributed import Ranks
from tilestyle.geometry.boxes import Box, Extent, Patch
from tilestyle.geometry.rng import Draw
from tilestyle.losses.content import Content
from tilestyle.losses.palette import PaletteTerm
from tilestyle.losses.stateful import Stateful
from tilestyle.losses.total_variation import total_variation, total_variation_gradient
from tilestyle.networks.base import FeatureNetwork, inner
from tilestyle.planning.loss_weights import Weights
from tilestyle.stats.self_similarity import sampled, self_similarity


@dataclass(frozen=True)
class Terms:
    """The parts of the loss, each relative: 1 is the distance of a canvas that has none of it."""

    style: float
    content: float
    tv: float
    anchor: float = 0.0
    palette: float = 0.0
    content_weight: float | None = None  # in this sweep, where it is adjusted (strength.py)

    def __add__(self, other: Terms) -> Terms:
        """Those of both."""
        return Terms(
            self.style + other.style,
            self.content + other.content,
            self.tv + other.tv,
            self.anchor + other.anchor,
            self.palette + other.palette,
        )


class StyleTerm(Stateful, ABC):
    """A style loss: what matches the features of a level to those of the style (style_global, style_local)."""

    @property
    @abstractmethod
    def ready(self) -> bool:
        """Whether there are statistics of an earlier sweep to work with."""

    @abstractmethod
    def measure(self, features: Mapping[str, Tensor], patch: Patch) -> None:
        """Add the moments of a patch to the sums."""

    @abstractmethod
    def pull(self, features: Mapping[str, Tensor], patch: Patch, *, alone: bool) -> dict[str, Tensor]:
        """Add a patch to the sums; return its gradients at every cell of each layer.

        Args:
            features: Of the style layers, [1, C, h, w] each.
            patch: What they are features of.
            alone: Whether the patch is the whole canvas: then its own moments make the gradient.

        Returns:
            Gradients of the loss times the number of canvas pixels, shaped like the features.
        """

    @abstractmethod
    def correct(self, *, lasting: bool) -> None:
        """Take the sums since the last sweep as exact moments of the canvas (Objective.correct)."""

    @abstractmethod
    def turn(self, memory: float, lead: float) -> float:
        """End a sweep, with `memory` and `lead` as Objective.turn has them; return the loss."""


class Objective(Stateful):
    """Style against moments one sweep old, content and smoothness here and now.

    Gradients are those of the loss times the number of canvas pixels: of order one at any resolution,
    so that the optimiser's state means the same on every level.
    """

    def __init__(
        self,
        network: FeatureNetwork,
        style: StyleTerm,
        content: Content | None,
        weights: Weights,
        extent: Extent,
        scale: int = 1,
    ) -> None:
        self._network = network
        self._style = style
        self._content = content
        self._weights = weights
        self._extent = extent
        self._scale = scale
        self.palette: PaletteTerm | None = None  # set by whoever has one
        self._layers = {**weights.style_layers, **(weights.content_layers if content else {})}
        self._content_weight = weights.content
        self._begin()

    def weigh(self, content: float) -> None:
        """Give the content another weight from now on."""
        self._content_weight = content

    def parts(self) -> Mapping[str, Stateful]:
        """Return the style and palette losses."""
        return {"style": self._style} | ({"palette": self.palette} if self.palette else {})

    def own_state(self) -> dict[str, Tensor]:
        """Return the sums of the other losses."""
        return {"losses": self._losses}

    def load_own_state(self, state: Mapping[str, Tensor]) -> None:
        """Restore `own_state`."""
        self._losses = state["losses"].to(self._network.device)

    def all_reduce(self, comm: Ranks) -> None:
        """Add up the sums over all processes: then all have the same."""
        super().all_reduce(comm)
        comm.add(self._losses)

    def reset_sums(self) -> None:
        """Forget the sums since the last sweep."""
        super().reset_sums()
        self._begin()

    def _begin(self) -> None:
        self._losses = torch.zeros(2, device=self._network.device)  # content, tv

    @property
    def styled(self) -> bool:
        """Whether there is a style to come near to, whose moments count."""
        return bool(self._weights.style_layers)

    @property
    def ready(self) -> bool:
        """Whether there are moments of an earlier sweep to work with."""
        return self._style.ready and (self.palette is None or self.palette.ready)

    def measure(self, window: Tensor, patch: Patch) -> None:
        """Count the moments of a patch in, without a gradient; `window` [3, h, w]."""
        with torch.no_grad():
            features = self._network.features(self._shown(window), self._weights.style_layers)
            self._style.measure(features, patch)
            if self.palette:
                self.palette.measure(self._colours(window), patch)

    def gradient(
        self,
        window: Tensor,
        patch: Patch,
        draw: Draw | None = None,
        *,
        alone: bool = False,
        owned: bool = False,
    ) -> Tensor:
        """Gradient of the loss [3, h, w] in the patch's pixels, float32 on the device; `window` the same.

        Summed over the canvas pixels that each patch pixel averages. A patch that is the whole canvas,
        `alone`, has its moments in hand before it needs their cotangents: they are not one sweep old. `owned`
        is the share of the cells that it owns: those of all patches add up to the gradient of the canvas.
        `draw` decides at which places self-similarity is compared; by default the same in every sweep.
        """
        pixels = self._shown(window).requires_grad_()
        features = self._network.features(pixels, self._layers)
        with torch.no_grad():
            pulled = self._style.pull(features, patch, alone=alone)
            wanted = self._content.features(patch) if self._content else {}
            kept = (
                self._similarity
                if self._weights.content_loss is ContentLoss.SELF_SIMILARITY
                else self._likeness
            )
            at = Place(patch, draw or Draw(0, 0, 0), owned)
            cotangents = []
            for layer, response in features.items():
                cotangent = pulled.get(layer)
                cotangents.append(torch.zeros_like(response) if cotangent is None else cotangent)
                if layer in wanted:
                    kept(layer, response, wanted[layer], cotangents[-1], at)
            if owned:
                cotangents = [
                    self._kept(pull, patch.cells(self._network.layers[layer].stride))
                    for layer, pull in zip(features, cotangents, strict=True)
                ]
        (gradient,) = torch.autograd.grad(_Pull.apply(cotangents, *features.values()), pixels)
        gradient = gradient[0].float()
        if self.palette:
            gradient += self.palette.pull(self._colours(window), patch, alone=alone)
        if self._weights.tv:
            values = pixels.detach()[0].float()
            kind = self._weights.tv_form, self._weights.tv_exponent
            self._losses[1] += total_variation(values, *kind) * (patch.owned.area / self._extent.area)
            gradient += self._weights.tv * self._scale**2 * total_variation_gradient(values, *kind)
        return gradient

    def _likeness(self, layer: str, features: Tensor, wanted: Tensor, gradient: Tensor, at: Place) -> None:
        """Count the content loss of a layer in; add its gradient, times the canvas's pixels, at every cell."""
        assert self._content is not None, "there is something wanted"
        density = (self._network.layers[layer].stride * self._scale) ** 2
        share = self._weights.content_layers[layer] / (features.shape[1] * self._content.energy[layer])
        difference = features - wanted
        owned = inner(difference, at.patch.cells(self._network.layers[layer].stride))
        self._losses[0] += share * owned.float().square().sum() * density / self._extent.area
        gradient.add_(difference, alpha=2 * self._content_weight * share * density)

    def _similarity(self, layer: str, features: Tensor, wanted: Tensor, gradient: Tensor, at: Place) -> None:
        """The same by self-similarity, of the places that are compared."""
        assert self._content is not None, "there is something wanted"
        stride, share = self._network.layers[layer].stride, self._weights.content_layers[layer]
        cells = at.patch.cells(stride) if at.owned else Box(0, 0, *features.shape[2:])
        if not cells.area:
            return
        rows, columns = (
            sent(torch.from_numpy(x), features.device, torch.int64)
            for x in sampled(cells, at.draw, at.patch.read)
        )
        least, unit = self._content.least_norm(layer), self._content.energy[layer]
        ours, theirs = (values[0][:, rows, columns].float() for values in (features, wanted))
        loss, slope = self_similarity(ours, theirs, least, unit)
        self._losses[0] += share * loss * at.patch.owned.area / self._extent.area
        # The loss is a mean over the cells that the patch sees, and counts for the canvas pixels under them.
        area = cells.area * (stride * self._scale) ** 2
        gradient[0][:, rows, columns] += (slope * (self._content_weight * share * area)).to(gradient.dtype)

    @staticmethod
    def _kept(pull: Tensor, cells: Box) -> Tensor:
        """Zero but for the given cells."""
        kept = torch.zeros_like(pull)
        inner(kept, cells).copy_(inner(pull, cells))
        return kept

    def _shown(self, window: Tensor) -> Tensor:
        return sent(window[None], self._network.device, self._network.dtype)

    def _colours(self, window: Tensor) -> Tensor:
        """The window as it is, not in the network's arithmetic: bins are finer than that of bfloat16."""
        return sent(window.detach(), self._network.device, torch.float32)

    def correct(self, *, lasting: bool) -> None:
        """Take what was measured since the last sweep as the exact moments of the canvas.

        They make the cotangents of the coming sweep. If `lasting`, what the padded edges of its patches add to
        them is noted at its end, and taken off the moments of the sweeps after it.
        """
        self._style.correct(lasting=lasting)
        if self.palette:
            self.palette.correct()

    def turn(self, memory: float = 0.0, lead: float = 0.0) -> Terms:
        """End a sweep: its moments make the cotangents of the next; answers the sweep's terms.

        `memory` is the share of the earlier moments kept, for sweeps that do not see every pixel; `lead` how
        far cotangents are taken on along the way they came (Pull.turn).
        """
        style = self._style.turn(memory, lead)
        content, tv = self._losses.tolist()
        self._begin()
        return Terms(style, content, tv, palette=self.palette.turn(memory) if self.palette else 0.0)


@dataclass(frozen=True)
class Place:
    """The part of a canvas that is looked at."""

    patch: Patch
    draw: Draw  # of the sweep
    owned: bool  # whether only the cells count that the patch owns


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
