"""A render made ready: pictures, network and settings resolved, nothing computed yet."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from tilestyle.budget import Limits
from tilestyle.canvas import framed, resized
from tilestyle.config import Init, RenderConfig
from tilestyle.content import Content
from tilestyle.footprint import Footprint
from tilestyle.geometry import Draw
from tilestyle.moments import Moments
from tilestyle.networks.network import FeatureNetwork
from tilestyle.objective import Objective, Weights
from tilestyle.plan import Level
from tilestyle.style import shrunk, style_moments, target


@dataclass(frozen=True)
class Job:
    """Everything the renderer, or the untiled reference, needs to know."""

    config: RenderConfig
    network: FeatureNetwork
    weights: Weights
    levels: tuple[Level, ...]
    side: int  # largest patch side, pixels
    unit: int  # deepest stride in use, pixels
    halo: int  # by which patches see more than they answer for, pixels; a multiple of `unit`
    style: Tensor  # [3, h, w]
    content: Tensor | None  # [3, h, w]
    init: Tensor | Init  # a picture [3, h, w], or what to make one from
    need: Footprint  # at most, by arithmetic
    limits: Limits

    def style_side(self, level: Level, scale: int) -> float:
        """Long side at which the style is shown: a share of the picture's, or for a texture of its own."""
        if self.content is None:
            return self.config.style_scale * level.share * max(self.style.shape[1:]) / scale
        picture = level.extent.picture
        return self.config.style_scale * max(picture.height, picture.width) / scale

    def style_moments(self, level: Level, scale: int = 1) -> dict[str, Moments]:
        """Moments of the style as seen from a level at a scale."""
        side = self.style_side(level, scale)
        return style_moments(self.style, side, self.network, self.weights.style_layers, self.side)

    def content_plane(self, level: Level) -> Tensor | None:
        """The content at the level's size with its margin, [3, H, W]."""
        if self.content is None:
            return None
        return framed(resized(self.content, level.extent.picture).clamp_(0, 1), level.extent)

    def objective(self, level: Level, scale: int, plane: Tensor | None) -> Objective:
        """The loss of a level at a scale; `plane` from `content_plane`."""
        moments = self.style_moments(level, scale)
        targets = {layer: target(found, self.config.style_loss) for layer, found in moments.items()}
        content = None
        if plane is not None and self.weights.content:
            content = Content(plane, self.network, self.weights.content_layers, scale)
            content.measure(level.extent, self.side, self.unit)
        return Objective(self.network, targets, content, self.weights, level.extent, scale)

    def start(self, level: Level) -> Tensor:
        """Pixels [3, H, W] that the first level begins with."""
        picture, extent = level.extent.picture, level.extent
        if isinstance(self.init, Tensor):
            return framed(resized(self.init, picture).clamp(0, 1), extent)
        if self.init is Init.CONTENT and self.content is not None:
            return framed(resized(self.content, picture).clamp(0, 1), extent)
        if self.init is Init.STYLE:
            return framed(resized(self.style, picture).clamp(0, 1), extent)
        return self._noise(level)

    def _noise(self, level: Level) -> Tensor:
        """Noise in the style's colours: each pixel is one of the style's at this size, at random."""
        size = shrunk(self.style.shape[1], self.style.shape[2], self.style_side(level, 1))
        colours = resized(self.style, size).clamp(0, 1).flatten(1)  # [3, n]
        count = level.extent.area
        drawn = Draw(self.config.seed, level.index, 0).integers(count, stream=1 << 32)
        index = torch.from_numpy((drawn % colours.shape[1]).astype("int64"))
        return colours[:, index].reshape(3, level.extent.height, level.extent.width)
