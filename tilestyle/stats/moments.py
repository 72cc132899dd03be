"""Moments of features.

Style is compared through three statistics per layer: the number of cells, the mean mu = E[F] and the second raw
moment S = E[F F^T]. Unlike covariances these add up over patches, processes, pictures and styles. The
covariance K = S - mu mu^T is derived last.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from tilestyle.devices.transfer import accumulator_dtype, float64_device
from tilestyle.distributed import Communicator
from tilestyle.kernels.moments import add_moments
from tilestyle.kernels.moments import takes as kernel_takes
from tilestyle.kernels.support import has_kernels
from tilestyle.stats.exact_sum import from_fixed, to_fixed, to_fixed_batch

# Counts are rounded to 1 / PARTS of a cell where sums are in fixed point.
COUNT_UNITS = 2**20

# On a CPU: bytes of cells that are multiplied at once, so that they stay in its caches from copy to sum.
CACHE_BYTES = 2**22
# Also on a CPU: cells whose products are summed in bfloat16, and the fewest cells for which this is done.
BFLOAT16_RUN = 256
MIN_BFLOAT16_CELLS = 8 * BFLOAT16_RUN

# Whether torch multiplies bfloat16 matrices into float32 on CUDA: since 2.8. Before, cells are converted.
HAS_MIXED_PRODUCTS = hasattr(torch.ops.aten.mm, "dtype")


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

    def state_dict(self) -> dict[str, Tensor]:
        """Return the moments as tensors by name, to be saved."""
        return {
            "count": torch.tensor(self.count, dtype=torch.float64),
            "mean": self.mean,
            "second": self.second,
        }

    @classmethod
    def from_state_dict(cls, state: Mapping[str, Tensor]) -> Moments:
        """Load moments from such a state."""
        return cls(float(state["count"]), state["mean"], state["second"])

    def detached(self) -> Moments:
        """Return a copy outside any graph."""
        return Moments(self.count, self.mean.detach().clone(), self.second.detach().clone())

    def on_float64_device(self) -> Moments:
        """Return the moments on the device that computes distances (`float64_device`)."""
        device = float64_device(self.mean.device)
        return Moments(self.count, self.mean.to(device), self.second.to(device))

    def double(self) -> Moments:
        """Return the moments in float64, on the device that computes distances."""
        moments = self.on_float64_device()
        return Moments(self.count, moments.mean.double(), moments.second.double())


class MomentSum:
    """Running sums of features and of their products, from which `Moments` are computed.

    The sums are float32 on the device of the features (float64 for float64 features). In fixed point they do
    not depend on the order in which features are added, or on which process adds them (exact_sum.py).
    """

    def __init__(self, *, fixed_point: bool = False) -> None:
        """Begin with nothing; `fixed_point`: whether to sum in fixed point."""
        self._fixed_point = fixed_point
        self._count: float = 0
        self._weighted_count: Tensor | None = None  # added to the count
        self._sum: Tensor | None = None
        self._products: Tensor | None = None

    def add(self, features: Tensor, weights: Tensor | None = None) -> None:
        """Add the cells of features.

        Args:
            features: [B, C, h, w].
            weights: Weights of the cells [h, w], where B is 1; None: all 1.
        """
        if (
            weights is None
            and not self._fixed_point
            and has_kernels(features.device)
            and kernel_takes(features)
        ):
            self._count += features[:, 0].numel()
            self.allocate(features.shape[1], features.device)
            assert self._sum is not None and self._products is not None, "they have just been allocated"
            add_moments(features, self._sum, self._products)
            return
        # In the order of memory: channel by channel, the cells inside a patch would have to be transposed.
        cells = features.permute(0, 2, 3, 1)  # [B, h, w, C]
        if weights is None:
            self._count += cells[..., 0].numel()
            total, products = _summed(cells.flatten(0, 1))
        else:
            count, total, products = _weighted_sums(cells.flatten(0, 2), weights.flatten())
            if self._fixed_point:  # multiples of a power of two are summed without rounding
                count = torch.round(count * COUNT_UNITS) / COUNT_UNITS
            self._weighted_count = count if self._weighted_count is None else self._weighted_count + count
        if self._fixed_point:
            total, products = to_fixed_batch([total, products])
        if self._sum is None or self._products is None:
            self._sum, self._products = total, products
        else:
            self._sum += total
            self._products += products

    @property
    def count(self) -> float:
        """Sum of the weights of all cells. Synchronises with the device where cells were weighted."""
        return self._count + (0.0 if self._weighted_count is None else float(self._weighted_count))

    @count.setter
    def count(self, count: float) -> None:
        self._count, self._weighted_count = count, None

    def allocate(self, channels: int, device: torch.device) -> None:
        """Allocate sums of zero if nothing has been added, so that ranks can sum them."""
        if self._sum is None:
            empty = torch.zeros(channels, channels + 1, device=device)
            parts = empty[:, 0].clone(), empty[:, 1:].clone()
            self._sum, self._products = (to_fixed(part) for part in parts) if self._fixed_point else parts

    @property
    def tensors(self) -> list[Tensor]:
        """The tensors, besides the count, that are added to those of other ranks."""
        return [part for part in (self._sum, self._products) if part is not None]

    def state_dict(self) -> dict[str, Tensor]:
        """Return the sums as tensors by name, to be saved; empty if nothing has been added."""
        if self._sum is None or self._products is None:
            return {}
        count = torch.tensor(self.count, dtype=torch.float64)
        return {"count": count, "sum": self._sum, "products": self._products}

    @classmethod
    def from_state_dict(cls, state: Mapping[str, Tensor]) -> MomentSum:
        """Load sums from such a state."""
        total = cls(fixed_point=not state["sum"].is_floating_point())
        total.count, total._sum, total._products = float(state["count"]), state["sum"], state["products"]
        return total

    def moments(self) -> Moments:
        """Return the moments of everything added so far.

        Raises:
            ValueError: Nothing has been added.
        """
        if self._sum is None or self._products is None:
            raise ValueError("no features were added")
        total, products = (self._sum, self._products)
        if self._fixed_point:
            total, products = from_fixed(total), from_fixed(products)
        return Moments(float(self.count), total / self.count, products / self.count)


def all_reduce_moments(
    sums: Mapping[str, MomentSum], channels: Mapping[str, int], device: torch.device, comm: Communicator
) -> None:
    """Sum the sums of all layers over all ranks, in place.

    Args:
        sums: Sums by layer.
        channels: Channels of each layer, for ranks that have added nothing.
        device: Device of the features, for the same.
        comm: The ranks.
    """
    if comm.world_size == 1 or not sums:
        return
    for layer, total in sums.items():
        total.allocate(channels[layer], device)
    parts = [part for total in sums.values() for part in total.tensors]
    flat = torch.cat([part.flatten() for part in parts])  # one message instead of one per layer
    comm.all_reduce(flat)
    start = 0
    for part in parts:
        part.copy_(flat[start : start + part.numel()].view_as(part))
        start += part.numel()
    counts = torch.tensor([total.count for total in sums.values()], dtype=torch.float64)
    comm.all_reduce(counts)
    for total, count in zip(sums.values(), counts.tolist(), strict=True):
        total.count = count


def _summed(rows: Tensor) -> tuple[Tensor, Tensor]:
    """Return the sum [C] of [rows, w, C] cells and the sum [C, C] of their products, float32 or float64.

    Sums are products with ones: where channels are contiguous in memory, a reduction takes ten times as long.
    """
    dtype = rows.dtype if rows.dtype is torch.float64 else torch.float32
    channels, on_host = rows.shape[2], rows.device.type == "cpu"
    if on_host and rows.dtype is torch.bfloat16 and rows[..., 0].numel() >= MIN_BFLOAT16_CELLS:
        return _summed_in_runs(rows)
    if rows.device.type == "cuda" and rows.dtype is torch.bfloat16 and HAS_MIXED_PRODUCTS:
        flat = rows.reshape(-1, channels)
        ones = flat.new_ones(len(flat), 1)
        return _mixed_product(flat.mT, ones)[:, 0], _mixed_product(flat.mT, flat)
    total = torch.zeros(channels, dtype=dtype, device=rows.device)
    products = torch.zeros(channels, channels, dtype=dtype, device=rows.device)
    for part in torch.split(rows, _rows_in_cache(rows)) if on_host else [rows]:
        flat = part.reshape(-1, channels).to(dtype)
        total.addmv_(flat.mT, flat.new_ones(len(flat)))
        products.addmm_(flat.mT, flat)
    return total, products


def _mixed_product(left: Tensor, right: Tensor) -> Tensor:
    """Return the product of two bfloat16 matrices on a CUDA device, summed and returned in float32."""
    product: Tensor = torch.mm(left, right, out_dtype=torch.float32)
    return product


def _summed_in_runs(rows: Tensor) -> tuple[Tensor, Tensor]:
    """Sum bfloat16 features on a CPU, where products of bfloat16 matrices are bfloat16.

    Short runs of cells, less a mean, are multiplied, and the results are summed in float32. Their rounding, 1
    in 500 at most, averages out over the runs, because without a mean they differ. A mean of cells from
    everywhere leaves half the error of a mean of the first cells. (Converting features to float32 first takes
    three to five times as long.)
    """
    height, width, channels = rows.shape
    scattered = rows[:: max(1, height // 32), :: max(1, width // 32)]
    mean = scattered.float().mean((0, 1)).to(rows.dtype)
    total, products = torch.zeros(channels), torch.zeros(channels, channels)
    run_rows = max(1, BFLOAT16_RUN // width)
    end = height - height % run_rows
    parts = torch.split(rows[:end], _rows_in_cache(rows, run_rows))
    for part in (*parts, rows[end:]) if height > end else parts:
        cells = min(run_rows, len(part)) * width
        runs = (part - mean).view(-1, cells, channels)  # [runs, cells, C]
        ones = torch.ones(len(runs), cells, 1, dtype=rows.dtype)
        total += torch.bmm(runs.mT, ones).sum((0, 2), dtype=torch.float32)
        products += torch.bmm(runs.mT, runs).sum(0, dtype=torch.float32)
    mean, count = mean.float(), height * width
    total += count * mean
    cross = torch.outer(mean, total - count / 2 * mean)
    return total, products + cross + cross.mT


def _rows_in_cache(rows: Tensor, multiple: int = 1) -> int:
    """Return how many of these rows fit into the cache, as a multiple of `multiple`."""
    size = multiple * rows.shape[1] * rows.shape[2] * rows.element_size()
    return max(1, CACHE_BYTES // max(1, size)) * multiple


def _weighted_sums(cells: Tensor, weights: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Return the sum of the weights, the weighted sum [C] of cells, and that of their products [C, C].

    Args:
        cells: [N, C].
        weights: [N], 0 or above.
    """
    dtype = cells.dtype if cells.dtype is torch.float64 else torch.float32
    weights = weights.to(dtype)
    if cells.device.type == "cpu":  # on a device, the host would have to wait for their number
        positive = weights > 0
        cells, weights = cells[positive], weights[positive]
    cells = cells.to(dtype)
    scaled = cells * weights.sqrt()[:, None]
    return weights.sum(dtype=accumulator_dtype(cells.device)), cells.mT @ weights, scaled.mT @ scaled


def mix_moments(parts: Sequence[Moments], weights: Sequence[float]) -> Moments:
    """Return the moments of a mixture of the parts; the weights need not sum to one."""
    total = sum(weights)
    shares = [weight / total for weight in weights]
    mean = torch.stack([share * part.mean for share, part in zip(shares, parts, strict=True)]).sum(0)
    second = torch.stack([share * part.second for share, part in zip(shares, parts, strict=True)]).sum(0)
    return Moments(sum(part.count for part in parts), mean, second)


def union_moments(parts: Sequence[Moments]) -> Moments:
    """Return the moments of the union of the parts' cells."""
    return mix_moments(parts, [part.count for part in parts])
