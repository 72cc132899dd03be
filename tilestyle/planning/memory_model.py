"""Upper bounds of the memory that a render needs: arithmetic on shapes, checked by benchmarks/footprints.py.

The benchmark compares it to measured peaks. It does not include the loaded libraries. There are two sums: of
the device that has the network, and of the host that has the canvas. On a CPU the two are one.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from math import sqrt

import torch

from tilestyle.canvas.mapped_pages import MAX_RESIDENT_BYTES
from tilestyle.canvas.resample import BAND_COLUMNS, BAND_ROWS, READ_BYTES
from tilestyle.canvas.storage import MIN_MAPPED_PIXELS
from tilestyle.devices.staging import staged_bytes
from tilestyle.geometry.boxes import CanvasExtent
from tilestyle.networks.base import FeatureNetwork, measuring_halo
from tilestyle.networks.vgg import Vgg
from tilestyle.planning.schedule import CYCLED_PLACES, Level
from tilestyle.stats.autocorrelation import MAX_LAG
from tilestyle.stats.self_similarity import MAX_SAMPLES

FLOAT_BYTES = 4  # bytes of a float32
PIXEL_BYTES = 3 * FLOAT_BYTES  # bytes of the colors of a pixel
CANVAS_BYTES = 3 * PIXEL_BYTES + 4  # bytes of a canvas pixel: colors, two moments of the optimizer, step counts
# Bytes of a canvas pixel for accumulating overlapping gradients: their sum, and its weight.
ACCUMULATOR_BYTES = PIXEL_BYTES + 4
# Vectors of L-BFGS other than its history: directions, gradients and pixels of an iteration and its line
# search. Measured.
LBFGS_VECTORS = 28
LUMINANCE_BYTES = 4  # bytes of a pixel of luminance
# Bytes per pixel of reading a picture: decoding holds the stored samples and the floats; most with a color
# profile.
READING_BYTES = 17
# Bytes per pixel of a patch: temporaries of a step of the optimizer, and the gradient.
STEP_BYTES = 60
# What libraries set up when they are first used (kernels, threads, tables), and the growth of the interpreter.
# The bfloat16 kernels of oneDNN are many.
RUNTIME_BYTES = {torch.float32: 72 * 2**20, torch.bfloat16: 152 * 2**20}
# What the stream of captures, and the graph of the distances of moments with its branches, take on a GPU.
GRAPH_BYTES = 160 * 2**20
# With locality, what the graph of the distances of single patches takes in addition: a dozen float64 matrices
# in each of three branches, the largest of 512 rows. Not measured.
LOCALITY_GRAPH_BYTES = 96 * 2**20
# Copies of the weights in memory: convolutions have layouts of their own, and need work space. Measured.
WEIGHT_COPIES = 2.5
# Factor for heap fragmentation, by freed blocks of other sizes: of glibc, and of CUDA's caching allocator.
FRAGMENTATION = 1.5
# Borders that wait for their neighbors' gradients: their width in pixels, and their bytes besides those of
# three rows of patches.
BORDER_WIDTH, BORDER_BYTES = 5, 48 * 2**20
# Reading or writing a picture too large for memory: a row of its tiles, and buffers of the libraries.
STREAMING_BYTES = 192 * 2**20
# Long side of the picture that an observer can get, pixels.
SNAPSHOT_SIDE = 1600
# Fraction of a memory-mapped canvas that a journal may take.
JOURNAL_SHARE = 1 / 4
# Bytes per entry of a covariance matrix of each style layer: in float64 target and its root, ridge, correction,
# cotangent and extrapolation; in float32 moments, sums, and the cotangents that are applied.
MATRIX_BYTES = 72
# Bytes per channel for autocorrelations: sums, also in fixed point, last values, cotangents and extrapolation
# at every lag; powers at every frequency.
LAG_BYTES = 20 * FLOAT_BYTES * (2 * MAX_LAG + 2) ** 2
EIGH_WORKSPACE = 64  # bytes per matrix entry for the eigendecomposition of the widest layer
# On a device, bytes per pixel of a patch for the palette term: positions, bins and targets of its colors in ten
# directions, at all scales together, and the colors with their gradients.
PALETTE_BYTES = 220
# Float32 matrices of distances, and of their gradients, that self-similarity has at a time.
DISTANCE_MATRICES = 8


@dataclass(frozen=True, slots=True)
class PictureSizes:
    """Height and width of the pictures of a render, pixels.

    Attributes:
        result: Those of the finished picture.
        styles: Those of each style.
        content: Those of the content; None without one.
        init: Those of the initial picture; None without one.
        guide_numbers: Number of values in all guides and region weights.
        anchor: Those of the anchor; None without one.
        content_map: Those at which the content map is kept; None without one.
    """

    result: tuple[int, int]
    styles: tuple[tuple[int, int], ...] = ()
    content: tuple[int, int] | None = None
    init: tuple[int, int] | None = None
    guide_numbers: int = 0
    anchor: tuple[int, int] | None = None
    content_map: tuple[int, int] | None = None

    @property
    def areas(self) -> list[int]:
        """Number of pixels of each picture that is read."""
        sizes = (*self.styles, self.content, self.init, self.anchor)
        return [height * width for height, width in filter(None, sizes)]

    @property
    def map_numbers(self) -> int:
        """Number of values of the content map; 0 without one."""
        return self.content_map[0] * self.content_map[1] if self.content_map else 0

    @property
    def largest_style(self) -> int:
        """Number of pixels of the largest style; 0 without one."""
        return max((height * width for height, width in self.styles), default=0)


@dataclass(frozen=True, slots=True)
class MemoryInputs:
    """What a render computes, as far as it affects memory.

    Attributes:
        network: The network.
        style_layers: Layers of the style term.
        content_layers: Layers of the content term.
        overlapping: Whether patches may overlap.
        recolored: Whether the style's colors are changed.
        resized: Whether the picture may have another size than the canvas.
        luminance_only: Whether the picture combines its luminance with the content's colors.
        content_cached: Whether content features are cached.
        mapped: Whether what grows with the picture is memory-mapped.
        history: Vector pairs that L-BFGS stores.
        regions: Regions with moments of their own.
        has_locality: Whether patches are compared to windows of the style.
        autocorrelation_layers: Layers with autocorrelations.
        self_similarity: Whether the content term is self-similarity.
    """

    network: FeatureNetwork
    style_layers: Collection[str]
    content_layers: Collection[str]
    overlapping: bool
    recolored: bool = False
    resized: bool = False
    luminance_only: bool = False
    content_cached: bool = False
    mapped: bool = False
    history: int = 0
    regions: int = 1
    has_locality: bool = False
    autocorrelation_layers: Collection[str] = ()
    self_similarity: bool = False


@dataclass(frozen=True, slots=True)
class MemoryEstimate:
    """Upper bounds of the bytes that a render needs, by place and time.

    Attributes:
        network: On the device: network and moments.
        patch: On the device: one patch forward and backward, or a larger one forward with its halo.
        style_pass: On the device: one patch of the style, forward.
        resident: On the host, while patches are computed: canvas, optimizer, pictures.
        style_extra: On the host, in addition, while the style's moments are computed: the style.
        transitions: On the host, while no patch is computed: reading, changing levels, writing.
        loading: On the host, before all that: loading the network.
        disk: In the work folder.
        staging: On the host, if there is a device: page-locked memory for transfers.
        captured: On the device: passes of the network that are kept as CUDA graphs.
    """

    network: int
    patch: int
    style_pass: int
    resident: int
    style_extra: int
    transitions: int
    loading: int
    disk: int = 0
    staging: int = 0
    captured: int = 0

    @property
    def device_total(self) -> int:
        """Bytes on a device with memory of its own."""
        return self.network + max(self.patch, self.style_pass) + self.captured

    @property
    def host_total(self) -> int:
        """Bytes of RAM, if there is such a device."""
        return max(self.resident + self.style_extra + self.staging, self.transitions, self.loading)

    @property
    def unified_total(self) -> int:
        """Bytes in total, if network and canvas share one memory."""
        working = self.resident + max(self.patch, self.style_extra + self.style_pass)
        return max(self.network + max(working, self.transitions), self.loading) + self.captured

    def device_bytes(self, device: torch.device, canvas_device: torch.device) -> int:
        """Return the bytes that `--memory` limits, of a network on one device and a canvas on one."""
        return self.unified_total if canvas_device == device else self.device_total


def estimate_memory(
    inputs: MemoryInputs,
    levels: tuple[Level, ...],
    patch_side: int,
    picture_sizes: PictureSizes,
    style_side: float,
) -> MemoryEstimate:
    """Estimate the memory that a render needs at most; its last level needs the most.

    Args:
        inputs: What the render computes.
        levels: Its levels.
        patch_side: Largest patch side, pixels.
        picture_sizes: Sizes of the pictures.
        style_side: Long side at which the style is used, pixels.
    """
    extent = levels[-1].extent
    scale = 2 ** (len(levels[-1].scale_odds) - 1)
    canvas_side = min(
        patch_side, levels[-1].patch_side
    )  # of patches of the canvas; those of the style have `patch_side`
    window = _patch_pixels(extent, canvas_side * scale)
    sources = (PIXEL_BYTES + LUMINANCE_BYTES * inputs.luminance_only) * sum(
        picture_sizes.areas
    ) + FLOAT_BYTES * (picture_sizes.guide_numbers + picture_sizes.map_numbers)
    regions = (
        FLOAT_BYTES * inputs.regions if picture_sizes.guide_numbers else 0
    )  # bytes a pixel for the weights of regions
    extra = (
        ACCUMULATOR_BYTES * inputs.overlapping
        + PIXEL_BYTES * bool(picture_sizes.content)
        + _extra_canvas_bytes(inputs)
        + regions
        + FLOAT_BYTES * bool(picture_sizes.map_numbers)
    )
    canvas = CANVAS_BYTES + extra + _anchor_bytes(picture_sizes, extent)
    resident = sources + round(canvas * extent.area) + _deferred_bytes(extent, canvas_side)
    style = picture_sizes.largest_style
    style_area = min(style, style * (style_side / max(map(max, picture_sizes.styles), default=1)) ** 2)
    if inputs.has_locality:  # all styles are in memory, at every scale
        resident += round(PIXEL_BYTES * style_area * len(picture_sizes.styles) * 4 / 3)
    if inputs.mapped:
        return _estimate_mapped(inputs, levels, picture_sizes, window, patch_side, canvas)
    return MemoryEstimate(
        network=_network_bytes(inputs),
        patch=round(_patch_bytes(inputs, extent, canvas_side, scaled=scale > 1) + STEP_BYTES * window),
        style_pass=_style_pass_bytes(inputs, patch_side),
        resident=resident,
        style_extra=round(PIXEL_BYTES * (2 * style_area + sqrt(style_area * style)) + regions * style_area),
        transitions=max(
            READING_BYTES * sum(picture_sizes.areas),
            sources + PIXEL_BYTES * style * (inputs.recolored or inputs.luminance_only),
            sources
            + _level_change_bytes(levels)
            + PIXEL_BYTES * bool(picture_sizes.guide_numbers) * extent.area,
            resident + _snapshot_bytes(extent.picture.area),
            # The pixels of the canvas alone, and what they are converted to for the file.
            sources
            + PIXEL_BYTES * (extent.area + (inputs.resized + inputs.luminance_only) * extent.picture.area),
        ),
        loading=_loading_bytes(inputs.network),
        disk=2
        * (CANVAS_BYTES + 2 * PIXEL_BYTES * inputs.history)
        * extent.area,  # a checkpoint, and the one before
        staging=_staging_bytes(inputs, extent, canvas_side),
    )


def _estimate_mapped(
    inputs: MemoryInputs,
    levels: tuple[Level, ...],
    picture_sizes: PictureSizes,
    window: int,
    side: int,
    canvas_bytes: float,
) -> MemoryEstimate:
    """Estimate the memory of a render whose canvas, and all else that grows with it, is memory-mapped.

    Args:
        inputs: What the render computes.
        levels: Its levels.
        picture_sizes: Sizes of the pictures.
        window: Canvas pixels under a patch, at its largest scale.
        side: Largest patch side, pixels.
        canvas_bytes: Bytes of a canvas pixel.
    """
    extent, scaled = levels[-1].extent, len(levels[-1].scale_odds) > 1
    canvas_side = min(side, levels[-1].patch_side)
    small = round(canvas_bytes * MIN_MAPPED_PIXELS) + PIXEL_BYTES * sum(
        min(area, MIN_MAPPED_PIXELS) for area in picture_sizes.areas
    )
    small += FLOAT_BYTES * min(picture_sizes.guide_numbers, 2 * inputs.regions * MIN_MAPPED_PIXELS)
    small += FLOAT_BYTES * min(picture_sizes.map_numbers, MIN_MAPPED_PIXELS)
    previous_area = levels[-2].extent.area if len(levels) > 1 else 0
    style = picture_sizes.largest_style
    largest = max(style, extent.area) if style > MIN_MAPPED_PIXELS else 0
    largest *= len(picture_sizes.styles) if inputs.has_locality else 1
    changing = CANVAS_BYTES * (previous_area + extent.area)
    extra = 0
    if inputs.recolored or inputs.luminance_only:
        extra += PIXEL_BYTES * sum(h * w for h, w in picture_sizes.styles)
    if inputs.luminance_only:
        extra += LUMINANCE_BYTES * sum(picture_sizes.areas) + PIXEL_BYTES * extent.picture.area
    if inputs.resized:
        extra += PIXEL_BYTES * extent.picture.area
    working = (canvas_bytes + JOURNAL_SHARE * CANVAS_BYTES) * extent.area + PIXEL_BYTES * largest
    return MemoryEstimate(
        network=_network_bytes(inputs),
        patch=round(_patch_bytes(inputs, extent, canvas_side, scaled=scaled) + STEP_BYTES * window),
        style_pass=_style_pass_bytes(inputs, side),
        resident=2 * MAX_RESIDENT_BYTES + small + _deferred_bytes(extent, canvas_side),
        style_extra=3 * PIXEL_BYTES * min(style, MIN_MAPPED_PIXELS),
        transitions=2 * MAX_RESIDENT_BYTES + 2 * small + STREAMING_BYTES,
        loading=_loading_bytes(inputs.network),
        disk=round(max(changing, working))
        + PIXEL_BYTES * sum(area for area in picture_sizes.areas if area > MIN_MAPPED_PIXELS)
        + FLOAT_BYTES * (picture_sizes.guide_numbers + picture_sizes.map_numbers)
        + extra,
        staging=_staging_bytes(inputs, extent, canvas_side),
    )


def captured_bytes(inputs: MemoryInputs, extent: CanvasExtent, side: int) -> int:
    """Return the memory of passes over patches of one size that are kept as CUDA graphs.

    A graph keeps its activations and gradients, and cannot use the memory of passes that are not captured.

    Args:
        inputs: What the render computes.
        extent: Size of the canvas.
        side: Patch side, pixels.
    """
    network = inputs.network
    per_pixel = network.bytes_per_pixel({*inputs.style_layers, *inputs.content_layers}, network.dtype)
    graphs = GRAPH_BYTES + LOCALITY_GRAPH_BYTES * inputs.has_locality
    return graphs + round(_patch_pixels(extent, side) * per_pixel)


def forward_bytes(network: FeatureNetwork, layers: Collection[str]) -> float:
    """Return the memory of a forward pass to some layers and of their moments, bytes per input pixel.

    The peak is either the features so far together with the widest layer in progress, or all features together
    with a copy of the widest: moments are sums in float32 over a copy arranged by cells. (A CPU copies a part
    at a time; the bound does not rely on it.)

    Args:
        network: The network.
        layers: Layers whose features are needed.
    """
    item = network.dtype.itemsize
    values = {name: layer.channels / layer.stride**2 for name, layer in network.layers.items()}
    if not layers:
        return 0.0
    features = sum(values[name] for name in layers)
    copied = item if network.dtype is torch.float32 else item + 4
    widest = max(values[name] for name in layers)
    return max(item * (features + max(values.values())), item * features + copied * widest)


def _extra_canvas_bytes(inputs: MemoryInputs) -> float:
    """Return the bytes per canvas pixel of what else grows with it.

    These are the gradients of coarse layers, cached content features, and the history of L-BFGS.
    """
    scale_groups = inputs.network.scale_groups({*inputs.style_layers, *inputs.content_layers})
    cached = _cached_content_bytes(inputs) if inputs.content_cached else 0
    lbfgs_bytes = PIXEL_BYTES * (2 * inputs.history + LBFGS_VECTORS) if inputs.history else 0
    return cached + lbfgs_bytes + sum(PIXEL_BYTES / factor**2 for factor in scale_groups if factor > 1)


def _cached_content_bytes(inputs: MemoryInputs) -> float:
    """Return the bytes per canvas pixel of cached content features, in 16 bits."""
    group = inputs.network.scale_groups({*inputs.style_layers, *inputs.content_layers}).get(1, {})
    layers = [inputs.network.layers[name] for layer, name in group.items() if layer in inputs.content_layers]
    return 2 * sum(layer.channels / layer.stride**2 for layer in layers)


def _anchor_bytes(picture_sizes: PictureSizes, extent: CanvasExtent) -> float:
    """Return the bytes per canvas pixel that an anchor needs for its trust map and residual."""
    return (
        0.0
        if picture_sizes.anchor is None
        else ACCUMULATOR_BYTES * picture_sizes.anchor[0] * picture_sizes.anchor[1] / extent.area
    )


def _patch_bytes(inputs: MemoryInputs, extent: CanvasExtent, side: int, *, scaled: bool) -> float:
    """Estimate the memory of a patch forward and backward, or forward only, with the halo for exact moments.

    If the canvas is larger than a patch, groups of coarse layers are computed separately; at scales above 1,
    and with locality, all layers together. With locality, a window of the style is computed while the features
    of the patch are in memory.

    Args:
        inputs: What the render computes.
        extent: Size of the canvas.
        side: Patch side, pixels.
        scaled: Whether there are scales above 1.
    """
    network = inputs.network
    scaled = scaled or inputs.has_locality
    layers = {*inputs.style_layers, *inputs.content_layers}
    scale_groups = {1: {layer: layer for layer in layers}} if scaled else network.scale_groups(layers)
    both_passes = _patch_pixels(extent, side) * network.bytes_per_pixel(layers, network.dtype)
    peak = both_passes
    for names in scale_groups.values():
        halo = measuring_halo([network.layers[name] for name in names.values()])
        style = [name for layer, name in names.items() if layer in inputs.style_layers]
        if style:
            peak = max(peak, _patch_pixels(extent, side + 2 * halo) * forward_bytes(network, style))
    if network.device.type != "cpu":  # while the features and their cotangents are in memory
        features = sum(network.layers[layer].channels / network.layers[layer].stride ** 2 for layer in layers)
        peak = max(peak, _patch_pixels(extent, side) * (2 * network.dtype.itemsize * features + PALETTE_BYTES))
    if (
        inputs.content_cached
    ):  # if one patch covers a coarse level: cached for each place that it cycles through
        peak += (
            CYCLED_PLACES
            * _patch_pixels(extent, side)
            * _cached_content_bytes(inputs)
            * network.dtype.itemsize
            / 2
        )
    if inputs.has_locality:
        peak += side**2 * forward_bytes(network, inputs.style_layers)
    if inputs.autocorrelation_layers:  # a layer's centered cells, their gradient, and what it is added to
        cells = (network.layers[layer] for layer in inputs.autocorrelation_layers)
        peak += (
            _patch_pixels(extent, side)
            * 4
            * FLOAT_BYTES
            * max(layer.channels / layer.stride**2 for layer in cells)
        )
    if inputs.regions > 1:  # cells and their roots in float32, times their weights
        cells = (network.layers[layer] for layer in inputs.style_layers)
        peak += (
            _patch_pixels(extent, side)
            * 2
            * FLOAT_BYTES
            * max(layer.channels / layer.stride**2 for layer in cells)
        )
    if inputs.self_similarity:
        peak += DISTANCE_MATRICES * FLOAT_BYTES * MAX_SAMPLES**2
    return FRAGMENTATION * peak


def _deferred_bytes(extent: CanvasExtent, side: int) -> int:
    """Return the bytes of border gradients that wait for those of their neighbors."""
    every = 4 * BORDER_WIDTH / side * extent.area if side < max(extent.height, extent.width) else 0
    return round(min(PIXEL_BYTES * every, BORDER_BYTES + 3 * 4 * BORDER_WIDTH * PIXEL_BYTES * extent.width))


def _style_pass_bytes(inputs: MemoryInputs, side: int) -> int:
    """Return the bytes of a patch of the style, forward."""
    return round(FRAGMENTATION * side**2 * forward_bytes(inputs.network, inputs.style_layers))


def _snapshot_bytes(area: int) -> int:
    """Return the bytes of downsampling the current picture for an observer: one axis, then the other."""
    if area <= SNAPSHOT_SIDE**2:
        return 2 * PIXEL_BYTES * area
    return round(PIXEL_BYTES * (2 * SNAPSHOT_SIDE**2 + SNAPSHOT_SIDE * sqrt(area)))


def _staging_bytes(inputs: MemoryInputs, extent: CanvasExtent, side: int) -> int:
    """Return the bytes of page-locked memory for transfers to and from a device; 0 on a CPU.

    Without overlap the pixels are updated on the device, so all planes of the canvas are transferred.
    """
    if inputs.network.device.type == "cpu":
        return 0
    return staged_bytes((PIXEL_BYTES if inputs.overlapping else CANVAS_BYTES) * _patch_pixels(extent, side))


def _patch_pixels(extent: CanvasExtent, side: int) -> int:
    """Return the number of canvas pixels that a patch of this side covers."""
    return min(side, extent.height) * min(side, extent.width)


def _network_bytes(inputs: MemoryInputs) -> int:
    """Return the bytes of network, moments and libraries."""
    channels = [inputs.network.layers[layer].channels for layer in inputs.style_layers]
    widest = max(channels, default=0)
    matrices = MATRIX_BYTES * sum(count**2 for count in channels) + EIGH_WORKSPACE * widest**2
    matrices += LAG_BYTES * sum(
        inputs.network.layers[layer].channels for layer in inputs.autocorrelation_layers
    )
    matrices *= inputs.regions
    weights = round(WEIGHT_COPIES * _parameter_count(inputs.network) * inputs.network.dtype.itemsize)
    return RUNTIME_BYTES[inputs.network.dtype] + matrices + weights


def _loading_bytes(network: FeatureNetwork) -> int:
    """Return the bytes of loading a network: its weights twice in float32, and some more."""
    return RUNTIME_BYTES[torch.float32] + round(2.2 * 4 * _parameter_count(network))


def _parameter_count(network: FeatureNetwork) -> int:
    """Return the number of trained parameters of a network."""
    if not isinstance(network, Vgg):
        return 0
    return sum(part.weight.numel() + part.bias.numel() for part in network.convolutions.values())


def _level_change_bytes(levels: tuple[Level, ...]) -> int:
    """Return the bytes of enlarging the canvas to the last level: both canvases, and rows in progress."""
    extent = levels[-1].extent
    previous = levels[-2].extent if len(levels) > 1 else None
    if previous is None:  # made from the initial picture
        return CANVAS_BYTES * extent.area + 2 * PIXEL_BYTES * extent.picture.area
    # Along one axis, then the other, whose interpolation weights are all in memory at once.
    rows = (
        READ_BYTES
        + 2 * PIXEL_BYTES * BAND_ROWS * (previous.width + extent.width)
        + FLOAT_BYTES * BAND_COLUMNS * previous.width
    )
    return CANVAS_BYTES * (previous.area + extent.area) + rows
