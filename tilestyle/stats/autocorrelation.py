"""Autocorrelations of features: products of what lies a lag apart, which tell how things are arranged.

Moments do not see where a cell lies: bricks in rows and bricks in heaps have much the same. For each channel

    R_d = E[(F(u) - m) (F(u + d) - m)],    d = (down, across), |down| and |across| up to REACH cells,

has its peaks where the pattern repeats (Sendik and Cohen-Or 2017, Deep correlations for texture synthesis;
Berger and Memisevic 2016, arXiv 1606.01286, with products of all channels at a few lags). The centre m is a
constant, the style's mean, so that sums of products add up over patches like those of moments, with a count of
pairs for every lag. Pairs lie within a patch: those across its edge are missing in the count as in the sum.

All lags of a square are had for the price of a Fourier transform. d and -d are the same lag, so half of the
square is kept: [REACH + 1, 2 REACH + 1], down from 0, across from -REACH.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from tilestyle.devices.transfer import widest
from tilestyle.stats.exact_sum import fixed, floating
from tilestyle.stats.moments import PARTS

# Farthest lag along an axis, cells. Measured: docs/algorithm.md.
REACH = 12
# Ridge on spectra, as a share of their mean.
RIDGE = 0.03
# Pairs that make a mean: of fewer, as weights can make them, a transform's rounding would be most.
LEAST = 0.5
# Numbers that are transformed at once: channels are taken so many at a time that they stay in a CPU's caches.
TOGETHER = 2**18


@dataclass(frozen=True)
class Autocorrelation:
    """Counts [L, M] of pairs at every lag, and means [C, L, M] of their products; 0 where there is no pair."""

    count: Tensor
    products: Tensor

    @property
    def state(self) -> dict[str, Tensor]:
        """As tensors by name, to be stored."""
        return {"count": self.count, "products": self.products}

    @classmethod
    def of_state(cls, state: Mapping[str, Tensor], device: torch.device) -> Autocorrelation:
        """The one that `state` was of, on the device of the features."""
        return cls(state["count"].to(device, widest(device)), state["products"].to(device))


class AutocorrelationSum:
    """Running sum of products about a centre; becomes an `Autocorrelation` when asked.

    Sums are float32 on the device of the features (float64 for float64 features); or in fixed point
    (exact_sum.py).
    """

    def __init__(self, centre: Tensor, *, fixed: bool = False) -> None:
        """`centre` [C] is what the products are about."""
        self._centre = centre
        self._fixed = fixed
        self.count: Tensor | None = None  # [L, M]
        self.products: Tensor | None = None

    def centred(self, features: Tensor, weights: Tensor | None = None) -> Tensor:
        """Features [1, C, h, w] less the centre, times weights [h, w]: [C, h, w], float32 or float64."""
        values = features[0].to(_sums(features.dtype))
        values = values - self._centre.to(values)[:, None, None]
        return values if weights is None else values * weights.to(values)

    def add(self, features: Tensor, weights: Tensor | None = None) -> None:
        """Count in every pair of cells of [1, C, h, w] features; as much as the product of `weights` [h, w]."""
        products = autocorrelation(self.centred(features, weights))
        if weights is None:
            count = pairs(features.shape[2], features.shape[3], features.device)
        else:
            count = autocorrelation(weights[None].to(widest(weights.device)))[0]
            count = torch.round(count * PARTS).clamp(min=0) / PARTS  # a transform's rounding is no pair
        products = fixed(products) if self._fixed else products
        self.count = count if self.count is None else self.count + count
        self.products = products if self.products is None else self.products + products

    def begin(self) -> None:
        """Make ready to be added to others, if nothing was counted in."""
        if self.products is None:
            self.count = torch.zeros_like(pairs(1, 1, self._centre.device))
            empty = torch.zeros(len(self._centre), *self.count.shape, device=self._centre.device)
            self.products = fixed(empty) if self._fixed else empty

    @property
    def state(self) -> dict[str, Tensor]:
        """As tensors by name, to be stored; none if nothing was added."""
        if self.count is None or self.products is None:
            return {}
        return {"count": self.count, "products": self.products}

    def restore(self, state: Mapping[str, Tensor]) -> None:
        """Go on from such a state."""
        device = self._centre.device
        self.count, self.products = state["count"].to(device, widest(device)), state["products"].to(device)

    def mean(self) -> Autocorrelation | None:
        """That of everything added so far, on the device of the features; None where there is no pair."""
        if self.count is None or self.products is None or not self.count[0, REACH] >= LEAST:
            return None
        products = floating(self.products) if self._fixed else self.products
        known = self.count >= LEAST
        mean = products / self.count.clamp(min=LEAST).to(products)
        return Autocorrelation(torch.where(known, self.count, 0), torch.where(known, mean, 0))


def _sums(dtype: torch.dtype) -> torch.dtype:
    return dtype if dtype is torch.float64 else torch.float32


def pairs(height: int, width: int, device: torch.device) -> Tensor:
    """How many pairs of cells there are at every lag, [L, M]."""
    down = (height - torch.arange(REACH + 1, device=device)).clamp(min=0)
    across = (width - torch.arange(-REACH, REACH + 1, device=device).abs()).clamp(min=0)
    return torch.outer(down, across).to(widest(device))


def autocorrelation(cells: Tensor) -> Tensor:
    """Sums of products at every lag, [C, L, M], of [C, h, w] cells; nothing goes round (Wiener-Khinchin)."""
    shape = _padded(*cells.shape[1:])
    parts = torch.split(cells, _together(shape))
    return torch.cat([_products(_transformed(part, shape), shape[1]) for part in parts])


def spread(cells: Tensor, slopes: Tensor) -> Tensor:
    """The gradient [C, h, w] of sum_d slope_d S_d in the cells [C, h, w], S being their `autocorrelation`.

    sum_d slope_d (X(u + d) + X(u - d)), slopes [C, L, M]: a convolution with both halves of the square.
    """
    height, width = cells.shape[1:]
    shape = _padded(height, width)
    found = []
    for part, slope in zip(*(torch.split(x, _together(shape)) for x in (cells, slopes)), strict=True):
        kernel = part.new_zeros(len(part), REACH + 1, shape[1])
        kernel[..., : REACH + 1] = slope[..., REACH:]
        kernel[..., -REACH:] = slope[..., :REACH]
        # The other half is its mirror: the real part of the transform is of both, halved.
        response = _transformed(kernel, shape).real * 2
        filtered = torch.fft.ifft(_transformed(part, shape).mul_(response), dim=1)[:, :height]
        found.append(torch.fft.irfft(filtered, n=shape[1])[..., :width])
    return torch.cat(found)


def _transformed(rows: Tensor, shape: tuple[int, int]) -> Tensor:
    """The transform of [C, h, w] planes, padded to a shape; rows that are all padding are not transformed."""
    transformed: Tensor = torch.fft.fft(torch.fft.rfft(rows, n=shape[1]), n=shape[0], dim=1)
    return transformed


def _products(spectrum: Tensor, width: int) -> Tensor:
    """Sums of products at every lag [C, L, M] from the transform of planes so wide."""
    power = torch.view_as_real(spectrum).square().sum(-1)
    rows = torch.fft.irfft(torch.fft.ifft(power, dim=1)[:, : REACH + 1], n=width)
    return torch.cat([rows[..., -REACH:], rows[..., : REACH + 1]], -1)


def _padded(height: int, width: int) -> tuple[int, int]:
    """A size with room for the farthest lag, whose transform is fast."""
    return _fast(height + REACH), _fast(max(width, REACH + 1) + REACH)


def _fast(length: int) -> int:
    """The least even number from this up without a prime factor above 5."""
    length += length % 2
    while True:
        rest = length
        for prime in (2, 3, 5):
            while rest % prime == 0:
                rest //= prime
        if rest == 1:
            return length
        length += 2


def _together(shape: tuple[int, int]) -> int:
    return max(1, TOGETHER // (shape[0] * shape[1]))


@dataclass(frozen=True)
class Slopes:
    """A distance of autocorrelations, and its gradient: N dL/dF(u) = sum_d slope_d (X(u + d) + X(u - d))."""

    value: float
    slopes: Tensor  # [C, L, M]

    @property
    def state(self) -> dict[str, Tensor]:
        """As tensors by name, to be stored."""
        return {"value": torch.tensor(self.value, dtype=torch.float64), "slopes": self.slopes}

    @classmethod
    def of_state(cls, state: Mapping[str, Tensor], device: torch.device) -> Slopes:
        """The slopes that `state` was of, on the device of the features."""
        return cls(float(state["value"]), state["slopes"].to(device))

    def led(self, before: Slopes, lead: float) -> Slopes:
        """Taken on along the way they came from those before, by `lead` of it."""
        return Slopes(self.value, self.slopes + lead * (self.slopes - before.slopes))


class AutocorrelationTarget:
    """Squared Wasserstein-2 distance of stationary Gaussian fields to a fixed target, channel by channel.

    L = sum_cf (P_cf^1/2 - P*_cf^1/2)^2 / sum_cf P*_cf,    P_cf = sum_d t_d R_cd cos(2 pi f d)

    Covariances that only depend on the lag are diagonal in the Fourier basis: their optimal transport is a
    filter, (P* / P)^1/2 (Xia, Ferradans, Peyre and Aujol 2014, Synthesizing and mixing stationary Gaussian
    texture models, section 3). Bartlett's taper t keeps spectra positive, or nearly so. dL/dR_d is one less the
    filter, back from frequencies to lags.

    (Squared differences of R_d instead, as in deep correlations: tried. Weights that set rows straight spoil
    the paint: the loss grows with the fourth power of features.)
    """

    def __init__(self, target: Autocorrelation, centre: Tensor, least: float) -> None:
        """`centre` [C] is what all products are about; `least` energy of the layer (networks.energy)."""
        self.centre, self.wanted = centre, target
        wanted = _spectrum(target.products)
        # What varies by less than the least energy is flat.
        variance = wanted.mean((1, 2), keepdim=True).clamp(min=least / len(centre))
        self._ridge = RIDGE * variance
        self._roots = (wanted.clamp(min=0) + self._ridge).sqrt()
        self._energy = float(variance.sum())

    def slopes(self, found: Autocorrelation) -> Slopes:
        """Distance of what was found to the target and its slopes, in float32 on the device of the features."""
        # A canvas or style of few cells does not know far lags: there nothing is asked.
        known = (found.count > 0) & (self.wanted.count > 0)
        power = _spectrum(torch.where(known, found.products, self.wanted.products))
        roots = (power.clamp(min=0) + self._ridge).sqrt()
        # Spectra of few pairs dip below 0: the distance goes on there by its slope at 0.
        gain = 1 - self._roots / roots
        errors = (roots - self._roots).square() + gain * power.clamp(max=0)
        value = float(errors.mean((1, 2)).sum(dtype=widest(roots.device)))
        slopes = _lags(gain)
        count = found.count
        each = torch.where(known, count[0, REACH] / count.clamp(min=LEAST), 0.0).to(slopes)
        return Slopes(value / self._energy, slopes * (each / self._energy))


def _taper(like: Tensor) -> Tensor:
    """Bartlett's, at every lag [L, M]."""
    down, across = (
        1 - torch.arange(first, REACH + 1, device=like.device, dtype=like.dtype).abs() / (REACH + 1)
        for first in (0, -REACH)
    )
    return torch.outer(down, across)


def _spectrum(products: Tensor) -> Tensor:
    """Powers [C, K, K] at all frequencies of a square of twice the reach, from products [C, L, M] at lags."""
    side = 2 * REACH + 2
    whole = products.new_zeros(len(products), side, side)
    tapered = products * _taper(products)
    whole[:, : REACH + 1, : REACH + 1] = tapered[..., REACH:]
    whole[:, : REACH + 1, -REACH:] = tapered[..., :REACH]
    mirror = tapered[:, 1:].flip(1, 2)
    whole[:, -REACH:, : REACH + 1] = mirror[..., REACH:]
    whole[:, -REACH:, -REACH:] = mirror[..., :REACH]
    powers: Tensor = torch.fft.fft2(whole).real
    return powers


def _lags(gain: Tensor) -> Tensor:
    """The gradient [C, L, M] of mean_f gain_f P_f in products: a lag of the half square stands for both."""
    whole = torch.fft.ifft2(gain).real
    rows = whole[:, : REACH + 1]
    slopes = torch.cat([rows[..., -REACH:], rows[..., : REACH + 1]], -1) * _taper(gain)
    # Lags beyond the first row stand for their mirrors, too. In the first row every lag is there twice, and of
    # lag 0 both halves of the gradient in a cell are the same.
    slopes[:, 1:] *= 2
    return slopes


def mixed(parts: Sequence[Autocorrelation], shares: Sequence[float]) -> Autocorrelation:
    """That of a mixture with the given shares, which need not sum to one; all about the same centre."""
    total = sum(shares)
    weights = [share / total for share in shares]
    count = torch.stack([w * part.count for w, part in zip(weights, parts, strict=True)]).sum(0)
    products = torch.stack([w * part.products for w, part in zip(weights, parts, strict=True)]).sum(0)
    return Autocorrelation(count, products)
