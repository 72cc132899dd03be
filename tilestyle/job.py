"""A render made ready: pictures, network and settings resolved, nothing computed yet."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor

from tilestyle.budget import Limits
from tilestyle.canvas import fill, resized
from tilestyle.config import Init, RenderConfig, Sampler
from tilestyle.footprint import Footprint
from tilestyle.geometry import Box, Draw
from tilestyle.moments import Moments
from tilestyle.networks.network import FeatureNetwork
from tilestyle.objective import Weights
from tilestyle.plan import Level
from tilestyle.planes import Folder, Memory, Store, touched
from tilestyle.style import shrunk, style_moments

# Strides of the layers that an enlarged style is shown to, over the enlargement.
COARSE = 1.0

# Noise of a grey start, of the full range of brightness; that of fast.ai's course, for neural-style's is less.
FAINT = 0.05 / 255


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
    levels: tuple[Level, ...]
    side: int  # largest patch side, pixels
    unit: int  # deepest stride in use, pixels
    halo: int  # by which patches see more than they answer for, pixels; a multiple of `unit`
    style: Tensor  # [3, h, w]
    content: Tensor | None  # [3, h, w]
    alpha: Tensor | None  # [1, h, w] of the content
    init: Tensor | Init  # a picture [3, h, w], or what to make one from
    store: Store  # where canvases live
    content_kept: bool  # whether content features are kept beside the canvas while patches can use them
    need: Footprint  # at most, by arithmetic
    limits: Limits
    history: int = 0  # pairs of vectors that L-BFGS remembers
    anchor: Tensor | None = None  # [3, h, w]
    trust: Tensor | None = None  # [1, h, w] of the anchor

    @property
    def home(self) -> torch.device:
        """What computes on canvases where they live."""
        return self.store.device

    @property
    def _beside(self) -> Store:
        """Where planes are while they are looked at: the host, in any case."""
        return self.store if isinstance(self.store, Folder) else Memory()

    def style_side(self, level: Level, scale: int) -> float:
        """Long side at which the style is shown: a share of the picture's, or for a texture of its own."""
        if self.content is None:
            return self.config.style_scale * level.share * max(self.style.shape[1:]) / scale
        picture = level.extent.picture
        return self.config.style_scale * max(picture.height, picture.width) / scale

    def style_moments(self, level: Level, scale: int = 1) -> dict[str, Moments]:
        """Moments of the style as seen from a level at a scale."""
        found: dict[str, Moments] = {}
        for size, layers in self._style_sizes(self.style_side(level, scale)):
            found |= style_moments(self.style, size, self.network, layers, self.side, self._beside)
        return found

    def _style_sizes(self, side: float) -> list[tuple[Box, list[str]]]:
        """Sizes at which the style is shown, for a long side that is asked for, and the layers that see each.

        A style enlarged has nothing to show to layers finer than its own pixels have become: they see it as it
        is. So its forms are as large as they are to be, and the paint within them as fine as it was.
        """
        height, width = self.style.shape[1:]
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
            init = self.style
        if not isinstance(init, Tensor):
            return self._drawn(level, init) if init in (Init.UNIFORM, Init.GREY) else self._noise(level)
        return self._plane(init, level, "pixels")

    def _plane(self, picture: Tensor, level: Level, name: str = "") -> Tensor:
        """A picture [3, h, w] at a level's size with its margin, [3, H, W]."""
        plane = self.store.zeros(3, level.extent.height, level.extent.width, name)
        fill(plane, level.extent, picture, clamped=True)
        return plane

    def _drawn(self, level: Level, init: Init) -> Tensor:
        """Noise of all colours, or grey with too little noise to be seen: flat, some networks have no slope."""
        spread = 1.0 if init is Init.UNIFORM else FAINT
        plane = self.store.zeros(3, level.extent.height, level.extent.width, "pixels")
        key = Draw(self.config.seed, level.index, 0)
        for channel in range(3):
            for top, drawn in key.rows(level.extent.height, level.extent.width, (2 << 32) + channel):
                noise = torch.from_numpy(drawn >> 11) * 2.0**-53 - 0.5
                plane[channel, top : top + len(drawn)] = 0.5 + spread * noise
            touched(plane[channel : channel + 1])
        return plane

    def _noise(self, level: Level) -> Tensor:
        """Noise in the style's colours: each pixel is one of the style's at this size, at random."""
        size = shrunk(self.style.shape[1], self.style.shape[2], self.style_side(level, 1))
        colours = resized(self.style, size).clamp(0, 1).flatten(1)  # [3, n]
        key = Draw(self.config.seed, level.index, 0)
        plane = self.store.zeros(3, level.extent.height, level.extent.width, "pixels")
        for top, drawn in key.rows(level.extent.height, level.extent.width, stream=1 << 32):
            index = torch.from_numpy((drawn % colours.shape[1]).astype("int64"))
            plane[:, top : top + len(drawn)] = colours[:, index.flatten()].reshape(3, *index.shape)
            touched(plane[:, top : top + len(drawn)])
        return plane
