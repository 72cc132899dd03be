"""A render made ready: pictures, network and settings resolved, nothing computed yet."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor

from tilestyle.budget import Limits
from tilestyle.canvas import fill, fitted, resized
from tilestyle.config import Init, RenderConfig, Sampler
from tilestyle.footprint import Footprint
from tilestyle.geometry import Box, Draw
from tilestyle.luminance import tinted
from tilestyle.moments import Moments
from tilestyle.networks.network import FeatureNetwork
from tilestyle.objective import Weights
from tilestyle.plan import Level
from tilestyle.planes import Folder, Memory, Store, touched
from tilestyle.style import shrunk, style_moments

# Strides of the layers that an enlarged style is shown to, over the enlargement.
COARSE = 1.0
# How far noise without a style leaves the middle grey.
NOISE = 0.1


@dataclass(frozen=True)
class Goal:
    """What a level is drawn to at a scale."""

    style: Mapping[str, Moments]  # of every style layer
    content: Tensor | None  # [3, H, W], with its margin


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
    style: Tensor | None  # [3, h, w]; None: the content's activations alone
    content: Tensor | None  # [3, h, w]
    colours: Tensor | None  # [3, h, w], the content's own, where luminance alone is rendered
    alpha: Tensor | None  # [1, h, w] of the content
    init: Tensor | Init  # a picture [3, h, w], or what to make one from
    store: Store  # where canvases live
    content_kept: bool  # whether content features are kept beside the canvas while patches can use them
    need: Footprint  # at most, by arithmetic
    limits: Limits

    @property
    def home(self) -> torch.device:
        """What computes on canvases where they live."""
        return self.store.device

    @property
    def _beside(self) -> Store:
        """Where planes are while they are looked at: the host, in any case."""
        return self.store if isinstance(self.store, Folder) else Memory()

    def finished(self, pixels: Tensor) -> Tensor:
        """The picture [3, h, w] of a canvas, of any level, as it is to be seen and at its size."""
        if pixels.shape[1:] != (self.size.height, self.size.width):
            pixels = fitted(pixels.cpu(), self.size, self._beside, self.levels[-1].extent.repeats)
        return self.coloured(pixels)

    def coloured(self, pixels: Tensor) -> Tensor:
        """The same at the size it has."""
        return pixels if self.colours is None else tinted(pixels.cpu(), self.colours, self._beside)

    def style_side(self, level: Level, scale: int) -> float:
        """Long side at which the style is shown: a share of the picture's, or for a texture of its own."""
        if self.content is None and self.style is not None:
            return self.config.style_scale * level.share * max(self.style.shape[1:]) / scale
        picture = level.extent.picture
        return self.config.style_scale * max(picture.height, picture.width) / scale

    def style_moments(self, level: Level, scale: int = 1) -> dict[str, Moments]:
        """Moments of the style as seen from a level at a scale."""
        found: dict[str, Moments] = {}
        if self.style is None:
            return found
        for size, layers in self._style_sizes(self.style, self.style_side(level, scale)):
            found |= style_moments(self.style, size, self.network, layers, self.side, self._beside)
        return found

    def _style_sizes(self, style: Tensor, side: float) -> list[tuple[Box, list[str]]]:
        """Sizes at which the style is shown, for a long side that is asked for, and the layers that see each.

        A style enlarged has nothing to show to layers finer than its own pixels have become: they see it as it
        is. So its forms are as large as they are to be, and the paint within them as fine as it was.
        """
        height, width = style.shape[1:]
        own, layers = shrunk(height, width, side), list(self.weights.style_layers)
        factor = side / max(height, width)
        if factor <= 1 or not self.config.enlarge_style:
            return [(own, layers)]
        large = Box(0, 0, round(height * factor), round(width * factor))
        coarse = [layer for layer in layers if self.network.layers[layer].stride >= COARSE * factor]
        fine = [layer for layer in layers if layer not in coarse]
        return [(size, seen) for size, seen in ((large, coarse), (own, fine)) if seen]

    def content_plane(self, level: Level) -> Tensor | None:
        """The content at the level's size with its margin, [3, H, W]."""
        if self.content is None:
            return None
        return self._plane(self.content, level)

    def grid(self, level: Level) -> int:
        """Stride of the grid that patches' corners lie on for a while: 1, unless content features are kept."""
        if not self.content_kept or self._seen_whole(level) or self.config.sampler is Sampler.WINDOWS:
            return 1
        near = self.octaves(level)[1]
        strides = [
            self.network.layers[near[layer]].stride for layer in self.weights.content_layers if layer in near
        ]
        return max(strides, default=1)

    def octaves(self, level: Level) -> dict[int, dict[str, str]]:
        """Layers by the factor the level's canvas is reduced by to see them: {factor: {layer: name there}}.

        One octave, of factor 1, where one patch sees all of the canvas anyway.
        """
        octaves = self.network.octaves(self.weights.names)
        return {1: self.weights.names} if self._seen_whole(level) or 1 not in octaves else octaves

    def _seen_whole(self, level: Level) -> bool:
        return max(level.extent.height, level.extent.width) <= self.side

    def start(self, level: Level) -> Tensor:
        """Pixels [3, H, W] that the first level begins with."""
        init = self.init
        if init is Init.CONTENT:
            init = self.content if self.content is not None else Init.NOISE
        elif init is Init.STYLE:
            init = self.style if self.style is not None else Init.NOISE
        if not isinstance(init, Tensor):
            return self._noise(level)
        return self._plane(init, level, "pixels")

    def _plane(self, picture: Tensor, level: Level, name: str = "") -> Tensor:
        """A picture [3, h, w] at a level's size with its margin, [3, H, W]."""
        plane = self.store.zeros(3, level.extent.height, level.extent.width, name)
        fill(plane, level.extent, picture, clamped=True)
        return plane

    def _noise(self, level: Level) -> Tensor:
        """Noise in the style's colours: each pixel is one of the style's at this size, at random.

        Without a style, in all colours alike: nothing of the picture but its activations is to be in it.
        """
        colours = _cube()
        if self.style is not None:
            size = shrunk(self.style.shape[1], self.style.shape[2], self.style_side(level, 1))
            colours = resized(self.style, size).clamp(0, 1).flatten(1)  # [3, n]
        key = Draw(self.config.seed, level.index, 0)
        plane = self.store.zeros(3, level.extent.height, level.extent.width, "pixels")
        for top, drawn in key.rows(level.extent.height, level.extent.width, stream=1 << 32):
            index = torch.from_numpy((drawn % colours.shape[1]).astype("int64"))
            plane[:, top : top + len(drawn)] = colours[:, index.flatten()].reshape(3, *index.shape)
            touched(plane[:, top : top + len(drawn)])
        return plane


def _cube() -> Tensor:
    """Colours evenly from all there are around the middle grey, [3, n]."""
    values = torch.linspace(0.5 - NOISE, 0.5 + NOISE, 16)
    return torch.cartesian_prod(values, values, values).mT
