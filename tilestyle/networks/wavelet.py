"""The wavelet network: two orders of rectified wavelets, without trained weights.

Opponent colors go down a pyramid of five scales, scale 1 the finest. On each scale Gabor filters detect edges
and lines (first order). Filters in place and angle over the energies of these detect how strokes repeat, end
and turn (second order), as in the scattering transform (Bruna and Mallat 2013). Statistics of rectified
wavelets describe textures about as well as those of trained networks (Zhang and Mallat 2021), provided that
neighboring scales are combined (Portilla and Simoncelli 2000; Brochard, Zhang and Mallat 2022): this
distinguishes a blurred edge from a sharp one.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping
from functools import cache

import torch
import torch.nn.functional as F
from torch import Tensor

from tilestyle.networks.base import Layer, unknown_layer_error
from tilestyle.networks.forward_pass import AutogradPass, ForwardPass
from tilestyle.networks.padding import pixel_unshuffle, replicate_pad
from tilestyle.networks.wavelet_filters import (
    binomial_filter,
    detail_filters,
    gabor_pairs,
    in_channel_bank,
    stroke_pairs,
    zero_padded,
)
from tilestyle.networks.wavelet_ops import concat_with_abs, modulus, relu_projections

SCALES = 5
COARSE_HALVINGS = 2  # halvings after which the coarser scales are computed from a reduced picture
ORIENTATIONS = 8  # orientations of luminance
CHROMA_ORIENTATIONS = 4  # orientations of each chroma channel
SIZE = 12  # cells across a first-order filter; even, so that a filter of stride 2 is centered on its cell
STROKE_SIZE = 8  # cells across a second-order filter
WAVELENGTH = 4.5
ENVELOPE = 2.0
SLANT = 0.6
STROKE_GAIN = 0.4  # otherwise second-order waves, with 20 times the energy of the rest, would dominate
SMALLEST_ENERGY = 1e-3  # smooths the modulus at zero, where it has no gradient
FLAT_CONTRAST = 0.03  # contrast below which content counts as flat
BASE_VALUES = 56.0  # values kept per pixel for any layers: pictures, shuffled for convolution, energies
VALUES_PER_CELL = 3.0  # values kept per feature: itself, its gradient, and intermediate results

CHROMA_GAIN = 2.0
# Rows: luminance, red - green, yellow - blue; orthonormal before the gain.
OPPONENT = (
    (3**-0.5, 3**-0.5, 3**-0.5),
    (CHROMA_GAIN * 2**-0.5, -CHROMA_GAIN * 2**-0.5, 0.0),
    (CHROMA_GAIN * 6**-0.5, CHROMA_GAIN * 6**-0.5, -2 * CHROMA_GAIN * 6**-0.5),
)
MIDDLE_GRAY = 0.85  # in units of that luminance
GRAYS = (0.35, 0.6, 0.85, 1.1, 1.35)
HUES = 6
SATURATIONS = (0.1, 0.4)

COLOR_CHANNELS = 3 + len(GRAYS) + HUES * len(SATURATIONS) + 2 * 6
WAVES = 2 * (ORIENTATIONS + 2 * CHROMA_ORIENTATIONS)
ENERGIES = ORIENTATIONS + 2 * CHROMA_ORIENTATIONS
STROKES = 8 * ORIENTATIONS


def _layers() -> dict[str, Layer]:
    """Return strides and receptive fields of every layer, by kind and then shallow to deep."""
    kinds: dict[str, list[Layer]] = {kind: [] for kind in ("color", "first", "second", "contour", "shape")}
    field = 1  # receptive field of a pixel of this scale's picture
    for scale in range(1, SCALES + 1):
        step = 2 ** (scale - 1)
        reach = field + (SIZE - 1) * step
        finer = ENERGIES if scale > 1 else 0
        kinds["first"].append(Layer(f"first_{scale}", 3 + 2 * WAVES + finer, 2 * step, reach))
        kinds["shape"].append(Layer(f"shape_{scale}", 2 * ORIENTATIONS, 2 * step, reach + 8 * step))
        if scale < SCALES:
            channels = 3 + WAVES + 2 * ORIENTATIONS + 2 * STROKES
            strokes = reach + 2 * (STROKE_SIZE - 1) * step
            coarser = field + 3 * step + 2 * (SIZE - 1) * step
            kinds["color"].append(Layer(f"color_{scale}", COLOR_CHANNELS, step, field + 2 * step))
            kinds["second"].append(Layer(f"second_{scale}", channels, 4 * step, max(strokes, coarser)))
            kinds["contour"].append(Layer(f"contour_{scale}", ENERGIES, 4 * step, reach + 10 * step))
        field += 3 * step
    return {layer.name: layer for kind in kinds.values() for layer in kind}


class WaveletNetwork:
    """Five kinds of layers, on scales from 1, the finest.

    color_1 to color_4   colors, their distance beyond some grays and hues (a palette), 3 x 3 details
    first_1 to first_5     low-pass color, waves and their modulus, energies of the next finer scale
    second_1 to second_4   energies, waves over them and their modulus, all of the next coarser scale
    contour_1 to contour_4 energies divided by those of the neighborhood: where edges run, not how strong
    shape_1 to shape_5     waves divided by the energy of the neighborhood: which side of an edge is lighter

    The first three are for style. Contour and shape, which do not depend on contrast, are for content. A wave
    and its modulus stand for its two rectified halves: the pair is the same up to a rotation, to which moment
    distances are invariant.
    """

    name = "wavelet"

    def __init__(self) -> None:
        """Compute the filters."""
        self.layers: Mapping[str, Layer] = _layers()
        style = [name for name in self.layers if name.startswith(("color", "first", "second"))]
        self.style_layers: Mapping[str, float] = dict.fromkeys(style, 1.0)
        self.arrangement_layers: Collection[str] = ("first_2", "first_3")
        content = ("contour_2", "shape_3", "shape_4", "shape_5")
        self.content_layers: Mapping[str, float] = dict.fromkeys(content, 1.0)
        self.content_weight = 0.1
        self._constants: Mapping[str, Tensor] = _constants()

    @property
    def device(self) -> torch.device:
        """Device of the filters, and of the pictures it takes."""
        return self._constants["opponent"].device

    @property
    def dtype(self) -> torch.dtype:
        """Dtype of the filters, and of the pictures it takes."""
        return self._constants["opponent"].dtype

    def resolve_layer_name(self, name: str) -> str:
        """Return the name itself.

        Raises:
            LayerError: There is no such layer.
        """
        if name not in self.layers:
            raise unknown_layer_error(self.name, name, self.layers)
        return name

    def scale_groups(self, layers: Collection[str]) -> dict[int, dict[str, str]]:
        """Return two groups: layers of scale 3 and coarser are computed from the picture reduced by 4.

        The finest scale of a layer counts. On the reduced picture they are two scales finer, because the
        pyramid has the same filters on every scale.
        """
        result: dict[int, dict[str, str]] = {}
        for name in layers:
            _, kind, scale = _parse_layer_name(name)
            finest = scale - 1 if kind == "first" and scale > 1 else scale
            halvings = COARSE_HALVINGS if finest > COARSE_HALVINGS else 0
            result.setdefault(2**halvings, {})[name] = f"{kind}_{scale - halvings}"
        return dict(sorted(result.items()))

    def to(self, device: torch.device, dtype: torch.dtype) -> WaveletNetwork:
        """Return the same network with its filters on `device` in `dtype`."""
        network = WaveletNetwork()
        network._constants = {name: constant.to(device, dtype) for name, constant in _constants().items()}
        return network

    def features(self, pixels: Tensor, layers: Collection[str]) -> dict[str, Tensor]:
        """Return the responses of the named layers; only the scales they need are computed."""
        halvings = {scale for bank, scale in _filter_banks(layers) if bank == "halving"}
        responses = _Responses(pixels, self._constants, halvings)
        return {name: getattr(responses, kind)(scale) for name, kind, scale in map(_parse_layer_name, layers)}

    def forward_pass(self, pixels: Tensor, layers: Collection[str], *, captures: bool = False) -> ForwardPass:
        """Run a forward pass whose gradient will be asked for; nothing is captured."""
        return AutogradPass(self.features, pixels, layers)

    def multiply_adds_per_pixel(self, layers: Collection[str]) -> float:
        """Return the multiply-adds of the convolutions in a forward pass to the named layers."""
        size = {name: constant.numel() for name, constant in self._constants.items()}
        stride = {"waves": 2, "halving": 2, "strokes": 4}
        return sum(
            size[bank] / (stride.get(bank, 1) * 2.0 ** (scale - 1)) ** 2
            for bank, scale in sorted(_filter_banks(layers))
        )

    def bytes_per_pixel(self, layers: Collection[str], dtype: torch.dtype) -> float:
        """Return the memory of one forward and backward pass to the named layers, bytes per input pixel."""
        cells = sum(self.layers[name].channels / self.layers[name].stride ** 2 for name in layers)
        return dtype.itemsize * (BASE_VALUES + VALUES_PER_CELL * cells)


def _filter_banks(layers: Collection[str]) -> set[tuple[str, int]]:
    """Return the filter banks that the layers need, each with the scale it is applied to."""
    banks: set[tuple[str, int]] = set()
    for name in layers:
        _, kind, scale = _parse_layer_name(name)
        banks |= {("palette", scale), ("details", scale)} if kind == "color" else {("waves", scale)}
        if kind == "first" and scale > 1:
            banks.add(("waves", scale - 1))
        if kind == "second":
            banks |= {("waves", scale + 1), ("strokes", scale)}
    deepest = max((scale for _, scale in banks), default=1)
    # The waves of a scale begin with its low-pass color, which is the next scale's picture.
    banks |= {("halving", scale) for scale in range(1, deepest) if ("waves", scale) not in banks}
    return banks | {("opponent", 1)}


class _Responses:
    """Responses to one picture, scale by scale; each intermediate result is computed at most once."""

    def __init__(self, pixels: Tensor, constants: Mapping[str, Tensor], halved_scales: Collection[int]) -> None:
        """Take the picture [B, 3, H, W].

        Args:
            pixels: The picture.
            constants: The filters.
            halved_scales: Scales whose picture is halved by itself, because their waves are not needed.
        """
        self._constants = constants
        self._halved_scales = halved_scales
        pixels = pixels.contiguous(memory_format=torch.channels_last)
        self._pictures = [F.conv2d(pixels, constants["opponent"])]
        self._waves: dict[int, tuple[Tensor, ...]] = {}
        self._energies: dict[int, Tensor] = {}

    def color(self, scale: int) -> Tensor:  # [B, 32, h, w]
        """Layer `color_*`: rectified distances beyond grays and hues, so that moments describe a palette."""
        constants = self._constants
        picture = self.picture(scale)
        palette = relu_projections(picture, constants["palette"], constants["hinges"])
        detail = F.conv2d(replicate_pad(picture[:, :1], 1), constants["details"])
        return concat_with_abs([picture - constants["middle"], palette], [detail])

    def first(self, scale: int) -> Tensor:  # [B, 67 or 83, h, w]
        """Layer `first_*`."""
        low, *waves = self.waves(scale)
        finer = [self.energies(scale - 1), self.chroma(scale - 1)] if scale > 1 else []
        return concat_with_abs([low], waves, [F.avg_pool2d(energies, 2) for energies in finer])

    def second(self, scale: int) -> Tensor:  # [B, 179, h, w]
        """Layer `second_*`: strokes of this scale with the waves of the next coarser."""
        strokes = _strided_responses(self.energies(scale), self._constants["strokes"])
        low, waves = torch.split(strokes, [ORIENTATIONS, STROKES], 1)
        return concat_with_abs([low], [waves], [self.energies(scale + 1), *self.waves(scale + 1)])

    def contour(self, scale: int) -> Tensor:  # [B, 16, h, w]
        """Layer `contour_*`: divisive normalization (Heeger 1992) of the energies, averaged 2 x 2."""
        energies = torch.cat([self.energies(scale), self.chroma(scale)], 1)
        return _divisive_normalization(F.avg_pool2d(energies, 2), 1)

    def shape(self, scale: int) -> Tensor:  # [B, 16, h, w]
        """Layer `shape_*`: divisive normalization of the luminance waves, with their signs.

        Chroma waves are left out: their signs would bind the style's palette to the hues of the content.
        """
        return _divisive_normalization(self.waves(scale)[1], 2)

    def picture(self, scale: int) -> Tensor:  # [B, 3, H / 2^(scale-1), W / 2^(scale-1)]
        """Opponent colors, halved scale - 1 times."""
        while len(self._pictures) < scale:
            finest = len(self._pictures)
            if finest in self._halved_scales:
                self._pictures.append(_strided_responses(self._pictures[-1], self._constants["halving"]))
            else:
                self._pictures.append(self.waves(finest)[0])
        return self._pictures[scale - 1]

    def waves(self, scale: int) -> tuple[Tensor, ...]:  # [B, 3, h, w], [B, 16, h, w], [B, 16, h, w]
        """Low-pass color, the waves of luminance, and those of both chroma channels."""
        if scale not in self._waves:
            waves = _strided_responses(self.picture(scale), self._constants["waves"])
            self._waves[scale] = torch.split(waves, [3, 2 * ORIENTATIONS, 4 * CHROMA_ORIENTATIONS], 1)
        return self._waves[scale]

    def energies(self, scale: int) -> Tensor:  # [B, 8, h, w]
        """Energy of each orientation of luminance."""
        if scale not in self._energies:
            self._energies[scale] = modulus(self.waves(scale)[1], SMALLEST_ENERGY)
        return self._energies[scale]

    def chroma(self, scale: int) -> Tensor:  # [B, 8, h, w]
        """Energy of each orientation of red - green, then of yellow - blue."""
        pairs = self.waves(scale)[2].chunk(2, 1)
        return torch.cat([modulus(pair, SMALLEST_ENERGY) for pair in pairs], 1)


def _parse_layer_name(name: str) -> tuple[str, str, int]:
    """Split a layer name into (name, kind, scale)."""
    kind, scale = name.split("_")
    return name, kind, int(scale)


@cache
@torch.inference_mode(False)  # of whoever asks first: its tensors could not be used elsewhere
def _constants() -> Mapping[str, Tensor]:
    """Return every filter bank and bias, in float64; computed once, and not to be changed."""
    opponent = torch.tensor(OPPONENT, dtype=torch.float64)[:, :, None, None]
    luminance = gabor_pairs(ORIENTATIONS, SIZE, WAVELENGTH, ENVELOPE, SLANT)
    chroma = gabor_pairs(CHROMA_ORIENTATIONS, SIZE, WAVELENGTH, ENVELOPE, SLANT)
    low_pass = zero_padded(binomial_filter(), SIZE)[None]
    waves = [in_channel_bank(low_pass, channel, 3) for channel in range(3)]
    waves += [in_channel_bank(bank, channel, 3) for channel, bank in enumerate((luminance, chroma, chroma))]
    low_pass = zero_padded(binomial_filter(), STROKE_SIZE)[None]
    strokes = [in_channel_bank(low_pass, channel, ORIENTATIONS) for channel in range(ORIENTATIONS)]
    strokes.append(STROKE_GAIN * stroke_pairs(ORIENTATIONS, STROKE_SIZE, WAVELENGTH, ENVELOPE))
    halving = [in_channel_bank(binomial_filter()[None], channel, 3) for channel in range(3)]
    angles = [2 * math.pi * hue / HUES for hue in range(HUES)]
    axes = [(1.0, 0.0, 0.0)] * len(GRAYS)
    axes += [(0.0, math.cos(angle), math.sin(angle)) for angle in angles] * len(SATURATIONS)
    hinges = [-gray for gray in GRAYS] + [-saturation for saturation in SATURATIONS for _ in angles]
    banks = {
        "opponent": opponent,
        "palette": torch.tensor(axes, dtype=torch.float64),
        "details": detail_filters()[:, None],
        "halving": _unshuffled_bank(torch.cat(halving)),
        "waves": _unshuffled_bank(torch.cat(waves)),
        "strokes": _unshuffled_bank(torch.cat(strokes)),
    }
    constants = {
        name: bank.contiguous(memory_format=torch.channels_last) if bank.ndim == 4 else bank
        for name, bank in banks.items()
    }
    constants["hinges"] = torch.tensor(hinges, dtype=torch.float64)
    constants["middle"] = torch.tensor([MIDDLE_GRAY, 0.0, 0.0], dtype=torch.float64)[:, None, None]
    return constants


def _unshuffled_bank(bank: Tensor) -> Tensor:
    """Convert a bank of even size for stride 2 to one for stride 1 over 2 x 2 pixels as channels.

    The sums are the same, but with few channels and a stride the backward pass is many times slower.
    """
    return F.pixel_unshuffle(bank, 2)


def _strided_responses(picture: Tensor, bank: Tensor) -> Tensor:
    """Apply an `_unshuffled_bank` at every second row and column."""
    return F.conv2d(pixel_unshuffle(replicate_pad(picture, bank.shape[-1] - 1)), bank)


def _divisive_normalization(responses: Tensor, reach: int) -> Tensor:
    """Divide responses by the root of their mean square over channels and `reach` cells around."""
    power = responses.square().mean(1, keepdim=True)
    power = F.avg_pool2d(replicate_pad(power, reach), 2 * reach + 1, stride=1)
    return responses * (power + FLAT_CONTRAST**2).rsqrt()
