"""A render made ready: pictures, network and settings resolved, nothing computed yet."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor

from tilestyle.canvas.regions import Regions
from tilestyle.canvas.storage import Folder, Memory, Store
from tilestyle.config.enums import Init, Optimiser, Sampler
from tilestyle.config.render import RenderConfig
from tilestyle.distributed import Ranks
from tilestyle.geometry.boxes import Box
from tilestyle.networks.base import FeatureNetwork
from tilestyle.planning.loss_weights import Weights
from tilestyle.planning.memory_budget import Limits
from tilestyle.planning.memory_model import Footprint
from tilestyle.planning.schedule import Level
from tilestyle.planning.style_images import Exemplar
from tilestyle.stats.autocorrelation import AutocorrelationTarget
from tilestyle.stats.moments import Moments


@dataclass(frozen=True)
class Goal:
    """What a level is drawn to at a scale."""

    styles: Sequence[Mapping[str, Moments]]  # of every style layer, for each region
    content: Tensor | None  # [3, H, W], with its margin
    regions: Regions | None = None  # None: all of the canvas is one
    arrangement: Sequence[Mapping[str, AutocorrelationTarget]] = ()  # of its layers, for each region


@dataclass(frozen=True)
class Job:
    """Everything the renderer, or the untiled reference, needs to know."""

    config: RenderConfig
    network: FeatureNetwork
    weights: Weights
    size: Box  # of the finished picture
    levels: tuple[Level, ...]
    side: int  # largest patch side, pixels
    unit: int  # deepest stride in use, pixels
    halo: int  # by which patches see more than they answer for, pixels; a multiple of `unit`
    styles: tuple[Exemplar, ...]  # none: the content's activations alone
    layout: Tensor | None  # [K, h, w], how much of every region the canvas is to be; None: one region
    content: Tensor | None  # [3, h, w]
    colours: Tensor | None  # [3, h, w], the content's own, where luminance alone is rendered
    alpha: Tensor | None  # [1, h, w] of the content
    init: Tensor | Init  # a picture [3, h, w], or what to make one from
    store: Store  # where canvases live
    content_kept: bool  # whether content features are kept beside the canvas while patches can use them
    need: Footprint  # at most, by arithmetic
    limits: Limits
    history: int = 0  # pairs of vectors that L-BFGS remembers
    anchor: Tensor | None = None  # [3, h, w]
    trust: Tensor | None = None  # [1, h, w] of the anchor
    faint: Mapping[str, float] = field(default_factory=dict)  # least energy of each layer (networks.energy)
    style_cache: dict[Any, Any] | None = None  # of measurements of the styles, for jobs that share them

    @property
    def home(self) -> torch.device:
        """What computes on canvases where they live."""
        return self.store.device

    @property
    def settled(self) -> dict[str, Any]:
        """The settings that the machine and its free memory decided: they change pixels."""
        lasting = self.config.optimiser is Optimiser.LBFGS
        return {
            "precision": "bf16" if self.network.dtype is torch.bfloat16 else "fp32",
            "patch": self.side,
            **({"history": self.history} if lasting else {"keep_content": self.content_kept}),
        }

    @property
    def machine(self) -> dict[str, Any]:
        """What decides the pixels besides the settings, as JSON: what the machine chose, and what computes."""
        found = {**self.settled, "device": self.network.device.type}
        if self.network.device.type == "cpu":
            found["threads"] = torch.get_num_threads()
        if self.ranks.count > 1:
            found["processes"] = self.ranks.count
        return found | {"torch": str(torch.__version__)}

    @property
    def ranks(self) -> Ranks:
        """Who renders it."""
        return self.store.ranks

    @property
    def beside(self) -> Store:
        """Where planes are that are nobody else's, while they are looked at: the host, in any case."""
        return Folder(self.store.path) if isinstance(self.store, Folder) else Memory()

    def grid(self, level: Level) -> int:
        """Stride of the grid that patches' corners lie on for a while: 1, unless content features are kept."""
        if not self.content_kept or self._seen_whole(level) or self.config.sampler is Sampler.WINDOWS:
            return 1
        near = self.octaves(level)[1]
        strides = [
            self.network.layers[near[layer]].stride for layer in self.weights.content_layers if layer in near
        ]
        return max(strides, default=1)

    def returns(self, level: Level) -> bool:
        """Whether patches that see all of a canvas come back to a few places, of which content is kept."""
        return self.content_kept and self._seen_whole(level) and self.config.sampler is Sampler.SWEEP

    def side_at(self, level: Level) -> int:
        """Largest patch side at a level, pixels."""
        return min(self.side, level.side) if self.config.locality else self.side

    def octaves(self, level: Level) -> dict[int, dict[str, str]]:
        """Layers by the factor the level's canvas is reduced by to see them: {factor: {layer: name there}}.

        One octave, of factor 1, where one patch sees all of the canvas anyway, and with locality: a patch seen
        from afar would be another place.
        """
        if self.config.locality:
            return {1: self.weights.names}
        octaves = self.network.octaves(self.weights.names)
        return {1: self.weights.names} if self._seen_whole(level) or 1 not in octaves else octaves

    def _seen_whole(self, level: Level) -> bool:
        return max(level.extent.height, level.extent.width) <= self.side_at(level)
