"""The built-in feature network: two orders of rectified wavelets, no weights.

Opponent colours go down a pyramid, scale 1 the finest. On each scale pairs of Gabor filters look for
edges and lines (first order), and again over the energies of what they found (second order: how
strokes curve, end and repeat), as the scattering transform does (Bruna and Mallat 2013). Statistics
of rectified wavelets describe textures about as well as those of trained networks (Zhang and Mallat
2021; Brochard, Zhang and Mallat 2022).
"""

from __future__ import annotations

from collections.abc import Collection, Mapping

import torch
import torch.nn.functional as F
from torch import Tensor

from tilestyle.networks.filters import binomial, gabor_pairs
from tilestyle.networks.network import Layer, unknown_layer

SCALES = 5
LUMINANCE_ORIENTATIONS = 8
CHROMA_ORIENTATIONS = 4
ENERGY_ORIENTATIONS = 4
SIZE = 8  # pixels across a filter: even, so that a filter of stride 2 is centred on its cell
WAVELENGTH = 4.5
ENVELOPE = 2.0
CHROMA_GAIN = 2.0
SMALLEST_ENERGY = 1e-3  # rounds off the modulus at zero, where it has no gradient

# Rows: luminance, red against green, blue against yellow; orthonormal before the gain.
OPPONENT = (
    (3**-0.5, 3**-0.5, 3**-0.5),
    (CHROMA_GAIN * 2**-0.5, -CHROMA_GAIN * 2**-0.5, 0.0),
    (CHROMA_GAIN * 6**-0.5, CHROMA_GAIN * 6**-0.5, -2 * CHROMA_GAIN * 6**-0.5),
)


def _layers() -> dict[str, Layer]:
    """Strides and receptive fields of every layer, shallow to deep."""
    waves = 2 * (LUMINANCE_ORIENTATIONS + 2 * CHROMA_ORIENTATIONS)
    energy_waves = 2 * LUMINANCE_ORIENTATIONS * ENERGY_ORIENTATIONS
    first, second = {}, {}
    field = 1
    for scale in range(1, SCALES + 1):
        step = 2 ** (scale - 1)
        reach = field + (SIZE - 1) * step
        name = f"first_{scale}"
        first[name] = Layer(name, 3 + 2 * waves, 2 * step, reach)
        if scale < SCALES:
            name = f"second_{scale}"
            channels = LUMINANCE_ORIENTATIONS + 2 * energy_waves
            second[name] = Layer(name, channels, 4 * step, reach + (SIZE - 1) * 2 * step)
        field += 3 * step
    return first | second


class WaveletNetwork:
    """Layers `first_1` to `first_5` and `second_1` to `second_4`, 1 the finest scale.

    A first-order layer holds the low-pass colour and each wavelet response with its modulus, a
    second-order layer the blurred energies and the wavelet responses over them with their modulus.
    (A response and its modulus span what its two rectified halves span, at the same distance.)
    """

    name = "wavelet"

    def __init__(self) -> None:
        self.layers: Mapping[str, Layer] = _layers()
        self.style_layers: Mapping[str, float] = dict.fromkeys(self.layers, 1.0)
        self.content_layers: Mapping[str, float] = {"second_1": 1.0, "second_2": 1.0}
        luminance = gabor_pairs(LUMINANCE_ORIENTATIONS, SIZE, WAVELENGTH, ENVELOPE)
        chroma = gabor_pairs(CHROMA_ORIENTATIONS, SIZE, WAVELENGTH, ENVELOPE)
        low_pass = F.pad(binomial(), [(SIZE - 4) // 2] * 4)
        rows = [(low_pass[None], channel) for channel in range(3)]
        rows += [(luminance, 0), (chroma, 1), (chroma, 2)]
        first = torch.zeros(0, 3, SIZE, SIZE, dtype=torch.float64)
        for bank, channel in rows:
            block = torch.zeros(len(bank), 3, SIZE, SIZE, dtype=torch.float64)
            block[:, channel] = bank
            first = torch.cat([first, block])
        energy = gabor_pairs(ENERGY_ORIENTATIONS, SIZE, WAVELENGTH, ENVELOPE)
        energy = torch.cat([low_pass[None], energy])  # [M, SIZE, SIZE]
        count = LUMINANCE_ORIENTATIONS
        second = torch.zeros(len(energy), count, count, SIZE, SIZE, dtype=torch.float64)
        for channel in range(count):
            second[:, channel, channel] = energy
        self._opponent = torch.tensor(OPPONENT, dtype=torch.float64)[:, :, None, None]
        self._halving = torch.stack([binomial()] * 3)[:, None]
        self._first = first
        self._second = second.flatten(0, 1)

    @property
    def device(self) -> torch.device:
        """Where the filters are, and pictures must be."""
        return self._first.device

    @property
    def dtype(self) -> torch.dtype:
        """Arithmetic of the filters, and of the pictures it takes."""
        return self._first.dtype

    def canonical(self, name: str) -> str:
        """The name itself, where there is such a layer."""
        if name not in self.layers:
            raise unknown_layer(self.name, name, self.layers)
        return name

    def to(self, device: torch.device, dtype: torch.dtype) -> WaveletNetwork:
        """The same network with its filters on `device` in `dtype`."""
        network = WaveletNetwork()
        for constant in ("_opponent", "_halving", "_first", "_second"):
            tensor = getattr(self, constant).to(device, dtype)
            setattr(network, constant, tensor.contiguous(memory_format=torch.channels_last))
        return network

    def features(self, pixels: Tensor, layers: Collection[str]) -> dict[str, Tensor]:
        """Responses of the named layers; only the scales they need are computed."""
        found: dict[str, Tensor] = {}
        deepest = max(int(name[-1]) for name in layers)
        picture = F.conv2d(pixels.contiguous(memory_format=torch.channels_last), self._opponent)
        for scale in range(1, deepest + 1):
            first, second = f"first_{scale}", f"second_{scale}"
            if first in layers or second in layers:
                responses = F.conv2d(_padded(picture, SIZE // 2 - 1), self._first, stride=2)
                if first in layers:
                    found[first] = torch.cat([responses, responses[:, 3:].abs()], 1)
                if second in layers:
                    found[second] = self._second_order(responses)
            if scale < deepest:
                picture = F.conv2d(_padded(picture, 1), self._halving, stride=2, groups=3)
        return {name: found[name] for name in layers}

    def _second_order(self, responses: Tensor) -> Tensor:
        """Blurred energies of the luminance, and the wavelet responses over them."""
        count = LUMINANCE_ORIENTATIONS
        even, odd = responses[:, 3 : 3 + count], responses[:, 3 + count : 3 + 2 * count]
        energy = (even.square() + odd.square() + SMALLEST_ENERGY**2).sqrt()
        waves = F.conv2d(_padded(energy, SIZE // 2 - 1), self._second, stride=2)
        return torch.cat([waves, waves[:, count:].abs()], 1)

    def multiply_adds_per_pixel(self, layers: Collection[str]) -> float:
        """Multiply-adds of the convolutions that a forward pass to the named layers runs."""
        deepest = max(int(name[-1]) for name in layers)
        total = 9.0
        for scale in range(1, deepest + 1):
            cells = 4.0**-scale
            if f"first_{scale}" in layers or f"second_{scale}" in layers:
                total += cells * self._first.numel()
            if f"second_{scale}" in layers:
                total += cells / 4 * self._second.numel()
            if scale < deepest:
                total += cells * self._halving.numel()
        return total

    def bytes_per_pixel(self, layers: Collection[str], dtype: torch.dtype) -> float:
        """Memory of one forward and backward pass to the named layers, bytes per input pixel."""
        values = 12.0
        for name in layers:
            layer = self.layers[name]
            values += 3.0 * layer.channels / layer.stride**2
        return values * dtype.itemsize


def _padded(picture: Tensor, reach: int) -> Tensor:
    """The picture continued by its outermost pixels: zeros would be an edge that is not there."""
    return F.pad(picture, [reach] * 4, mode="replicate")
