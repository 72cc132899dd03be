"""A render made ready: pictures, network and settings resolved, nothing computed yet."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import numpy as np
import torch
from torch import Tensor

from tilestyle.canvas.canvas import ROWS, fill, fitted, resized
from tilestyle.canvas.color import tinted
from tilestyle.canvas.regions import Regions
from tilestyle.canvas.resample import Filter
from tilestyle.canvas.storage import Folder, Memory, Store, touched
from tilestyle.config.enums import Init, Optimiser, Sampler
from tilestyle.config.render import RenderConfig
from tilestyle.distributed import Ranks
from tilestyle.geometry.boxes import Box, shrunk
from tilestyle.geometry.rng import Draw
from tilestyle.networks.base import FeatureNetwork
from tilestyle.planning.loss_weights import Weights
from tilestyle.planning.memory_budget import Limits
from tilestyle.planning.memory_model import Footprint
from tilestyle.planning.schedule import Level
from tilestyle.planning.style_images import Exemplar, Exhibit
from tilestyle.planning.style_windows import Windows
from tilestyle.stats.autocorrelation import Autocorrelation, AutocorrelationSum, AutocorrelationTarget
from tilestyle.stats.autocorrelation import mixed as mixture
from tilestyle.stats.distances import TINY
from tilestyle.stats.moments import Moments, combined
from tilestyle.stats.sliced_wasserstein import SCALES, Shares, averaged, counts_of, shares_of

# Strides of the layers that an enlarged style is shown to, over the enlargement.
COARSE = 1.0
# How far noise without a style leaves the middle grey.
NOISE = 0.1

# Noise of a grey start, of the full range of brightness; that of fast.ai's course, for neural-style's is less.
FAINT = 0.05 / 255


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

    def finished(self, pixels: Tensor) -> Tensor:
        """The picture [3, h, w] of a canvas, of any level, as it is to be seen and at its size."""
        if pixels.shape[1:] != (self.size.height, self.size.width):
            pixels = fitted(pixels.cpu(), self.size, self.beside, self.levels[-1].extent.repeats)
        return self.coloured(pixels)

    def coloured(self, pixels: Tensor) -> Tensor:
        """The same at the size it has."""
        return pixels if self.colours is None else tinted(pixels.cpu(), self.colours, self.beside)

    def style_side(self, style: Exemplar, level: Level, scale: int) -> float:
        """Long side at which a style is shown: a share of the picture's, or for a texture of its own."""
        if self.content is None:
            return self.config.style_scale * level.share * max(style.picture.shape[1:]) / scale
        picture = level.extent.picture
        return self.config.style_scale * max(picture.height, picture.width) / scale

    def style_moments(self, level: Level, scale: int = 1) -> list[dict[str, Moments]]:
        """Moments of the styles as seen from a level at a scale, mixed for each region; of no layer without."""
        if not self.styles:
            return [{}]
        parts: list[list[tuple[float, Mapping[str, Moments]]]] = [[] for _ in self.styles[0].shares]
        for style in self.styles:
            found: list[dict[str, Moments]] = [{} for _ in style.shares]
            for exhibit in self._exhibits(style, level, scale):
                seen = exhibit.moments(self.side)
                for region, moments in enumerate(found):
                    moments |= seen[region if style.guide is not None else 0]
            for region, share in enumerate(style.shares):
                if share:
                    parts[region].append((share, found[region]))
        return [mixed(part) for part in parts]

    def style_palettes(self, level: Level, scale: int = 1) -> list[dict[int, Shares]]:
        """Colours of the styles as seen from a level at a scale, mixed for each region: for each of SCALES."""
        parts: list[list[tuple[float, dict[int, Shares]]]] = [[] for _ in self.styles[0].shares]
        for style in self.styles:
            found = self._palettes(style, self.style_side(style, level, scale))
            for region, share in enumerate(style.shares):
                if share:
                    parts[region].append((share, found[region if style.guide is not None else 0]))
        whole = [sum(share for share, _ in part) for part in parts]
        return [
            {k: np.sum([share / total * found[k] for share, found in part], axis=0) for k in SCALES}
            for part, total in zip(parts, whole, strict=True)
        ]

    def _palettes(self, style: Exemplar, side: float) -> list[dict[int, Shares]]:
        """Colours of a style with this long side, for each region if it has a guide."""
        height, width = style.picture.shape[1:]
        size = shrunk(height, width, side)
        own = (height, width) == (size.height, size.width)
        pixels = style.picture if own else resized(style.picture, size, store=self.beside)
        guide = style.guide
        if guide is not None and guide.shape[1:] != pixels.shape[1:]:
            guide = resized(guide, size, Filter.LINEAR, self.beside)
        found = []
        for region in range(1 if guide is None else len(guide)):
            counts = dict.fromkeys(SCALES, torch.zeros(()))
            for top in range(0, size.height, ROWS):
                rows = slice(top, top + ROWS)
                strip, weights = pixels[:, rows], None if guide is None else guide[region : region + 1, rows]
                for scale in SCALES:
                    part = None if weights is None else averaged(weights, scale)[0].clamp(0, 1)
                    counts[scale] = counts[scale] + counts_of(averaged(strip, scale), part)
                touched(strip)
            found.append({scale: shares_of(counted) for scale, counted in counts.items()})
        return found

    def style_arrangement(
        self, level: Level, scale: int, moments: Sequence[Mapping[str, Moments]]
    ) -> list[dict[str, AutocorrelationTarget]]:
        """Autocorrelations of the styles as seen from a level at a scale, mixed for each region.

        Products are about the mean of the region's `moments` (style_moments). The styles are looked at again.
        """
        layers = self.weights.arrangement_layers
        if not layers:
            return []
        parts: list[dict[str, list[tuple[float, Autocorrelation]]]] = [{} for _ in moments]
        for style in self.styles:
            makers = [
                {layer: partial(AutocorrelationSum, found[layer].mean) for layer in layers if share}
                for share, found in zip(style.shares, moments, strict=True)
            ]
            for exhibit in self._exhibits(style, level, scale):
                for region, sums in enumerate(exhibit.counted(makers, self.side)):
                    means = {layer: total.mean() for layer, total in sums.items()}
                    for layer, mean in means.items():  # none where another exhibit has the layer
                        if mean is not None:
                            parts[region].setdefault(layer, []).append((style.shares[region], mean))
        return [
            {
                layer: AutocorrelationTarget(
                    mixture([one for _, one in seen], [share for share, _ in seen]),
                    found[layer].mean,
                    self.faint.get(layer, TINY),
                )
                for layer, seen in of_region.items()
            }
            for found, of_region in zip(moments, parts, strict=True)
        ]

    def _exhibits(self, style: Exemplar, level: Level, scale: int, *, apart: bool = True) -> Iterator[Exhibit]:
        """A style as it is shown to the layers: the octaves each `apart`, or all at once."""
        for size, layers in self._style_sizes(style, self.style_side(style, level, scale)):
            octaves = self.network.octaves(layers) if apart else {1: {layer: layer for layer in layers}}
            turns = 4 if self.config.turn_style else 1
            yield Exhibit(style, size, self.network, octaves, self.beside, turns)

    def _style_sizes(self, style: Exemplar, side: float) -> list[tuple[Box, list[str]]]:
        """Sizes at which a style is shown, for a long side that is asked for, and the layers that see each.

        A style enlarged has nothing to show to layers finer than its own pixels have become: they see it as it
        is. So its forms are as large as they are to be, and the paint within them as fine as it was.
        """
        height, width = style.picture.shape[1:]
        own, layers = shrunk(height, width, side), list(self.weights.style_layers)
        factor = side / max(height, width)
        if factor <= 1 or not self.config.enlarge_style:
            return [(own, layers)]
        large = Box(0, 0, round(height * factor), round(width * factor))
        coarse = [layer for layer in layers if self.network.layers[layer].stride >= COARSE * factor]
        fine = [layer for layer in layers if layer not in coarse]
        return [(size, seen) for size, seen in ((large, coarse), (own, fine)) if seen]

    def regions(self, level: Level) -> Regions | None:
        """The regions of a level's canvas; None where all of it is one."""
        if self.layout is None:
            return None
        plane = self.store.zeros(len(self.layout), level.extent.height, level.extent.width)
        fill(plane, level.extent, self.layout, Filter.LINEAR, ranks=self.ranks)
        return Regions(plane)

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

    def returns(self, level: Level) -> bool:
        """Whether patches that see all of a canvas come back to a few places, of which content is kept."""
        return self.content_kept and self._seen_whole(level) and self.config.sampler is Sampler.SWEEP

    def side_at(self, level: Level) -> int:
        """Largest patch side at a level, pixels."""
        return min(self.side, level.side) if self.config.locality else self.side

    def windows(self, level: Level, scale: int = 1) -> Windows:
        """The styles as patches at their own place see them, at a scale."""
        shown = [
            (style.shares[0], list(self._exhibits(style, level, scale, apart=False))) for style in self.styles
        ]
        return Windows(shown, level.extent, scale)

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

    def start(self, level: Level) -> Tensor:
        """Pixels [3, H, W] that the first level begins with."""
        init = self.init
        if init is Init.CONTENT:
            init = self.content if self.content is not None else Init.NOISE
        elif init is Init.STYLE:
            init = self.styles[0].picture if self.styles else Init.NOISE
        if not isinstance(init, Tensor):
            return self._drawn(level, init) if init in (Init.UNIFORM, Init.GREY) else self._noise(level)
        return self._plane(init, level, "pixels")

    def _plane(self, picture: Tensor, level: Level, name: str = "") -> Tensor:
        """A picture [3, h, w] at a level's size with its margin, [3, H, W]."""
        plane = self.store.zeros(3, level.extent.height, level.extent.width, name)
        fill(plane, level.extent, picture, clamped=True, ranks=self.ranks)
        return plane

    def _drawn(self, level: Level, init: Init) -> Tensor:
        """Noise of all colours, or grey with too little noise to be seen: flat, some networks have no slope."""
        spread = 1.0 if init is Init.UNIFORM else FAINT
        plane = self.store.zeros(3, level.extent.height, level.extent.width, "pixels")
        key = Draw(self.config.seed, level.index, 0)

        def scatter() -> None:
            for channel in range(3):
                for top, drawn in key.rows(level.extent.height, level.extent.width, (2 << 32) + channel):
                    noise = torch.from_numpy(drawn >> 11) * 2.0**-53 - 0.5
                    plane[channel, top : top + len(drawn)] = 0.5 + spread * noise
                touched(plane[channel : channel + 1])

        self.ranks.once(scatter)
        return plane

    def _noise(self, level: Level) -> Tensor:
        """Noise in the styles' colours: each pixel is one of those of its region at this size, at random."""
        colours = self._colours(level)
        regions = self.regions(level)
        key = Draw(self.config.seed, level.index, 0)
        width = level.extent.width
        plane = self.store.zeros(3, level.extent.height, width, "pixels")

        def scatter() -> None:
            for top, drawn in key.rows(level.extent.height, width, stream=1 << 32):
                place = Box(top, 0, len(drawn), width)
                which = (
                    torch.zeros(drawn.shape, dtype=torch.int64) if regions is None else regions.largest(place)
                )
                rows = plane[:, top : top + len(drawn)]
                for region, of_region in enumerate(colours):
                    index = torch.from_numpy((drawn % of_region.shape[1]).astype("int64"))
                    chosen = of_region[:, index.flatten()].reshape(3, *index.shape)
                    rows.copy_(torch.where(which.to(rows.device) == region, chosen.to(rows.device), rows))
                touched(rows)

        self.ranks.once(scatter)
        return plane

    def _colours(self, level: Level) -> list[Tensor]:
        """Colours [3, n] of each region: pixels of its styles, in proportion to their shares.

        Without a style, all colours alike: nothing of the picture but its activations is to be in it.
        """
        if not self.styles:
            return [_cube()]
        found: list[list[tuple[float, Tensor]]] = [[] for _ in self.styles[0].shares]
        for style in self.styles:
            height, width = style.picture.shape[1:]
            size = shrunk(height, width, self.style_side(style, level, 1))
            pixels = resized(style.picture, size).clamp(0, 1).flatten(1)  # [3, n]
            guide = None
            if style.guide is not None:
                guide = resized(style.guide, size, Filter.LINEAR).flatten(1) > 0.5
            for region, share in enumerate(style.shares):
                inside = pixels if guide is None or not guide[region].any() else pixels[:, guide[region]]
                if share:
                    found[region].append((share, inside))
        return [_pooled(parts) for parts in found]


def _cube() -> Tensor:
    """Colours evenly from all there are around the middle grey, [3, n]."""
    values = torch.linspace(0.5 - NOISE, 0.5 + NOISE, 16)
    return torch.cartesian_prod(values, values, values).mT


def mixed(parts: Sequence[tuple[float, Mapping[str, Moments]]]) -> dict[str, Moments]:
    """Moments of every layer of a mixture of styles, each with its share."""
    if len(parts) == 1:
        return dict(parts[0][1])
    shares = [share for share, _ in parts]
    return {layer: combined([moments[layer] for _, moments in parts], shares) for layer in parts[0][1]}


def _pooled(parts: Sequence[tuple[float, Tensor]]) -> Tensor:
    """Columns of [3, n] tensors, so many of each that they are there in proportion to their shares."""
    if len(parts) == 1:
        return parts[0][1]
    count = min(colours.shape[1] / share for share, colours in parts)
    taken = []
    for share, colours in parts:
        wanted = max(1, int(share * count))
        taken.append(colours[:, torch.arange(wanted) * colours.shape[1] // wanted])
    return torch.cat(taken, 1)
