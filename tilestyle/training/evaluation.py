"""How much of the teacher a student sees, on pictures that neither was trained on."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor

from tilestyle.networks.vgg import Vgg
from tilestyle.training.channel_selection import Channels
from tilestyle.training.student import TAPS


def explained(
    student: Vgg, teacher: Vgg, channels: Mapping[str, Channels], fit: Sequence[Tensor], test: Sequence[Tensor]
) -> dict[str, tuple[float, float]]:
    """Shares of the variance of the teacher's features that the student explains.

    Args:
        student: Its features may be scaled channel by channel.
        teacher: The network it imitates.
        channels: The teacher's channels that the student imitates.
        fit: Batches [B, 3, h, w] on which linear maps are fitted.
        test: Batches on which they are tested.

    Returns:
        For each layer that pictures are compared at: the share of the chosen channels that one factor for each
        explains, and the share of all channels that a linear map explains.
    """
    found = {}
    for layer in TAPS:
        chosen = channels[layer.replace("relu", "conv")].chosen
        seen, wanted = _cells(student, teacher, layer, fit)
        seen_test, wanted_test = _cells(student, teacher, layer, test)
        factor = (seen * wanted[:, chosen]).sum(0) / seen.square().sum(0).clamp(min=1e-12)
        direct = _share(seen_test * factor, wanted_test[:, chosen])
        gram = seen.T @ seen
        ridge = 1e-4 * gram.trace() / len(gram) * torch.eye(len(gram))
        solution = torch.linalg.solve(gram + ridge, seen.T @ (wanted - wanted.mean(0)))
        found[layer] = direct, _share(seen_test @ solution + wanted.mean(0), wanted_test)
    return found


def _share(found: Tensor, wanted: Tensor) -> float:
    error = (found - wanted).square().sum()
    return 1 - float(error / (wanted - wanted.mean(0)).square().sum())


def _cells(student: Vgg, teacher: Vgg, layer: str, batches: Sequence[Tensor]) -> tuple[Tensor, Tensor]:
    """Features of both at the same cells, [n, c] and [n, C]; some of them at fine layers."""
    step = {"1": 16, "2": 8, "3": 3}.get(layer[len("relu")], 1)
    pairs = []
    for batch in batches:
        with torch.no_grad():
            pairs.append(
                [
                    network.features(batch.to(network.dtype), [layer])[layer]
                    .float()
                    .permute(0, 2, 3, 1)
                    .flatten(0, 2)[::step]
                    for network in (student, teacher)
                ]
            )
    return torch.cat([seen for seen, _ in pairs]), torch.cat([wanted for _, wanted in pairs])
