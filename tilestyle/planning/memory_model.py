"""Bytes that a render needs at most: arithmetic on shapes, held to measured peaks by benchmarks/footprints.py.

Beyond the libraries themselves, on the device that has the network and on the host that has the canvas. On a
CPU the two are one.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from math import sqrt

import torch

from tilestyle.canvas.resample import COLUMNS, READ, ROWS
from tilestyle.canvas.storage import RESIDENT, SMALL
from tilestyle.devices.staging import staged_bytes
from tilestyle.geometry.boxes import Extent
from tilestyle.networks.base import FeatureNetwork, measuring_halo
from tilestyle.networks.vgg import Vgg
from tilestyle.planning.schedule import PLACES, Level
from tilestyle.stats.autocorrelation import REACH
from tilestyle.stats.self_similarity import SAMPLES

NUMBER = 4  # bytes of a float32
PIXEL = 3 * NUMBER  # of a pixel
CANVAS = 3 * PIXEL + 4  # pixels, two moments, step counts
BLEND = PIXEL + 4
# Vectors of L-BFGS besides its history: directions, gradients and pixels of an iteration and its line search;
# measured.
VECTORS = 28
GREY = 4  # bytes of a pixel of luminance
# Decoding holds the samples as stored beside the floats; 17 where there is a colour profile.
READING = 17
# Temporaries of a step of the optimiser, and the gradient, under one patch.
STEP = 60
# What libraries set up when first used (kernels, threads, tables), and the interpreter's own growth. oneDNN's
# kernels for bfloat16 are many.
RUNTIME = {torch.float32: 72 * 2**20, torch.bfloat16: 152 * 2**20}
# Times that weights are in memory: convolutions have layouts of their own, and something to work in; measured.
LAYOUTS = 2.5
# What freed blocks of other sizes leave unusable in a heap: glibc's, and CUDA's caching allocator's.
FRAGMENTS = 1.5
# Rims that wait for their neighbours: pixels wide, and bytes of them besides those of three rows of patches.
RIM, RIMS = 5, 48 * 2**20
# Reading or writing a picture too large for memory: a row of its tiles, what libraries have on the way.
STREAM = 192 * 2**20
# Long side of the picture that a watcher is shown, pixels.
WATCHED = 1600
# Share of a mapped canvas that a journal may take.
JOURNAL = 1 / 4
# Float64 matrices of every style layer: target and its root, ridge, correction, cotangent and lead; in float32
# moments, sums and what is sent of them.
MATRIX = 72
# Autocorrelations of a channel: sums, in fixed point, too, what was seen, slopes and lead at every lag; powers
# at every frequency.
LAGS = 20 * NUMBER * (2 * REACH + 2) ** 2
WORKSPACE = 64  # eigendecomposition of the widest layer
# On a device, of a pixel that a patch sees: places, bins and goals of its colours along ten directions, at all
# scales together, and the colours with their gradients.
COLOURS = 220
# Matrices of distances, and of their slopes, that self-similarity has at a time; in float32.
DISTANCES = 8


@dataclass(frozen=True, slots=True)
class Pictures:
    """Height and width of the pictures that come in, pixels."""

    styles: tuple[tuple[int, int], ...] = ()
    content: tuple[int, int] | None = None
    init: tuple[int, int] | None = None
    guides: int = 0  # numbers that say where regions are, in all
    anchor: tuple[int, int] | None = None

    @property
    def areas(self) -> list[int]:
        """Pixels of each."""
        given = (*self.styles, self.content, self.init, self.anchor)
        return [height * width for height, width in filter(None, given)]

    @property
    def largest_style(self) -> int:
        """Pixels of the largest style; none without one."""
        return max((height * width for height, width in self.styles), default=0)


@dataclass(frozen=True, slots=True)
class Work:
    """What the network is asked for."""

    network: FeatureNetwork
    style_layers: Collection[str]
    content_layers: Collection[str]
    blended: bool  # whether patches may overlap
    recoloured: bool = False  # whether the style is shown in other colours
    resized: bool = False  # whether the picture may be of another size than the canvas
    retinted: bool = False  # whether the picture is made from luminance and the content
    kept: bool = False  # whether content features are kept beside the canvas
    mapped: bool = False  # whether what grows with the picture is in files
    history: int = 0  # pairs of vectors that L-BFGS remembers
    regions: int = 1  # that have moments of their own
    local: bool = False  # whether patches are held to windows of the style
    arranged: Collection[str] = ()  # layers that have autocorrelations
    alike: bool = False  # whether content is held by self-similarity


@dataclass(frozen=True, slots=True)
class Footprint:
    """Bytes needed at most, by where and when."""

    fixed: int  # device: network and moments
    patch: int  # device: one patch forward and backward, or a larger one forward with its halo
    glance: int  # device: one patch of the style, forward
    held: int  # host, while patches are at work: canvas, optimiser, pictures
    style: int  # host, besides: the style, while it is looked at
    between: int  # host, when no patch is at work: reading, changing levels, writing
    loading: int  # host, before all that: the network, while it is made
    disk: int = 0  # in the work folder
    staging: int = 0  # host, beside a device: page-locked memory for what goes there and back

    @property
    def device(self) -> int:
        """On a device that has memory of its own."""
        return self.fixed + max(self.patch, self.glance)

    @property
    def host(self) -> int:
        """Beside such a device."""
        return max(self.held + self.style + self.staging, self.between, self.loading)

    @property
    def together(self) -> int:
        """Where both are one memory."""
        working = self.held + max(self.patch, self.style + self.glance)
        return max(self.fixed + max(working, self.between), self.loading)


def footprint(
    work: Work, levels: tuple[Level, ...], side: int, pictures: Pictures, style_side: float
) -> Footprint:
    """What a render of these levels needs, the last most; `style_side` is how long the style is shown."""
    extent = levels[-1].extent
    scale = 2 ** (len(levels[-1].scale_odds) - 1)
    own = min(side, levels[-1].side)  # of the patches; `side` is what styles are looked at by
    window = _seen(extent, own * scale)
    sources = (PIXEL + GREY * work.retinted) * sum(pictures.areas) + NUMBER * pictures.guides
    regions = NUMBER * work.regions if pictures.guides else 0  # bytes a pixel that say how much of each it is
    beside = BLEND * work.blended + PIXEL * bool(pictures.content) + _beside(work) + regions
    canvas = CANVAS + beside + _anchored(pictures, extent)
    held = sources + round(canvas * extent.area) + _rim_bytes(extent, own)
    style = pictures.largest_style
    shown = min(style, style * (style_side / max(map(max, pictures.styles), default=1)) ** 2)
    if work.local:  # all styles lie there as they are shown, at every scale
        held += round(PIXEL * shown * len(pictures.styles) * 4 / 3)
    if work.mapped:
        return _mapped(work, levels, pictures, window, side, canvas)
    return Footprint(
        fixed=_fixed_bytes(work),
        patch=round(_patch_bytes(work, extent, own, scaled=scale > 1) + STEP * window),
        glance=_glance_bytes(work, side),
        held=held,
        style=round(PIXEL * (2 * shown + sqrt(shown * style)) + regions * shown),
        between=max(
            READING * sum(pictures.areas),
            sources + PIXEL * style * (work.recoloured or work.retinted),
            sources + _changing_bytes(levels) + PIXEL * bool(pictures.guides) * extent.area,
            held + _glimpse_bytes(extent.picture.area),
            # The canvas's pixels alone, and what is made of them on the way to a file.
            sources + PIXEL * (extent.area + (work.resized + work.retinted) * extent.picture.area),
        ),
        loading=_loading_bytes(work.network),
        disk=2 * (CANVAS + 2 * PIXEL * work.history) * extent.area,  # a checkpoint, and the one before it
        staging=_staging_bytes(work, extent, own),
    )


def _mapped(
    work: Work, levels: tuple[Level, ...], pictures: Pictures, window: int, side: int, canvas: float
) -> Footprint:
    """What a render needs whose canvas, and what else grows with it, is in files; `canvas` is bytes a pixel."""
    extent, scaled = levels[-1].extent, len(levels[-1].scale_odds) > 1
    own = min(side, levels[-1].side)
    small = round(canvas * SMALL) + PIXEL * sum(min(area, SMALL) for area in pictures.areas)
    small += NUMBER * min(pictures.guides, 2 * work.regions * SMALL)
    before = levels[-2].extent.area if len(levels) > 1 else 0
    style = pictures.largest_style
    largest = max(style, extent.area) if style > SMALL else 0
    largest *= len(pictures.styles) if work.local else 1
    changing = CANVAS * (before + extent.area)
    extra = 0
    if work.recoloured or work.retinted:
        extra += PIXEL * sum(h * w for h, w in pictures.styles)
    if work.retinted:
        extra += GREY * sum(pictures.areas) + PIXEL * extent.picture.area
    if work.resized:
        extra += PIXEL * extent.picture.area
    working = (canvas + JOURNAL * CANVAS) * extent.area + PIXEL * largest
    return Footprint(
        fixed=_fixed_bytes(work),
        patch=round(_patch_bytes(work, extent, own, scaled=scaled) + STEP * window),
        glance=_glance_bytes(work, side),
        held=2 * RESIDENT + small + _rim_bytes(extent, own),
        style=3 * PIXEL * min(style, SMALL),
        between=2 * RESIDENT + 2 * small + STREAM,
        loading=_loading_bytes(work.network),
        disk=round(max(changing, working))
        + PIXEL * sum(area for area in pictures.areas if area > SMALL)
        + NUMBER * pictures.guides
        + extra,
        staging=_staging_bytes(work, extent, own),
    )


def forward_bytes(network: FeatureNetwork, layers: Collection[str]) -> float:
    """Memory of one forward pass to the named layers and of their moments, bytes per input pixel.

    Either the answers so far and the widest layer on its way, or all answers and the widest once more: moments
    are sums in float32 over a copy by cells. (A CPU copies a part at a time; the promise is kept for it, too.)
    """
    item = network.dtype.itemsize
    values = {name: layer.channels / layer.stride**2 for name, layer in network.layers.items()}
    if not layers:
        return 0.0
    answers = sum(values[name] for name in layers)
    copied = item if network.dtype is torch.float32 else item + 4
    widest = max(values[name] for name in layers)
    return max(item * (answers + max(values.values())), item * answers + copied * widest)


def _beside(work: Work) -> float:
    """Bytes a canvas pixel of what else grows with it: coarse layers' gradients, content, L-BFGS's history."""
    octaves = work.network.octaves({*work.style_layers, *work.content_layers})
    kept = _kept_bytes(work) if work.kept else 0
    remembered = PIXEL * (2 * work.history + VECTORS) if work.history else 0
    return kept + remembered + sum(PIXEL / factor**2 for factor in octaves if factor > 1)


def _kept_bytes(work: Work) -> float:
    """Content features in 16 bits, bytes per pixel."""
    octaves = work.network.octaves({*work.style_layers, *work.content_layers}).get(1, {})
    layers = [work.network.layers[name] for layer, name in octaves.items() if layer in work.content_layers]
    return 2 * sum(layer.channels / layer.stride**2 for layer in layers)


def _anchored(pictures: Pictures, extent: Extent) -> float:
    """Bytes a canvas pixel of what an anchor needs besides itself: its trust, and the canvas's difference."""
    return 0.0 if pictures.anchor is None else BLEND * pictures.anchor[0] * pictures.anchor[1] / extent.area


def _patch_bytes(work: Work, extent: Extent, side: int, *, scaled: bool) -> float:
    """A patch forward and backward; or forward only, with the halo that its moments are measured with.

    Where the canvas is larger than a patch, coarse octaves are seen apart; at scales above 1, and with
    locality, all together. Then a window of the style is looked at while the patch's features wait.
    """
    network = work.network
    scaled = scaled or work.local
    layers = {*work.style_layers, *work.content_layers}
    octaves = {1: {layer: layer for layer in layers}} if scaled else network.octaves(layers)
    both = _seen(extent, side) * network.bytes_per_pixel(layers, network.dtype)
    most = both
    for names in octaves.values():
        halo = measuring_halo([network.layers[name] for name in names.values()])
        style = [name for layer, name in names.items() if layer in work.style_layers]
        if style:
            most = max(most, _seen(extent, side + 2 * halo) * forward_bytes(network, style))
    if network.device.type != "cpu":  # while the answers and their cotangents are still there
        answers = sum(network.layers[layer].channels / network.layers[layer].stride ** 2 for layer in layers)
        most = max(most, _seen(extent, side) * (2 * network.dtype.itemsize * answers + COLOURS))
    if work.kept:  # where one patch sees all of a coarse level, in the places that it comes back to
        most += PLACES * _seen(extent, side) * _kept_bytes(work) * network.dtype.itemsize / 2
    if work.local:
        most += side**2 * forward_bytes(network, work.style_layers)
    if work.arranged:  # a layer's cells less a mean, their gradient and what it is added to
        cells = (network.layers[layer] for layer in work.arranged)
        most += _seen(extent, side) * 4 * NUMBER * max(layer.channels / layer.stride**2 for layer in cells)
    if work.regions > 1:  # cells and their roots in float32, times their weights
        cells = (network.layers[layer] for layer in work.style_layers)
        most += _seen(extent, side) * 2 * NUMBER * max(layer.channels / layer.stride**2 for layer in cells)
    if work.alike:
        most += DISTANCES * NUMBER * SAMPLES**2
    return FRAGMENTS * most


def _rim_bytes(extent: Extent, side: int) -> int:
    """Gradients of patches' rims that wait until their neighbours have seen them."""
    every = 4 * RIM / side * extent.area if side < max(extent.height, extent.width) else 0
    return round(min(PIXEL * every, RIMS + 3 * 4 * RIM * PIXEL * extent.width))


def _glance_bytes(work: Work, side: int) -> int:
    return round(FRAGMENTS * side**2 * forward_bytes(work.network, work.style_layers))


def _glimpse_bytes(area: int) -> int:
    """A look at a picture while it is made: reduced along one axis, then along the other."""
    if area <= WATCHED**2:
        return 2 * PIXEL * area
    return round(PIXEL * (2 * WATCHED**2 + WATCHED * sqrt(area)))


def _staging_bytes(work: Work, extent: Extent, side: int) -> int:
    """Windows on their way to a device, and what comes back: of pixels that are stepped there, all planes."""
    if work.network.device.type == "cpu":
        return 0
    return staged_bytes((PIXEL if work.blended else CANVAS) * _seen(extent, side))


def _seen(extent: Extent, side: int) -> int:
    """Pixels of a canvas that a patch of this side sees."""
    return min(side, extent.height) * min(side, extent.width)


def _fixed_bytes(work: Work) -> int:
    channels = [work.network.layers[layer].channels for layer in work.style_layers]
    widest = max(channels, default=0)
    matrices = MATRIX * sum(count**2 for count in channels) + WORKSPACE * widest**2
    matrices += LAGS * sum(work.network.layers[layer].channels for layer in work.arranged)
    matrices *= work.regions
    weights = round(LAYOUTS * _numbers(work.network) * work.network.dtype.itemsize)
    return RUNTIME[work.network.dtype] + matrices + weights


def _loading_bytes(network: FeatureNetwork) -> int:
    """A network of trained weights is there twice in float32 while it is made from a file, and a bit."""
    return RUNTIME[torch.float32] + round(2.2 * 4 * _numbers(network))


def _numbers(network: FeatureNetwork) -> int:
    """Trained numbers of a network."""
    if not isinstance(network, Vgg):
        return 0
    return sum(part.weight.numel() + part.bias.numel() for part in network.convolutions.values())


def _changing_bytes(levels: tuple[Level, ...]) -> int:
    """The last level's canvas made from the one before: both, and some rows on their way."""
    extent = levels[-1].extent
    before = levels[-2].extent if len(levels) > 1 else None
    if before is None:  # from the picture that it begins with
        return CANVAS * extent.area + 2 * PIXEL * extent.picture.area
    # Along one axis, then the other, whose weights are all there at once.
    rows = READ + 2 * PIXEL * ROWS * (before.width + extent.width) + NUMBER * COLUMNS * before.width
    return CANVAS * (before.area + extent.area) + rows
