"""Which channels of the teacher the student imitates."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import torch
from torch import Tensor

from tilestyle.networks.vgg import Vgg
from tilestyle.training.student import COMPONENTS, relu


@dataclass(frozen=True)
class Channels:
    """What is known of one rectified layer of the teacher."""

    chosen: Tensor  # [k] indices of the channels that the student imitates, the most telling first
    mean: Tensor  # [C] of all channels
    variance: Tensor  # [C] of all channels
    components: Tensor | None  # [C, m] principal components, where the student is held to them


def choose(teacher: Vgg, batches: Iterable[Tensor], widths: Mapping[str, int]) -> dict[str, Channels]:
    """Choose channels of each layer by the covariance of its features over some crops.

    Args:
        teacher: The network to imitate.
        batches: Crops [B, 3, h, w].
        widths: Convolutions of the student with the number of channels each may have.

    Returns:
        For each convolution the channels of its rectified output.
    """
    layers = [relu(name) for name in widths]
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
    found = {}
    for name, width in widths.items():
        count, first, second = sums[relu(name)]
        mean = first / count
        covariance = second / count - torch.outer(mean, mean)
        components = None
        if relu(name) in COMPONENTS:
            components = torch.linalg.eigh(covariance)[1].flip(1)[:, : COMPONENTS[relu(name)]].float()
        found[name] = Channels(
            greedy(covariance, width), mean.float(), covariance.diagonal().float().clone(), components
        )
    return found


def greedy(covariance: Tensor, count: int) -> Tensor:
    """Choose channels one by one, each time the one that explains most of what is left of all.

    It is a pivoted Cholesky decomposition whose pivot is the channel with the largest reduction of the trace.
    Channels are first scaled towards equal deviations (by the fourth root of their variances), so that loud
    ones do not decide alone.

    Args:
        covariance: [C, C] in float64.
        count: Channels to choose.

    Returns:
        Their indices [count], int64.
    """
    scale = (covariance.diagonal().clamp(min=0) + 1e-9) ** -0.25
    left = covariance * scale[:, None] * scale[None]
    total = left.trace()
    chosen: list[int] = []
    for _ in range(count):
        diagonal = left.diagonal()
        gain = left.square().sum(0) / (diagonal.clamp(min=0) + 1e-6 * total / len(left))
        gain[chosen] = -1
        best = int(gain.argmax())
        chosen.append(best)
        column = left[:, best].clone()
        left = left - torch.outer(column, column) / (column[best] + 1e-9 * total)
    return torch.tensor(chosen)
