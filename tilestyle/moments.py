"""Moments of features, and the distances between them.

Style is compared through three numbers a layer: how many cells, their mean mu = E[F] and their second raw
moment S = E[F F^T]. Unlike covariances these add: over patches, processes, pictures and styles. Covariance
K = S - mu mu^T is derived at the last moment.

A distance answers its value together with the two matrices of the linear cotangent: with the moments
taken over N cells, the gradient at every cell is dL/dF = (2 A F + b) / N.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from tilestyle.fixed_point import fixed, floating
from tilestyle.ranks import Ranks

# Ridge on covariances, as a share of the target's mean variance. It bounds the gradient where the canvas
# has no variance in a direction that the style has: dL/dK grows there like the root of its inverse.
RIDGE = 1e-3

# The same in absolute distances, where nothing is a share: that of crowsonkb/style-transfer-pytorch.
ABSOLUTE_RIDGE = 1e-4

# Least variance of a channel, as a share of the target's mean, that a deviation is taken of.
LEAST_VARIANCE = 1e-6

# Of a cell, that counts are of where sums are in fixed point.
PARTS = 2**20

# Cells whose products are summed in bfloat16, on a CPU.
RUN = 256

# The same where a bias is taken off: larger, since what has no variance now may have some later.
CORRECTION_RIDGE = 1e-2
# No direction is stretched by more than this: where few cells were measured the map is mostly chance.
LARGEST_CORRECTION = 1.5


@dataclass(frozen=True)
class Moments:
    """Count, mean [C] and second raw moment [C, C] of the features of one layer."""

    count: float
    mean: Tensor
    second: Tensor

    @property
    def covariance(self) -> Tensor:
        """Covariance [C, C]."""
        return self.second - torch.outer(self.mean, self.mean)

    @property
    def state(self) -> dict[str, Tensor]:
        """As tensors by name, to be stored."""
        return {
            "count": torch.tensor(self.count, dtype=torch.float64),
            "mean": self.mean,
            "second": self.second,
        }

    @classmethod
    def of_state(cls, state: Mapping[str, Tensor]) -> Moments:
        """The moments that `state` was of."""
        return cls(float(state["count"]), state["mean"], state["second"])

    def detached(self) -> Moments:
        """A copy outside any graph."""
        return Moments(self.count, self.mean.detach().clone(), self.second.detach().clone())

    def double(self) -> Moments:
        """The same on the host in float64, where distances are computed."""
        return Moments(self.count, self.mean.double().cpu(), self.second.double().cpu())


class MomentSum:
    """Running sum of features and of their products; becomes `Moments` when asked.

    Sums are float32 on the device of the features (float64 for float64 features); or in fixed point, and then
    the same in whatever order features were added, and by whom (fixed_point.py).
    """

    def __init__(self, *, fixed: bool = False) -> None:
        self.count: float = 0
        self._fixed = fixed
        self._sum: Tensor | None = None
        self._products: Tensor | None = None

    def add(self, features: Tensor, weights: Tensor | None = None) -> None:
        """Count every cell of [B, C, h, w] features in; as much of each as `weights` [h, w] say, if B is 1."""
        # By cells, as they lie in memory: taken by channels, those inside of a patch are turned when copied.
        flat = features.permute(0, 2, 3, 1).reshape(-1, features.shape[1]).mT  # [C, B*h*w]
        if weights is None:
            count: float = flat.shape[1]
            parts = _summed(flat)
        else:
            count, *weighed = _weighed(flat, weights.flatten())
            parts = weighed[0], weighed[1]
        total, products = parts
        if self._fixed:
            # Counts are float64: multiples of a power of two add up without rounding.
            count, total, products = round(count * PARTS) / PARTS, fixed(total), fixed(products)
        if self._sum is None or self._products is None:
            self._sum, self._products = total, products
        else:
            self._sum += total
            self._products += products
        self.count += count

    def begin(self, channels: int, device: torch.device) -> None:
        """Make ready to be added to others, if nothing was counted in."""
        if self._sum is None:
            empty = torch.zeros(channels, channels + 1, device=device)
            parts = empty[:, 0].clone(), empty[:, 1:].clone()
            self._sum, self._products = (fixed(part) for part in parts) if self._fixed else parts

    @property
    def parts(self) -> list[Tensor]:
        """What is to be added to that of others, besides the count."""
        return [part for part in (self._sum, self._products) if part is not None]

    @property
    def state(self) -> dict[str, Tensor]:
        """As tensors by name, to be stored; none if nothing was added."""
        if self._sum is None or self._products is None:
            return {}
        count = torch.tensor(self.count, dtype=torch.float64)
        return {"count": count, "sum": self._sum, "products": self._products}

    @classmethod
    def of_state(cls, state: Mapping[str, Tensor]) -> MomentSum:
        """The sums that `state` was of."""
        total = cls(fixed=not state["sum"].is_floating_point())
        total.count, total._sum, total._products = float(state["count"]), state["sum"], state["products"]
        return total

    def moments(self) -> Moments:
        """The moments of everything added so far."""
        if self._sum is None or self._products is None:
            raise ValueError("no features were added")
        total, products = (self._sum, self._products)
        if self._fixed:
            total, products = floating(total), floating(products)
        return Moments(float(self.count), total / self.count, products / self.count)


def pooled(
    sums: Mapping[str, MomentSum], channels: Mapping[str, int], device: torch.device, ranks: Ranks
) -> None:
    """Make everybody's sums of layers those of all ranks; `channels` and `device` are for who has none."""
    if ranks.count == 1 or not sums:
        return
    for layer, total in sums.items():
        total.begin(channels[layer], device)
    parts = [part for total in sums.values() for part in total.parts]
    flat = torch.cat([part.flatten() for part in parts])  # one message, not one for every layer
    ranks.add(flat)
    start = 0
    for part in parts:
        part.copy_(flat[start : start + part.numel()].view_as(part))
        start += part.numel()
    counts = torch.tensor([total.count for total in sums.values()], dtype=torch.float64)
    ranks.add(counts)
    for total, count in zip(sums.values(), counts.tolist(), strict=True):
        total.count = count


def _summed(flat: Tensor) -> tuple[Tensor, Tensor]:
    """Sum [C] of [C, N] features and sum [C, C] of their products, float32 (float64 for float64).

    Sums are products with ones: with the channels side by side in memory a reduction takes ten times as long.
    """
    if flat.dtype is torch.bfloat16 and flat.device.type == "cpu":
        return _summed_in_runs(flat)
    flat = flat if flat.dtype is torch.float64 else flat.float()
    ones = torch.ones(flat.shape[1], dtype=flat.dtype, device=flat.device)
    return flat @ ones, flat @ flat.mT


def _weighed(flat: Tensor, weights: Tensor) -> tuple[float, Tensor, Tensor]:
    """The same of cells with weights [N], from 0 up, and the sum of these. Synchronises host and device."""
    seen = weights > 0
    dtype = flat.dtype if flat.dtype is torch.float64 else torch.float32
    flat, weights = flat[:, seen].to(dtype), weights[seen].to(dtype)
    root = flat * weights.sqrt()
    return float(weights.sum(dtype=torch.float64)), flat @ weights, root @ root.mT


def _summed_in_runs(flat: Tensor) -> tuple[Tensor, Tensor]:
    """The same of bfloat16 features on a CPU, where products of bfloat16 matrices are bfloat16.

    Short runs of cells, less a mean, are multiplied, and what they answer is summed in float32. Its rounding,
    1 in 500 at most, averages out over the runs, since without a mean they differ. (Features made float32 first
    take three to five times as long.)
    """
    count = flat.shape[1]
    mean = flat[:, :RUN].float().mean(1).to(flat.dtype)  # roughly will do
    flat = flat - mean[:, None]
    whole = count // RUN * RUN
    runs = flat[:, :whole].reshape(len(flat), -1, RUN).movedim(1, 0)  # [runs, C, RUN]
    rest = flat[:, whole:].float()
    ones = torch.ones(len(runs), RUN, 1, dtype=flat.dtype)
    total = torch.bmm(runs, ones).sum((0, 2), dtype=torch.float32) + rest.sum(1)
    products = torch.bmm(runs, runs.mT).sum(0, dtype=torch.float32).addmm_(rest, rest.mT)
    mean = mean.float()
    total = total + count * mean
    cross = torch.outer(mean, total - count / 2 * mean)
    return total, products + cross + cross.mT


def combined(parts: Sequence[Moments], weights: Sequence[float]) -> Moments:
    """Moments of a mixture of the parts with the given weights, which need not sum to one."""
    total = sum(weights)
    shares = [weight / total for weight in weights]
    mean = torch.stack([share * part.mean for share, part in zip(shares, parts, strict=True)]).sum(0)
    second = torch.stack([share * part.second for share, part in zip(shares, parts, strict=True)]).sum(0)
    return Moments(sum(part.count for part in parts), mean, second)


def merged(parts: Sequence[Moments]) -> Moments:
    """Moments of the union of the parts' cells."""
    return combined(parts, [part.count for part in parts])


class Correction:
    """What takes biased moments to the exact ones of the same canvas, and moments of later canvases alike.

    The mean is shifted; the covariance goes K -> T K T with T the optimal transport map from the biased to
    the exact Gaussian. (Adding the difference of the covariances instead leaves them indefinite on
    a later canvas, and the distance's gradient explodes: tried.)
    """

    def __init__(self, shift: Tensor, transport: Tensor) -> None:
        """`shift` [C] of means and `transport` [C, C] of covariances, float64 on the host."""
        self._shift, self._map = shift, transport

    @property
    def state(self) -> dict[str, Tensor]:
        """As tensors by name, to be stored."""
        return {"shift": self._shift, "map": self._map}

    @classmethod
    def of_state(cls, state: Mapping[str, Tensor]) -> Correction:
        """The correction that `state` was of."""
        return cls(state["shift"], state["map"])

    @classmethod
    def between(cls, biased: Moments, exact: Moments) -> Correction:
        """From these moments to those of the same canvas."""
        biased, exact = biased.double(), exact.double()
        covariance = exact.covariance
        ridge = (
            CORRECTION_RIDGE * covariance.diagonal().mean() * torch.eye(len(exact.mean), dtype=torch.float64)
        )
        values, vectors = torch.linalg.eigh(biased.covariance + ridge)
        values = values.clamp(min=1e-12).sqrt()
        root, inverse = (vectors * values) @ vectors.mT, (vectors / values) @ vectors.mT
        values, vectors = torch.linalg.eigh(inverse @ _root(root @ (covariance + ridge) @ root) @ inverse)
        transport = (vectors * values.clamp(1 / LARGEST_CORRECTION, LARGEST_CORRECTION)) @ vectors.mT
        return cls(exact.mean - biased.mean, transport)

    def __call__(self, moments: Moments) -> Moments:
        """Corrected moments, where these were."""
        found = moments.double()
        mean = found.mean + self._shift
        second = self._map @ found.covariance @ self._map + torch.outer(mean, mean)
        return Moments(moments.count, mean.to(moments.mean), second.to(moments.mean))


@dataclass(frozen=True)
class Cotangent:
    """A distance of moments, and its gradient at every cell: dL/dF = (2 A F + b) / N."""

    value: float
    matrix: Tensor  # A [C, C], symmetric
    offset: Tensor  # b [C]

    def plus(self, other: Cotangent) -> Cotangent:
        """That of the sum of both distances, if their moments are over the same cells."""
        return Cotangent(self.value + other.value, self.matrix + other.matrix, self.offset + other.offset)

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


class WassersteinTarget:
    """Squared Wasserstein-2 distance of Gaussians to a fixed target, relative to the target's energy.

    L = (|mu - mu*|^2 + tr(K + K* - 2 (K*^1/2 K K*^1/2)^1/2)) / (tr K* + |mu*|^2)   (Dowson and Landau 1982)

    dL/dK = I - K*^1/2 (K*^1/2 K K*^1/2)^-1/2 K*^1/2, the optimal transport map less one (Bhatia, Jain and Lim
    2019, section 2). The energy makes layers and networks comparable: 1 is the distance of black features.
    """

    def __init__(self, target: Moments, *, absolute: bool = False) -> None:
        """If `absolute`, the distance is a mean over the channels instead, and so is its ridge."""
        target = target.double()
        channels = len(target.mean)
        self._mean = target.mean
        variance = target.covariance.diagonal().mean().clamp(min=1e-12)
        ridge = ABSOLUTE_RIDGE if absolute else RIDGE * float(variance)
        self._ridge = ridge * torch.eye(channels, dtype=torch.float64)
        self._covariance = target.covariance + self._ridge
        self._root = _root(self._covariance)
        self.energy = channels if absolute else float(target.second.trace())

    def cotangent(self, moments: Moments) -> Cotangent:
        """Distance of `moments` to the target and its cotangent, float64 on the host."""
        moments = moments.double()
        covariance = moments.covariance + self._ridge
        shift = moments.mean - self._mean
        values, vectors = torch.linalg.eigh(self._root @ covariance @ self._root)
        # Below the ridge's own square there is only rounding.
        values = values.clamp(min=float(self._ridge[0, 0]) ** 2)
        bures = covariance.trace() + self._covariance.trace() - 2 * values.sqrt().sum()
        half = self._root @ vectors  # K*^1/2 V
        transport = (half / values.sqrt()) @ half.mT
        matrix = torch.eye(len(shift), dtype=torch.float64) - transport
        # K = S - mu mu^T: what is taken from S by the mean comes back through mu.
        offset = 2 * shift - 2 * matrix @ moments.mean
        value = float(shift.square().sum() + bures)
        return Cotangent(value, matrix, offset).scaled(1 / self.energy)


class GramTarget:
    """Squared Frobenius distance of second raw moments, relative to the target's: |S - S*|^2 / |S*|^2.

    Gatys et al. 2016, equations 3 to 5, divide |G - G*|^2 by 4 N^2 M^2 instead. Ours does not depend on the
    network's scale of activations, so one style weight serves every network.
    """

    def __init__(self, target: Moments, *, absolute: bool = False) -> None:
        """If `absolute`, the distance is |S - S*|^2 / C^4: the mean square of Gram matrices over C h w."""
        self._second = target.double().second
        self.energy = len(target.mean) ** 4 if absolute else float(self._second.square().sum())

    def cotangent(self, moments: Moments) -> Cotangent:
        """Distance of `moments` to the target and its cotangent, float64 on the host."""
        difference = moments.double().second - self._second
        offset = torch.zeros(len(difference), dtype=torch.float64)
        return Cotangent(float(difference.square().sum()), 2 * difference, offset).scaled(1 / self.energy)


class StatisticsTarget:
    """That of Gram matrices, and of the means and deviations of channels beside them.

    L = |S - S*|^2 / |S*|^2 + w (|mu - mu*|^2 + |sigma - sigma*|^2) / (tr K* + |mu*|^2)   (Galerne et al. 2024,
    section 3, relative). Second moments alone leave means free to turn into variance: contrast comes and goes.
    """

    def __init__(self, target: Moments, weight: float, *, absolute: bool = False) -> None:
        """`weight` of means and deviations; if `absolute`, these are mean squares over the channels."""
        target = target.double()
        self._gram = GramTarget(target, absolute=absolute)
        self._mean = target.mean
        variance = target.covariance.diagonal()
        self._least = LEAST_VARIANCE * float(variance.mean().clamp(min=1e-12))
        self._deviation = variance.clamp(min=self._least).sqrt()
        self._weight = weight / (len(target.mean) if absolute else float(target.second.trace()))
        self.energy = self._gram.energy

    def cotangent(self, moments: Moments) -> Cotangent:
        """Distance of `moments` to the target and its cotangent, float64 on the host."""
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


def _root(matrix: Tensor) -> Tensor:
    """Symmetric square root of a positive semi-definite matrix."""
    values, vectors = torch.linalg.eigh(matrix)
    root: Tensor = (vectors * values.clamp(min=0).sqrt()) @ vectors.mT
    return root
