"""The job of a render: its pictures, network and settings, resolved; nothing is computed yet."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor

from tilestyle.canvas.content_map import ContentMap
from tilestyle.canvas.regions import RegionWeights
from tilestyle.canvas.storage import MappedStore, MemoryStore, PlaneStore
from tilestyle.config.enums import Init, Optimizer, Sampler
from tilestyle.config.render import RenderConfig
from tilestyle.distributed import Communicator
from tilestyle.geometry.boxes import Box
from tilestyle.networks.base import FeatureNetwork
from tilestyle.planning.loss_weights import LossWeights
from tilestyle.planning.memory_limits import MemoryLimits
from tilestyle.planning.memory_model import MemoryEstimate
from tilestyle.planning.schedule import Level
from tilestyle.planning.style_images import Exemplar
from tilestyle.stats.autocorrelation import AutocorrelationTarget
from tilestyle.stats.moments import Moments


@dataclass(frozen=True)
class LevelTargets:
    """The targets of a level at one scale.

    Attributes:
        style_moments: For each region, the target moments of every style layer.
        content: The content [3, H, W] with its margin; None without one.
        regions: Weights of the regions; None: the whole canvas is one region.
        autocorrelations: For each region, the target autocorrelations of their layers.
        content_map: Factors of the content weight; None: 1 everywhere.
    """

    style_moments: Sequence[Mapping[str, Moments]]
    content: Tensor | None
    regions: RegionWeights | None = None
    autocorrelations: Sequence[Mapping[str, AutocorrelationTarget]] = ()
    content_map: ContentMap | None = None


@dataclass(frozen=True)
class Job:
    """Everything that the renderer, or the untiled reference, needs to know.

    Attributes:
        config: The settings.
        network: The network, on its device.
        weights: Weights of the loss terms and layers.
        size: Size of the finished picture.
        levels: The levels, from coarse to fine.
        patch_side: Largest patch side, pixels.
        unit: Deepest stride in use, pixels.
        halo: Pixels that patches read beyond what they own; a multiple of `unit`.
        styles: The styles; empty for a picture from the content's activations alone.
        region_weights: Weight of every region in the canvas, [K, h, w]; None: one region.
        content: The content [3, h, w]; None for a texture.
        content_colors: Pixels of the content [3, h, w] with their own colors, if only luminance is rendered.
        alpha: Transparency of the content, [1, h, w].
        init: The picture to start from, [3, h, w], or how to make one.
        store: Where canvases are stored.
        content_kept: Whether content features are cached while patches can use them again.
        memory_estimate: What the render needs at most.
        memory_limits: Memory limits.
        history: Vector pairs that L-BFGS stores.
        anchor: The anchor [3, h, w].
        trust: Trust map of the anchor, [1, h, w].
        energy_floors: Smallest energy of each layer (networks.energy).
        style_cache: Measurements of the styles, shared by jobs; None: measured again each time.
        content_map: Factor of the content weight over the picture, [1, h, w]; None: 1 everywhere.
        face_count: Number of faces that were found; None if none were looked for.
    """

    config: RenderConfig
    network: FeatureNetwork
    weights: LossWeights
    size: Box
    levels: tuple[Level, ...]
    patch_side: int
    unit: int
    halo: int
    styles: tuple[Exemplar, ...]
    region_weights: Tensor | None
    content: Tensor | None
    content_colors: Tensor | None
    alpha: Tensor | None
    init: Tensor | Init
    store: PlaneStore
    content_kept: bool
    memory_estimate: MemoryEstimate
    memory_limits: MemoryLimits
    history: int = 0
    anchor: Tensor | None = None
    trust: Tensor | None = None
    energy_floors: Mapping[str, float] = field(default_factory=dict)
    style_cache: dict[Any, Any] | None = None
    content_map: Tensor | None = None
    face_count: int | None = None

    @property
    def canvas_device(self) -> torch.device:
        """The device that stores canvases and updates them."""
        return self.store.device

    @property
    def device_bytes(self) -> int:
        """The bytes that the render needs of what `--memory` limits."""
        return self.memory_estimate.device_bytes(self.network.device, self.canvas_device)

    @property
    def chosen_settings(self) -> dict[str, Any]:
        """The settings that were decided from the machine and its free memory; they affect the pixels."""
        is_lbfgs = self.config.optimizer is Optimizer.LBFGS
        return {
            "precision": "bf16" if self.network.dtype is torch.bfloat16 else "fp32",
            "patch": self.patch_side,
            **({"history": self.history} if is_lbfgs else {"keep_content": self.content_kept}),
        }

    @property
    def machine_settings(self) -> dict[str, Any]:
        """What affects the pixels other than the settings, as JSON: decisions on this machine, and its kind."""
        facts = {**self.chosen_settings, "device": self.network.device.type}
        if self.network.device.type == "cpu":
            facts["threads"] = torch.get_num_threads()
        if self.comm.world_size > 1:
            facts["processes"] = self.comm.world_size
        return facts | {"torch": str(torch.__version__)}

    @property
    def comm(self) -> Communicator:
        """The communicator of the processes that render it together."""
        return self.store.comm

    @property
    def local_store(self) -> PlaneStore:
        """A store on the host, for temporary planes that no other process uses."""
        return MappedStore(self.store.path) if isinstance(self.store, MappedStore) else MemoryStore()

    def grid_stride(self, level: Level) -> int:
        """Return the spacing of the grid of patch corners in some sweeps: 1 unless content is cached."""
        if not self.content_kept or self._fits_one_patch(level) or self.config.sampler is Sampler.WINDOWS:
            return 1
        full_scale = self.scale_groups(level)[1]
        strides = [
            self.network.layers[full_scale[layer]].stride
            for layer in self.weights.content_layers
            if layer in full_scale
        ]
        return max(strides, default=1)

    def cycles_places(self, level: Level) -> bool:
        """Return whether patches that cover the canvas cycle through a few places, with cached content."""
        return self.content_kept and self._fits_one_patch(level) and self.config.sampler is Sampler.SWEEP

    def patch_side_at(self, level: Level) -> int:
        """Return the largest patch side at a level, pixels."""
        return min(self.patch_side, level.patch_side) if self.config.locality else self.patch_side

    def scale_groups(self, level: Level) -> dict[int, dict[str, str]]:
        """Group the layers by the factor that their input is reduced by.

        There is one group, of factor 1, if one patch covers the canvas, and with locality, where a patch of the
        reduced canvas would be another place.

        Returns:
            {factor: {layer: its name on the reduced canvas}}.
        """
        if self.config.locality:
            return {1: self.weights.layer_names}
        scale_groups = self.network.scale_groups(self.weights.layer_names)
        return (
            {1: self.weights.layer_names}
            if self._fits_one_patch(level) or 1 not in scale_groups
            else scale_groups
        )

    def _fits_one_patch(self, level: Level) -> bool:
        """Return whether one patch covers the canvas of a level."""
        return max(level.extent.height, level.extent.width) <= self.patch_side_at(level)
