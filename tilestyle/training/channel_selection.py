"""Choose the channels of the teacher that the student imitates."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import torch
from torch import Tensor

from tilestyle.networks.vgg import Vgg
from tilestyle.training.student import COMPONENTS, relu_layer


@dataclass(frozen=True)
class Channels:
    """Chosen channels and statistics of one rectified layer of the teacher.

    Attributes:
        chosen: Indices [k] of the channels that the student imitates, the most informative first.
        mean: Means [C] of all channels.
        variance: Variances [C] of all channels.
        components: Principal components [C, m] that the student learns too; None for a layer without them.
    """

    chosen: Tensor
    mean: Tensor
    variance: Tensor
    components: Tensor | None


def choose_channels(teacher: Vgg, batches: Iterable[Tensor], widths: Mapping[str, int]) -> dict[str, Channels]:
    """Choose the channels of each layer from the covariance of its features.

    Args:
        teacher: The network to imitate.
        batches: Batches of crops [B, 3, h, w].
        widths: Number of channels of each convolution of the student.

    Returns:
        The channels of each convolution's rectified output.
    """
    layers = [relu_layer(name) for name in widths]
    sums: dict[str, tuple[int, Tensor, Tensor]] = {}
    for batch in batches:
        with torch.no_grad():
            features = teacher.features(batch.to(teacher.device, teacher.dtype), layers)
        for layer, values in features.items():
            cells = values.permute(0, 2, 3, 1).flatten(0, 2).float()  # [n, C]
            cells = cells[:: {"1": 8, "2": 2}.get(layer[len("relu")], 1)]
            count, first, second = sums.get(layer, (0, torch.zeros(()), torch.zeros(())))
            first = first + cells.sum(0).double().cpu()
            sums[layer] = count + len(cells), first, second + (cells.T @ cells).double().cpu()
    selection = {}
    for name, width in widths.items():
        count, first, second = sums[relu_layer(name)]
        mean = first / count
        covariance = second / count - torch.outer(mean, mean)
        components = None
        if relu_layer(name) in COMPONENTS:
            components = torch.linalg.eigh(covariance)[1].flip(1)[:, : COMPONENTS[relu_layer(name)]].float()
        selection[name] = Channels(
            select_greedily(covariance, width), mean.float(), covariance.diagonal().float().clone(), components
        )
    return selection


def select_greedily(covariance: Tensor, count: int) -> Tensor:
    """Choose channels one by one, each time the one that explains most of the remaining covariance of all.

    This is a pivoted Cholesky decomposition that pivots on the channel with the largest reduction of the trace.
    Channels are first scaled towards equal deviations (by the fourth root of their variances), so that those
    of large variance do not dominate.

    Args:
        covariance: Covariance [C, C] in float64.
        count: Number of channels to choose.

    Returns:
        Their indices [count], int64.
    """
    scale = (covariance.diagonal().clamp(min=0) + 1e-9) ** -0.25
    residual = covariance * scale[:, None] * scale[None]  # [C, C]
    total = residual.trace()
    chosen: list[int] = []
    for _ in range(count):
        diagonal = residual.diagonal()
        gain = residual.square().sum(0) / (diagonal.clamp(min=0) + 1e-6 * total / len(residual))
        gain[chosen] = -1
        best = int(gain.argmax())
        chosen.append(best)
        column = residual[:, best].clone()
        residual = residual - torch.outer(column, column) / (column[best] + 1e-9 * total)
    return torch.tensor(chosen)
