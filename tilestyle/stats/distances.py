"""Distances of moments to those of a style.

A distance answers its value together with the two matrices of the linear cotangent: with the moments
taken over N cells, the gradient at every cell is dL/dF = (2 A F + b) / N.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor

from tilestyle.stats.gaussian_transport import factor, identity, ridged, transport
from tilestyle.stats.moments import Moments

# Ridge on covariances, as a share of the target's mean variance. It bounds the gradient where the canvas
# has no variance in a direction that the style has: dL/dK grows there like the root of its inverse.
RIDGE = 1e-3

# The same in absolute distances, where nothing is a share: that of crowsonkb/style-transfer-pytorch.
ABSOLUTE_RIDGE = 1e-4

# Least energy that a distance is divided by, unless the network is known (energy.faint_energies).
TINY = 1e-24

# Least variance of a channel, as a share of the target's mean, that a deviation is taken of.
LEAST_VARIANCE = 1e-6


@dataclass(frozen=True)
class Cotangent:
    """A distance of moments, and its gradient at every cell: dL/dF = (2 A F + b) / N."""

    value: float
    matrix: Tensor  # A [C, C], symmetric
    offset: Tensor  # b [C]

    @property
    def state(self) -> dict[str, Tensor]:
        """As tensors by name, to be stored."""
        value = torch.tensor(self.value, dtype=torch.float64)
        return {"value": value, "matrix": self.matrix, "offset": self.offset}

    @classmethod
    def of_state(cls, state: Mapping[str, Tensor]) -> Cotangent:
        """The cotangent that `state` was of."""
        return cls(float(state["value"]), state["matrix"], state["offset"])

    def plus(self, other: Cotangent) -> Cotangent:
        """That of the sum of both distances, if their moments are over the same cells."""
        return Cotangent(self.value + other.value, self.matrix + other.matrix, self.offset + other.offset)

    def minus(self, other: Cotangent) -> Cotangent:
        """That of the difference."""
        return self.plus(other.scaled(-1))

    def scaled(self, factor: float) -> Cotangent:
        """The same for `factor` times the distance."""
        return Cotangent(self.value * factor, self.matrix * factor, self.offset * factor)

    def to(self, device: torch.device, dtype: torch.dtype) -> Cotangent:
        """The same with its matrices on `device` in `dtype`."""
        return Cotangent(
            self.value, self.matrix.to(device=device, dtype=dtype), self.offset.to(device=device, dtype=dtype)
        )

    def at(self, features: Tensor) -> Tensor:
        """2 A F + b for [B, C, h, w] features: N times the gradient at every cell.

        As one matrix product over cells: a 1 x 1 convolution takes up to five times as long on a CPU.
        """
        weight, offset = (2 * self.matrix).to(features.dtype), self.offset.to(features.dtype)
        cells = features.permute(0, 2, 3, 1)  # [B, h, w, C]
        flat = torch.addmm(offset, cells.reshape(-1, cells.shape[3]), weight)
        return flat.view(cells.shape).permute(0, 3, 1, 2)


def trace_energy(target: Moments, least: float) -> float:
    """tr K* + |mu*|^2, or `least` where a target has less."""
    return max(float(target.second.trace()), least)


def gram_energy(second: Tensor, least: float) -> float:
    """|S*|^2 of second raw moments, or the least that it can be where their trace is `least`."""
    return max(float(second.square().sum()), least**2 / len(second))


class WassersteinTarget:
    """Squared Wasserstein-2 distance of Gaussians to a fixed target, relative to the target's energy.

    L = (|mu - mu*|^2 + tr(K + K* - 2 (K*^1/2 K K*^1/2)^1/2)) / (tr K* + |mu*|^2)   (Dowson and Landau 1982)

    dL/dK = I - K*^1/2 (K*^1/2 K K*^1/2)^-1/2 K*^1/2, the optimal transport map less one (Bhatia, Jain and Lim
    2019, section 2). The energy makes layers and networks comparable: 1 is the distance of black features.
    """

    def __init__(self, target: Moments, *, absolute: bool = False, least: float = TINY) -> None:
        """If `absolute`, the distance is a mean over the channels instead, and so is its ridge.

        `least` is the smallest energy that a target counts as having: a black one has none of its own.
        """
        target = target.double()
        self._mean = target.mean
        # What varies by less than the least energy is flat: a ridge under the rounding of covariances would let
        # that rounding draw the canvas.
        least_variance = max(1e-12, least / len(target.mean))
        variance = target.covariance.diagonal().mean().clamp(min=least_variance)
        self._ridge = ABSOLUTE_RIDGE if absolute else RIDGE * float(variance)
        self._covariance = ridged(target.covariance, self._ridge)
        self._factor = factor(self._covariance)
        self.energy = len(target.mean) if absolute else trace_energy(target, least)

    def cotangent(self, moments: Moments) -> Cotangent:
        """Distance of `moments` to the target and its cotangent, float64 on the `matrix_device`."""
        dtype = moments.second.dtype  # of features, at which the gradient arrives
        moments = moments.double()
        covariance = ridged(moments.covariance, self._ridge)
        shift = moments.mean - self._mean
        moved, crossed = transport(covariance, self._factor, self._ridge, dtype)
        bures = covariance.trace() + self._covariance.trace() - 2 * crossed
        matrix = identity(moved) - moved
        # K = S - mu mu^T: what is taken from S by the mean comes back through mu.
        offset = 2 * shift - 2 * matrix @ moments.mean
        value = float(shift.square().sum() + bures)
        return Cotangent(value, matrix, offset).scaled(1 / self.energy)


class GramTarget:
    """Squared Frobenius distance of second raw moments, relative to the target's: |S - S*|^2 / |S*|^2.

    Gatys et al. 2016, equations 3 to 5, divide |G - G*|^2 by 4 N^2 M^2 instead. Ours does not depend on the
    network's scale of activations, so one style weight serves every network.
    """

    def __init__(self, target: Moments, *, absolute: bool = False, least: float = TINY) -> None:
        """If `absolute`, the distance is |S - S*|^2 / C^4: the mean square of Gram matrices over C h w."""
        self._second = target.double().second
        self.energy = len(target.mean) ** 4 if absolute else gram_energy(self._second, least)

    def cotangent(self, moments: Moments) -> Cotangent:
        """Distance of `moments` to the target and its cotangent, float64 on the `matrix_device`."""
        difference = moments.double().second - self._second
        offset = torch.zeros_like(difference[0])
        return Cotangent(float(difference.square().sum()), 2 * difference, offset).scaled(1 / self.energy)


class StatisticsTarget:
    """That of Gram matrices, and of the means and deviations of channels beside them.

    L = |S - S*|^2 / |S*|^2 + w (|mu - mu*|^2 + |sigma - sigma*|^2) / (tr K* + |mu*|^2)   (Galerne et al. 2024,
    section 3, relative). Second moments alone leave means free to turn into variance: contrast comes and goes.
    """

    def __init__(self, target: Moments, weight: float, *, absolute: bool = False, least: float = TINY) -> None:
        """`weight` of means and deviations; if `absolute`, these are mean squares over the channels."""
        target = target.double()
        self._gram = GramTarget(target, absolute=absolute, least=least)
        self._mean = target.mean
        variance = target.covariance.diagonal()
        self._least = LEAST_VARIANCE * float(variance.mean().clamp(min=1e-12))
        self._deviation = variance.clamp(min=self._least).sqrt()
        self._weight = weight / (len(target.mean) if absolute else trace_energy(target, least))
        self.energy = self._gram.energy

    def cotangent(self, moments: Moments) -> Cotangent:
        """Distance of `moments` to the target and its cotangent, float64 on the `matrix_device`."""
        gram = self._gram.cotangent(moments)
        moments = moments.double()
        shift = moments.mean - self._mean
        deviation = moments.covariance.diagonal().clamp(min=self._least).sqrt()
        stretch = deviation - self._deviation
        value = float(shift.square().sum() + stretch.square().sum())
        # sigma^2 = S_ii - mu_i^2
        slope = stretch / deviation
        matrix, offset = torch.diag(slope), 2 * shift - 2 * slope * moments.mean
        other = Cotangent(value, matrix, offset).scaled(self._weight)
        return Cotangent(gram.value + other.value, gram.matrix + other.matrix, gram.offset + other.offset)
