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

from tilestyle.devices.transfer import matrix_device, widest
from tilestyle.distributed import Ranks
from tilestyle.stats.exact_sum import fixed, fixed_together, floating

# Of a cell, that counts are of where sums are in fixed point.
PARTS = 2**20

# On a CPU: bytes of cells that are multiplied at once, which stay in its caches from where they are brought
# together to where they are summed.
CACHED = 2**22
# And cells whose products are summed in bfloat16; with fewer than FEW it is not done.
RUN = 256
FEW = 8 * RUN


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

    def placed(self) -> Moments:
        """The same on the device where distances are computed."""
        device = matrix_device(self.mean.device)
        return Moments(self.count, self.mean.to(device), self.second.to(device))

    def double(self) -> Moments:
        """The same in float64, on the device where distances are computed."""
        here = self.placed()
        return Moments(self.count, here.mean.double(), here.second.double())


class MomentSum:
    """Running sum of features and of their products; becomes `Moments` when asked.

    Sums are float32 on the device of the features (float64 for float64 features); or in fixed point, and then
    the same in whatever order features were added, and by whom (exact_sum.py).
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
        cells = features.permute(0, 2, 3, 1)  # [B, h, w, C]
        if weights is None:
            self._count += cells[..., 0].numel()
            total, products = _summed(cells.flatten(0, 1))
        else:
            count, total, products = _weighed(cells.flatten(0, 2), weights.flatten())
            if self._fixed:  # multiples of a power of two add up without rounding
                count = torch.round(count * PARTS) / PARTS
            self._weighed = count if self._weighed is None else self._weighed + count
        if self._fixed:
            total, products = fixed_together([total, products])
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


def _summed(rows: Tensor) -> tuple[Tensor, Tensor]:
    """Sum [C] of [rows, w, C] cells and sum [C, C] of their products, float32 (float64 for float64).

    Sums are products with ones: with the channels side by side in memory a reduction takes ten times as long.
    """
    dtype = rows.dtype if rows.dtype is torch.float64 else torch.float32
    channels, on_host = rows.shape[2], rows.device.type == "cpu"
    if on_host and rows.dtype is torch.bfloat16 and rows[..., 0].numel() >= FEW:
        return _summed_in_runs(rows)
    total = torch.zeros(channels, dtype=dtype, device=rows.device)
    products = torch.zeros(channels, channels, dtype=dtype, device=rows.device)
    for part in torch.split(rows, _cached(rows)) if on_host else [rows]:
        flat = part.reshape(-1, channels).to(dtype)
        total.addmv_(flat.mT, flat.new_ones(len(flat)))
        products.addmm_(flat.mT, flat)
    return total, products


def _summed_in_runs(rows: Tensor) -> tuple[Tensor, Tensor]:
    """The same of bfloat16 features on a CPU, where products of bfloat16 matrices are bfloat16.

    Short runs of cells, less a mean, are multiplied, and what they answer is summed in float32. Its rounding,
    1 in 500 at most, averages out over the runs, since without a mean they differ; a mean of cells from
    everywhere leaves half of the error that one of the first cells does. (Features made float32 first take
    three to five times as long.)
    """
    height, width, channels = rows.shape
    scattered = rows[:: max(1, height // 32), :: max(1, width // 32)]
    mean = scattered.float().mean((0, 1)).to(rows.dtype)
    total, products = torch.zeros(channels), torch.zeros(channels, channels)
    together = max(1, RUN // width)  # rows of a run
    whole = height - height % together
    parts = torch.split(rows[:whole], _cached(rows, together))
    for part in (*parts, rows[whole:]) if height > whole else parts:
        cells = min(together, len(part)) * width
        runs = (part - mean).view(-1, cells, channels)
        ones = torch.ones(len(runs), cells, 1, dtype=rows.dtype)
        total += torch.bmm(runs.mT, ones).sum((0, 2), dtype=torch.float32)
        products += torch.bmm(runs.mT, runs).sum(0, dtype=torch.float32)
    mean, count = mean.float(), height * width
    total += count * mean
    cross = torch.outer(mean, total - count / 2 * mean)
    return total, products + cross + cross.mT


def _cached(rows: Tensor, multiple: int = 1) -> int:
    """How many of these rows to take at once, a multiple of some."""
    size = multiple * rows.shape[1] * rows.shape[2] * rows.element_size()
    return max(1, CACHED // max(1, size)) * multiple


def _weighed(cells: Tensor, weights: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """The same of [N, C] cells with weights [N], from 0 up, after the sum of these."""
    dtype = cells.dtype if cells.dtype is torch.float64 else torch.float32
    weights = weights.to(dtype)
    if cells.device.type == "cpu":  # elsewhere the host would have to wait for how many there are
        seen = weights > 0
        cells, weights = cells[seen], weights[seen]
    cells = cells.to(dtype)
    root = cells * weights.sqrt()[:, None]
    return weights.sum(dtype=widest(cells.device)), cells.mT @ weights, root.mT @ root


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
