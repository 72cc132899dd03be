"""Moments of features.

Style is compared through three numbers a layer: how many cells, their mean mu = E[F] and their second raw
moment S = E[F F^T]. Unlike covariances these add: over patches, processes, pictures and styles. Covariance
K = S - mu mu^T is derived at the last moment.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from tilestyle.fixed_point import fixed, floating
from tilestyle.ranks import Ranks
from tilestyle.transfer import widest

# Of a cell, that counts are of where sums are in fixed point.
PARTS = 2**20

# Cells whose products are summed in bfloat16, on a CPU.
RUN = 256


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
        return Moments(self.count, self.mean.cpu().double(), self.second.cpu().double())


class MomentSum:
    """Running sum of features and of their products; becomes `Moments` when asked.

    Sums are float32 on the device of the features (float64 for float64 features); or in fixed point, and then
    the same in whatever order features were added, and by whom (fixed_point.py).
    """

    def __init__(self, *, fixed: bool = False) -> None:
        self._fixed = fixed
        self._count: float = 0
        self._weighed: Tensor | None = None  # besides
        self._sum: Tensor | None = None
        self._products: Tensor | None = None

    def add(self, features: Tensor, weights: Tensor | None = None) -> None:
        """Count every cell of [B, C, h, w] features in; as much of each as `weights` [h, w] say, if B is 1."""
        # By cells, as they lie in memory: taken by channels, those inside of a patch are turned when copied.
        flat = features.permute(0, 2, 3, 1).reshape(-1, features.shape[1]).mT  # [C, B*h*w]
        if weights is None:
            self._count += flat.shape[1]
            total, products = _summed(flat)
        else:
            count, total, products = _weighed(flat, weights.flatten())
            if self._fixed:  # multiples of a power of two add up without rounding
                count = torch.round(count * PARTS) / PARTS
            self._weighed = count if self._weighed is None else self._weighed + count
        if self._fixed:
            total, products = fixed(total), fixed(products)
        if self._sum is None or self._products is None:
            self._sum, self._products = total, products
        else:
            self._sum += total
            self._products += products

    @property
    def count(self) -> float:
        """Cells counted in, or as much of them. Synchronises host and device where they were weighed."""
        return self._count + (0.0 if self._weighed is None else float(self._weighed))

    @count.setter
    def count(self, count: float) -> None:
        self._count, self._weighed = count, None

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


def _weighed(flat: Tensor, weights: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """The same of cells with weights [N], from 0 up, after the sum of these."""
    dtype = flat.dtype if flat.dtype is torch.float64 else torch.float32
    cells, weights = flat.mT, weights.to(dtype)  # [N, C]: by rows, as they lie in memory
    if flat.device.type == "cpu":  # elsewhere the host would have to wait for how many there are
        seen = weights > 0
        cells, weights = cells[seen], weights[seen]
    cells = cells.to(dtype)
    root = cells * weights.sqrt()[:, None]
    return weights.sum(dtype=widest(flat.device)), cells.mT @ weights, root.mT @ root


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
