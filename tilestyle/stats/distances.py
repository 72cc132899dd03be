"""Distances between the moments of the canvas and those of a style.

A distance comes with the two factors of its cotangent: for moments over N cells, the gradient at every cell is
dL/dF = (2 A F + b) / N.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import isfinite

import torch
from torch import Tensor

from tilestyle.devices.transfer import to_device
from tilestyle.stats.affine_gradient import AffineGradient
from tilestyle.stats.gaussian_transport import (
    MAX_NORM_RATIO,
    add_ridge,
    cholesky_or_root,
    eye_like,
    gaussian_transport_map,
    newton_schulz_scales,
    transport_map_from_factor,
)
from tilestyle.stats.moments import Moments

# Ridge on covariances, as a share of the target's mean variance. It bounds the gradient where the canvas has no
# variance in a direction that the style has: there dL/dK grows like the inverse square root of the variance.
RIDGE = 1e-3

# Ridge of absolute distances, where nothing is relative: that of crowsonkb/style-transfer-pytorch.
ABSOLUTE_RIDGE = 1e-4

# Least energy that a distance is divided by, unless the network is known (energy.energy_floors).
MIN_ENERGY = 1e-24

# Variances of channels are clamped to this share of the target's mean variance before their root is taken.
MIN_VARIANCE = 1e-6


@dataclass(frozen=True)
class Cotangent:
    """A distance of moments, and its gradient at every cell: dL/dF = (2 A F + b) / N.

    Attributes:
        value: The distance.
        matrix: A [C, C], symmetric.
        offset: b [C].
    """

    value: float
    matrix: Tensor
    offset: Tensor

    def state_dict(self) -> dict[str, Tensor]:
        """Return the cotangent as tensors by name, to be saved."""
        value = torch.tensor(self.value, dtype=torch.float64)
        return {"value": value, "matrix": self.matrix, "offset": self.offset}

    @classmethod
    def from_state_dict(cls, state: Mapping[str, Tensor]) -> Cotangent:
        """Load a cotangent from such a state."""
        return cls(float(state["value"]), state["matrix"], state["offset"])

    def plus(self, other: Cotangent) -> Cotangent:
        """Return the cotangent of the sum of two distances whose moments are over the same cells."""
        return Cotangent(self.value + other.value, self.matrix + other.matrix, self.offset + other.offset)

    def minus(self, other: Cotangent) -> Cotangent:
        """Return the cotangent of their difference."""
        return self.plus(other.scaled(-1))

    def copied(self) -> Cotangent:
        """Return a copy."""
        return Cotangent(self.value, self.matrix.clone(), self.offset.clone())

    def scaled(self, factor: float) -> Cotangent:
        """Return the cotangent of `factor` times the distance."""
        return Cotangent(self.value * factor, self.matrix * factor, self.offset * factor)

    def to(self, device: torch.device, dtype: torch.dtype) -> Cotangent:
        """Return the cotangent with its tensors on `device` in `dtype`."""
        matrix, offset = (to_device(part, device, dtype) for part in (self.matrix, self.offset))
        return Cotangent(self.value, matrix, offset)

    def affine(self, dtype: torch.dtype) -> AffineGradient:
        """Return the gradient N dL/dF = 2 A F + b as a function of features in `dtype`."""
        return AffineGradient((2 * self.matrix).to(dtype), self.offset.to(dtype))


def trace_energy(target: Moments, min_energy: float) -> float:
    """Return the energy tr K* + |mu*|^2 of a target, clamped to a minimum."""
    return max(float(target.second.trace()), min_energy)


def gram_energy(second: Tensor, min_energy: float) -> float:
    """Return |S*|^2 of second raw moments, clamped to its least value where their trace is `min_energy`."""
    return max(float(second.square().sum()), min_energy**2 / len(second))


class WassersteinTarget:
    """Squared Wasserstein-2 distance of Gaussians to a fixed target, relative to the target's energy.

    L = (|mu - mu*|^2 + tr(K + K* - 2 (K*^1/2 K K*^1/2)^1/2)) / (tr K* + |mu*|^2)   (Dowson and Landau 1982)

    dL/dK = I - K*^1/2 (K*^1/2 K K*^1/2)^-1/2 K*^1/2, the identity less the optimal transport map (Bhatia, Jain
    and Lim 2019, section 2). Dividing by the energy makes layers and networks comparable: black features have a
    distance of 1.
    """

    def __init__(self, target: Moments, *, absolute: bool = False, min_energy: float = MIN_ENERGY) -> None:
        """Take the target's moments.

        Args:
            target: Moments of the style.
            absolute: Whether the distance, and its ridge, is a mean over the channels instead of relative.
            min_energy: Smallest energy that a target counts as having: a black one has none of its own.
        """
        target = target.double()
        self._mean = target.mean
        # What varies by less than the least energy is flat. A ridge below the rounding error of covariances
        # would let that error determine the canvas.
        least_variance = max(1e-12, min_energy / len(target.mean))
        variance = target.covariance.diagonal().mean().clamp(min=least_variance)
        self._ridge = ABSOLUTE_RIDGE if absolute else RIDGE * float(variance)
        covariance = add_ridge(target.covariance, self._ridge)
        self._covariance_trace = covariance.trace()
        self._factor = cholesky_or_root(covariance)
        self._max_norm = MAX_NORM_RATIO * float(torch.linalg.matrix_norm(covariance))
        self._scales = newton_schulz_scales(self._ridge / self._max_norm)
        self.energy = len(target.mean) if absolute else trace_energy(target, min_energy)

    def cotangent(self, moments: Moments) -> Cotangent:
        """Return the distance of `moments` to the target and its cotangent: float64 on the `float64_device`."""
        dtype = moments.second.dtype  # of the features, which the gradient is for
        moments = moments.double()
        covariance = add_ridge(moments.covariance, self._ridge)
        transport_map, cross_trace = gaussian_transport_map(covariance, self._factor, self._ridge, dtype)
        value, matrix, offset = self._from_map(moments.mean, covariance, transport_map, cross_trace)
        return Cotangent(float(value), matrix, offset).scaled(1 / self.energy)

    def launch(self, mean: Tensor, second: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Compute `cotangent` on a device that computes in float64, without waiting for it.

        Args:
            mean: The mean of the canvas's features [C].
            second: Their second raw moment [C, C].

        Returns:
            Numbers for `resolve_launched` [3], A and b.
        """
        mean, second = mean.double(), second.double()
        covariance = add_ridge(second - torch.outer(mean, mean), self._ridge)
        lower, error = torch.linalg.cholesky_ex(covariance)
        transport_map, cross_trace, norm = transport_map_from_factor(lower, self._factor, self._scales)
        value, matrix, offset = self._from_map(mean, covariance, transport_map, cross_trace)
        numbers = torch.stack([value / self.energy, error.to(value), norm / self._max_norm])
        return numbers, matrix / self.energy, offset / self.energy

    def _from_map(
        self, mean: Tensor, covariance: Tensor, transport_map: Tensor, cross_trace: Tensor
    ) -> tuple[Tensor, Tensor, Tensor]:
        """Return the squared distance, A and b, not divided by the energy."""
        traces = covariance.trace() + self._covariance_trace
        return _wasserstein_from_map(mean, mean - self._mean, traces, transport_map, cross_trace)


class VaryingWassersteinTarget:
    """`WassersteinTarget` where the target is another one each time, on a device that computes in float64.

    Nothing of it is waited for. Only distances relative to a known energy are computed: their ridge is a share
    of the target's variance, which bounds the number of Newton-Schulz steps for every target.
    """

    def __init__(self, channels: int, energy: float, min_energy: float = MIN_ENERGY) -> None:
        """Take what all targets have in common.

        Args:
            channels: C.
            energy: What distances are divided by.
            min_energy: Smallest energy that a target counts as having.
        """
        self._energy = energy
        self._least_variance = max(1e-12, min_energy / channels)
        # |K*| is at most its trace: C times the mean variance, with the ridge.
        self._max_norm = MAX_NORM_RATIO * channels * (1 + RIDGE)  # relative to the mean variance
        self._scales = newton_schulz_scales(RIDGE / self._max_norm)

    def launch(
        self, mean: Tensor, second: Tensor, target_mean: Tensor, target_second: Tensor
    ) -> tuple[Tensor, Tensor, Tensor]:
        """Compute the distance of moments to a target, and its gradient.

        Args:
            mean: The mean of the canvas's features [C], float64.
            second: Their second raw moment [C, C], float64.
            target_mean: The target's mean [C], float64.
            target_second: Its second raw moment [C, C], float64.

        Returns:
            Numbers for `resolve_launched` [3], A and b.
        """
        target = target_second - torch.outer(target_mean, target_mean)
        variance = target.diagonal().mean().clamp(min=self._least_variance)
        target = add_ridge(target, RIDGE * variance)
        covariance = add_ridge(second - torch.outer(mean, mean), RIDGE * variance)
        target_factor, target_error = torch.linalg.cholesky_ex(target)
        lower, error = torch.linalg.cholesky_ex(covariance)
        transport_map, cross_trace, norm = transport_map_from_factor(lower, target_factor, self._scales)
        traces = covariance.trace() + target.trace()
        value, matrix, offset = _wasserstein_from_map(
            mean, mean - target_mean, traces, transport_map, cross_trace
        )
        failed = (error + target_error).to(value)
        numbers = torch.stack([value / self._energy, failed, norm / (self._max_norm * variance)])
        return numbers, matrix / self._energy, offset / self._energy


def _wasserstein_from_map(
    mean: Tensor, shift: Tensor, traces: Tensor, transport_map: Tensor, cross_trace: Tensor
) -> tuple[Tensor, Tensor, Tensor]:
    """Return the squared distance, A and b from the transport map, not divided by the energy.

    Args:
        mean: mu [C].
        shift: mu - mu* [C].
        traces: tr K + tr K*.
        transport_map: T [C, C].
        cross_trace: tr (L^T K L)^1/2.
    """
    matrix = eye_like(transport_map) - transport_map
    # K = S - mu mu^T: the gradient in mu has a term through K.
    offset = 2 * shift - 2 * matrix @ mean
    return shift.square().sum() + traces - 2 * cross_trace, matrix, offset


def resolve_launched(numbers: Sequence[float], matrix: Tensor, offset: Tensor) -> Cotangent | None:
    """Return the cotangent of a `launch`; None if it has to be computed in another way.

    Args:
        numbers: Its numbers, on the host: the distance, the error, and a norm that must not exceed 1.
        matrix: Its A.
        offset: Its b.
    """
    value, error, norm = numbers
    return None if error or not norm <= 1 or not isfinite(value) else Cotangent(value, matrix, offset)


class GramTarget:
    """Squared Frobenius distance of second raw moments, relative to the target's: |S - S*|^2 / |S*|^2.

    Gatys et al. 2016, equations 3 to 5, divide |G - G*|^2 by 4 N^2 M^2 instead. This form does not depend on
    the network's scale of activations, so that one style weight fits every network.
    """

    def __init__(self, target: Moments, *, absolute: bool = False, min_energy: float = MIN_ENERGY) -> None:
        """Take the target's moments.

        Args:
            target: Moments of the style.
            absolute: Whether the distance is |S - S*|^2 / C^4, the mean square of Gram matrices over C h w.
            min_energy: Smallest energy that a target counts as having.
        """
        self._second = target.double().second
        self.energy = len(target.mean) ** 4 if absolute else gram_energy(self._second, min_energy)

    def cotangent(self, moments: Moments) -> Cotangent:
        """Return the distance of `moments` to the target and its cotangent: float64 on the `float64_device`."""
        difference = moments.double().second - self._second
        offset = torch.zeros_like(difference[0])
        return Cotangent(float(difference.square().sum()), 2 * difference, offset).scaled(1 / self.energy)


class StatisticsTarget:
    """Distance of Gram matrices plus that of the means and standard deviations of channels.

    L = |S - S*|^2 / |S*|^2 + w (|mu - mu*|^2 + |sigma - sigma*|^2) / (tr K* + |mu*|^2)   (Galerne et al. 2024,
    section 3, relative). With second moments alone, means may turn into variance: contrast comes and goes.
    """

    def __init__(
        self, target: Moments, weight: float, *, absolute: bool = False, min_energy: float = MIN_ENERGY
    ) -> None:
        """Take the target's moments.

        Args:
            target: Moments of the style.
            weight: w, the weight of means and standard deviations.
            absolute: Whether these are mean squares over the channels, and Gram matrices as in `GramTarget`.
            min_energy: Smallest energy that a target counts as having.
        """
        target = target.double()
        self._gram = GramTarget(target, absolute=absolute, min_energy=min_energy)
        self._mean = target.mean
        variance = target.covariance.diagonal()
        self._min_variance = MIN_VARIANCE * float(variance.mean().clamp(min=1e-12))
        self._deviation = variance.clamp(min=self._min_variance).sqrt()
        self._weight = weight / (len(target.mean) if absolute else trace_energy(target, min_energy))
        self.energy = self._gram.energy

    def cotangent(self, moments: Moments) -> Cotangent:
        """Return the distance of `moments` to the target and its cotangent: float64 on the `float64_device`."""
        gram = self._gram.cotangent(moments)
        moments = moments.double()
        shift = moments.mean - self._mean
        deviation = moments.covariance.diagonal().clamp(min=self._min_variance).sqrt()
        stretch = deviation - self._deviation
        value = float(shift.square().sum() + stretch.square().sum())
        # sigma^2 = S_ii - mu_i^2
        slope = stretch / deviation
        matrix, offset = torch.diag(slope), 2 * shift - 2 * slope * moments.mean
        statistics = Cotangent(value, matrix, offset).scaled(self._weight)
        return Cotangent(
            gram.value + statistics.value, gram.matrix + statistics.matrix, gram.offset + statistics.offset
        )
