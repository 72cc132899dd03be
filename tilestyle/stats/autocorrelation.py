"""Autocorrelations of features: products of cells a lag apart, which describe how a pattern is arranged.

Moments do not see where a cell lies: bricks in rows and bricks in heaps have much the same moments. For each
channel

    R_d = E[(F(u) - m) (F(u + d) - m)],    d = (down, across), |down| and |across| up to MAX_LAG cells,

peaks where the pattern repeats (Sendik and Cohen-Or 2017, Deep correlations for texture synthesis; Berger and
Memisevic 2016, arXiv 1606.01286, with products of all channels at a few lags). The center m is a constant, the
style's mean, so that sums of products add up over patches like those of moments, with a count of pairs for
every lag. Pairs lie within a patch: those across its edge are missing in the count as well as in the sum.

All lags of a square cost one Fourier transform. d and -d are the same lag, so half of the square is kept:
[L, M] = [MAX_LAG + 1, 2 MAX_LAG + 1], down from 0, across from -MAX_LAG.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from tilestyle.devices.transfer import accumulator_dtype
from tilestyle.stats.exact_sum import from_fixed, to_fixed
from tilestyle.stats.moments import COUNT_UNITS

# Largest lag along an axis, cells. Measured: docs/algorithm.md.
MAX_LAG = 12
# Ridge on spectra, as a share of their mean.
RIDGE = 0.03
# Fewest pairs for a mean. Weights can leave fewer, and then the rounding error of the transform would dominate.
MIN_PAIRS = 0.5
# Numbers that are transformed at once, so that the channels of a batch stay in a CPU's caches.
NUMBERS_AT_ONCE = 2**18


@dataclass(frozen=True)
class Autocorrelation:
    """Autocorrelation of the features of one layer.

    Attributes:
        count: Number of pairs at every lag, [L, M].
        products: Means of their products, [C, L, M]; 0 where there is no pair.
    """

    count: Tensor
    products: Tensor

    def state_dict(self) -> dict[str, Tensor]:
        """Return the autocorrelation as tensors by name, to be saved."""
        return {"count": self.count, "products": self.products}

    @classmethod
    def from_state_dict(cls, state: Mapping[str, Tensor], device: torch.device) -> Autocorrelation:
        """Load an autocorrelation from such a state, onto the device of the features."""
        return cls(state["count"].to(device, accumulator_dtype(device)), state["products"].to(device))


class AutocorrelationSum:
    """Running sum of products about a center, from which an `Autocorrelation` is computed.

    The sums are float32 on the device of the features (float64 for float64 features), or in fixed point
    (exact_sum.py).
    """

    def __init__(self, center: Tensor, *, fixed_point: bool = False) -> None:
        """Begin with nothing.

        Args:
            center: [C], subtracted from the features.
            fixed_point: Whether to sum in fixed point.
        """
        self._center = center
        self._fixed_point = fixed_point
        self.count: Tensor | None = None  # [L, M]
        self.products: Tensor | None = None

    def centered(self, features: Tensor, weights: Tensor | None = None) -> Tensor:
        """Return features [1, C, h, w] less the center, times weights [h, w]: [C, h, w], float32 or float64."""
        values = features[0].to(_accumulator_dtype(features.dtype))
        values = values - self._center.to(values)[:, None, None]
        return values if weights is None else values * weights.to(values)

    def add(self, features: Tensor, weights: Tensor | None = None) -> None:
        """Add every pair of cells.

        Args:
            features: [1, C, h, w].
            weights: Weights of the cells [h, w], multiplied in a pair; None: all 1.
        """
        products = autocorrelation(self.centered(features, weights))
        if weights is None:
            count = pair_counts(features.shape[2], features.shape[3], features.device)
        else:
            count = autocorrelation(weights[None].to(accumulator_dtype(weights.device)))[0]
            count = (
                torch.round(count * COUNT_UNITS).clamp(min=0) / COUNT_UNITS
            )  # removes the rounding of the transform
        products = to_fixed(products) if self._fixed_point else products
        self.count = count if self.count is None else self.count + count
        self.products = products if self.products is None else self.products + products

    def allocate(self) -> None:
        """Allocate sums of zero if nothing has been added, so that ranks can sum them."""
        if self.products is None:
            self.count = torch.zeros_like(pair_counts(1, 1, self._center.device))
            empty = torch.zeros(len(self._center), *self.count.shape, device=self._center.device)
            self.products = to_fixed(empty) if self._fixed_point else empty

    def state_dict(self) -> dict[str, Tensor]:
        """Return the sums as tensors by name, to be saved; empty if nothing has been added."""
        if self.count is None or self.products is None:
            return {}
        return {"count": self.count, "products": self.products}

    def load_state_dict(self, state: Mapping[str, Tensor]) -> None:
        """Load sums from such a state."""
        device = self._center.device
        self.count, self.products = (
            state["count"].to(device, accumulator_dtype(device)),
            state["products"].to(device),
        )

    def mean(self) -> Autocorrelation | None:
        """Return the autocorrelation of all cells added, on the device of the features; None without pairs."""
        if self.count is None or self.products is None or not self.count[0, MAX_LAG] >= MIN_PAIRS:
            return None
        products = from_fixed(self.products) if self._fixed_point else self.products
        known = self.count >= MIN_PAIRS
        mean = products / self.count.clamp(min=MIN_PAIRS).to(products)
        return Autocorrelation(torch.where(known, self.count, 0), torch.where(known, mean, 0))


def _accumulator_dtype(dtype: torch.dtype) -> torch.dtype:
    """Return the dtype of sums of features."""
    return dtype if dtype is torch.float64 else torch.float32


def pair_counts(height: int, width: int, device: torch.device) -> Tensor:
    """Return the number of pairs of height x width cells at every lag, [L, M]."""
    down = (height - torch.arange(MAX_LAG + 1, device=device)).clamp(min=0)
    across = (width - torch.arange(-MAX_LAG, MAX_LAG + 1, device=device).abs()).clamp(min=0)
    return torch.outer(down, across).to(accumulator_dtype(device))


def autocorrelation(cells: Tensor) -> Tensor:
    """Return sums of products at every lag, [C, L, M], of [C, h, w] cells (Wiener-Khinchin); nothing wraps."""
    shape = _padded_fft_shape(*cells.shape[1:])
    parts = torch.split(cells, _channels_at_once(shape))
    return torch.cat([_products(_transformed(part, shape), shape[1]) for part in parts])


def autocorrelation_gradient(cells: Tensor, coefficients: Tensor) -> Tensor:
    """Return the gradient of sum_d c_d S_d in the cells, where S is their `autocorrelation`.

    It is sum_d c_d (X(u + d) + X(u - d)): a convolution with both halves of the square of lags.

    Args:
        cells: X [C, h, w].
        coefficients: c [C, L, M].

    Returns:
        [C, h, w].
    """
    height, width = cells.shape[1:]
    shape = _padded_fft_shape(height, width)
    gradients = []
    for part, part_coefficients in zip(
        *(torch.split(x, _channels_at_once(shape)) for x in (cells, coefficients)), strict=True
    ):
        kernel = part.new_zeros(len(part), MAX_LAG + 1, shape[1])
        kernel[..., : MAX_LAG + 1] = part_coefficients[..., MAX_LAG:]
        kernel[..., -MAX_LAG:] = part_coefficients[..., :MAX_LAG]
        # The other half is its mirror image: twice the real part of the transform is that of both halves.
        response = _transformed(kernel, shape).real * 2
        filtered = torch.fft.ifft(_transformed(part, shape).mul_(response), dim=1)[:, :height]
        gradients.append(torch.fft.irfft(filtered, n=shape[1])[..., :width])
    return torch.cat(gradients)


def _transformed(rows: Tensor, shape: tuple[int, int]) -> Tensor:
    """Return the Fourier transform of [C, h, w] planes padded to a shape; rows of zeros are left out."""
    transformed: Tensor = torch.fft.fft(torch.fft.rfft(rows, n=shape[1]), n=shape[0], dim=1)
    return transformed


def _products(spectrum: Tensor, width: int) -> Tensor:
    """Return sums of products at every lag [C, L, M] from the transform of planes of this width."""
    power = torch.view_as_real(spectrum).square().sum(-1)
    rows = torch.fft.irfft(torch.fft.ifft(power, dim=1)[:, : MAX_LAG + 1], n=width)
    return torch.cat([rows[..., -MAX_LAG:], rows[..., : MAX_LAG + 1]], -1)


def _padded_fft_shape(height: int, width: int) -> tuple[int, int]:
    """Return a size with room for the largest lag whose transform is fast."""
    return _fast_fft_length(height + MAX_LAG), _fast_fft_length(max(width, MAX_LAG + 1) + MAX_LAG)


def _fast_fft_length(length: int) -> int:
    """Return the least even number of at least `length` without a prime factor above 5."""
    length += length % 2
    while True:
        rest = length
        for prime in (2, 3, 5):
            while rest % prime == 0:
                rest //= prime
        if rest == 1:
            return length
        length += 2


def _channels_at_once(shape: tuple[int, int]) -> int:
    """Return how many channels of this shape are transformed at once."""
    return max(1, NUMBERS_AT_ONCE // (shape[0] * shape[1]))


@dataclass(frozen=True)
class AutocorrelationCotangent:
    """A distance of autocorrelations and its gradient: N dL/dF(u) = sum_d c_d (X(u + d) + X(u - d)).

    Attributes:
        value: The distance.
        coefficients: c [C, L, M].
    """

    value: float
    coefficients: Tensor

    def state_dict(self) -> dict[str, Tensor]:
        """Return the cotangent as tensors by name, to be saved."""
        return {"value": torch.tensor(self.value, dtype=torch.float64), "slopes": self.coefficients}

    @classmethod
    def from_state_dict(cls, state: Mapping[str, Tensor], device: torch.device) -> AutocorrelationCotangent:
        """Load a cotangent from such a state, onto the device of the features."""
        return cls(float(state["value"]), state["slopes"].to(device))

    def extrapolated(
        self, previous: AutocorrelationCotangent, extrapolation: float
    ) -> AutocorrelationCotangent:
        """Extrapolate from an earlier cotangent by a multiple of the change since then."""
        return AutocorrelationCotangent(
            self.value, self.coefficients + extrapolation * (self.coefficients - previous.coefficients)
        )


class AutocorrelationTarget:
    """Squared Wasserstein-2 distance of stationary Gaussian fields to a fixed target, channel by channel.

    L = sum_cf (P_cf^1/2 - P*_cf^1/2)^2 / sum_cf P*_cf,    P_cf = sum_d t_d R_cd cos(2 pi f d)

    Covariances that only depend on the lag are diagonal in the Fourier basis: their optimal transport is a
    filter, (P* / P)^1/2 (Xia, Ferradans, Peyre and Aujol 2014, Synthesizing and mixing stationary Gaussian
    texture models, section 3). Bartlett's taper t keeps spectra positive, or nearly so. dL/dR_d is one less the
    filter, transformed from frequencies to lags.

    (Squared differences of R_d, as in deep correlations, were tried. Weights that straighten rows spoil the
    paint, because that loss grows with the fourth power of features.)

    Attributes:
        center: [C], what all products are about.
        target: Autocorrelation of the style.
    """

    def __init__(self, target: Autocorrelation, center: Tensor, min_energy: float) -> None:
        """Take the target.

        Args:
            target: Autocorrelation of the style.
            center: [C], what all products are about.
            min_energy: Least energy of the layer (networks.energy).
        """
        self.center, self.target = center, target
        spectrum = _spectrum(target.products)
        # What varies by less than the least energy is flat.
        variance = spectrum.mean((1, 2), keepdim=True).clamp(min=min_energy / len(center))
        self._ridge = RIDGE * variance
        self._roots = (spectrum.clamp(min=0) + self._ridge).sqrt()
        self._energy = float(variance.sum())

    def cotangent(self, autocorrelation: Autocorrelation) -> AutocorrelationCotangent:
        """Return the distance to the target and its cotangent, in float32 on the device of the features."""
        # A canvas or style of few cells has no pairs at large lags: these are left out.
        known = (autocorrelation.count > 0) & (self.target.count > 0)
        power = _spectrum(torch.where(known, autocorrelation.products, self.target.products))
        roots = (power.clamp(min=0) + self._ridge).sqrt()
        # Spectra of few pairs dip below 0: there the distance continues linearly with its slope at 0.
        gain = 1 - self._roots / roots
        errors = (roots - self._roots).square() + gain * power.clamp(max=0)
        value = float(errors.mean((1, 2)).sum(dtype=accumulator_dtype(roots.device)))
        coefficients = _lags(gain)
        count = autocorrelation.count
        pair_factor = torch.where(known, count[0, MAX_LAG] / count.clamp(min=MIN_PAIRS), 0.0).to(coefficients)
        return AutocorrelationCotangent(value / self._energy, coefficients * (pair_factor / self._energy))


def _taper(like: Tensor) -> Tensor:
    """Return Bartlett's taper at every lag [L, M]."""
    down, across = (
        1 - torch.arange(first, MAX_LAG + 1, device=like.device, dtype=like.dtype).abs() / (MAX_LAG + 1)
        for first in (0, -MAX_LAG)
    )
    return torch.outer(down, across)


def _spectrum(products: Tensor) -> Tensor:
    """Return the power spectrum of products at lags.

    Args:
        products: [C, L, M].

    Returns:
        Powers [C, K, K] at all frequencies of a square, with K = 2 MAX_LAG + 2.
    """
    side = 2 * MAX_LAG + 2
    square = products.new_zeros(len(products), side, side)
    tapered = products * _taper(products)
    square[:, : MAX_LAG + 1, : MAX_LAG + 1] = tapered[..., MAX_LAG:]
    square[:, : MAX_LAG + 1, -MAX_LAG:] = tapered[..., :MAX_LAG]
    mirror = tapered[:, 1:].flip(1, 2)
    square[:, -MAX_LAG:, : MAX_LAG + 1] = mirror[..., MAX_LAG:]
    square[:, -MAX_LAG:, -MAX_LAG:] = mirror[..., :MAX_LAG]
    powers: Tensor = torch.fft.fft2(square).real
    return powers


def _lags(gain: Tensor) -> Tensor:
    """Return the gradient [C, L, M] of mean_f gain_f P_f in products; each lag stands for both halves."""
    square = torch.fft.ifft2(gain).real
    rows = square[:, : MAX_LAG + 1]
    coefficients = torch.cat([rows[..., -MAX_LAG:], rows[..., : MAX_LAG + 1]], -1) * _taper(gain)
    # Lags below the first row also stand for their mirror images. The first row contains every lag twice, and
    # lag 0 contributes two equal halves to the gradient in a cell.
    coefficients[:, 1:] *= 2
    return coefficients


def mix_autocorrelations(parts: Sequence[Autocorrelation], shares: Sequence[float]) -> Autocorrelation:
    """Return the autocorrelation of a mixture, all parts about the same center; shares need not sum to one."""
    total = sum(shares)
    weights = [share / total for share in shares]
    count = torch.stack([w * part.count for w, part in zip(weights, parts, strict=True)]).sum(0)
    products = torch.stack([w * part.products for w, part in zip(weights, parts, strict=True)]).sum(0)
    return Autocorrelation(count, products)
