"""Evaluate how much of the variance of the teacher's features a student explains."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor

from tilestyle.networks.vgg import Vgg
from tilestyle.training.channel_selection import Channels
from tilestyle.training.student import TAPS


def explained_variance(
    student: Vgg, teacher: Vgg, channels: Mapping[str, Channels], fit: Sequence[Tensor], test: Sequence[Tensor]
) -> dict[str, tuple[float, float]]:
    """Measure the shares of the variance of the teacher's features that the student explains.

    Args:
        student: The student; its channels may be scaled.
        teacher: The network that it imitates.
        channels: Chosen channels of each convolution.
        fit: Batches [B, 3, h, w] for fitting factors and linear maps.
        test: Batches for testing them.

    Returns:
        For each layer of the loss, two shares: of the variance of the chosen channels, explained by one factor
        per channel; and of the variance of all channels, explained by a linear map.
    """
    shares = {}
    for layer in TAPS:
        chosen = channels[layer.replace("relu", "conv")].chosen
        inputs, outputs = _matched_cells(student, teacher, layer, fit)  # [n, c] and [n, C]
        test_inputs, test_outputs = _matched_cells(student, teacher, layer, test)
        factor = (inputs * outputs[:, chosen]).sum(0) / inputs.square().sum(0).clamp(min=1e-12)
        direct = _explained_share(test_inputs * factor, test_outputs[:, chosen])
        gram = inputs.T @ inputs
        ridge = 1e-4 * gram.trace() / len(gram) * torch.eye(len(gram))
        solution = torch.linalg.solve(gram + ridge, inputs.T @ (outputs - outputs.mean(0)))
        shares[layer] = direct, _explained_share(test_inputs @ solution + outputs.mean(0), test_outputs)
    return shares


def _explained_share(predicted: Tensor, target: Tensor) -> float:
    """The share of the variance of a target [n, c] that a prediction explains."""
    error = (predicted - target).square().sum()
    return 1 - float(error / (target - target.mean(0)).square().sum())


def _matched_cells(student: Vgg, teacher: Vgg, layer: str, batches: Sequence[Tensor]) -> tuple[Tensor, Tensor]:
    """The features of both networks at the same cells, [n, c] and [n, C]; at fine layers a subset of them."""
    step = {"1": 16, "2": 8, "3": 3}.get(layer[len("relu")], 1)
    pairs = []
    for batch in batches:
        with torch.no_grad():
            pairs.append(
                [
                    network.features(batch.to(network.dtype), [layer])[layer]
                    .float()
                    .permute(0, 2, 3, 1)
                    .flatten(0, 2)[::step]  # [n, C]
                    for network in (student, teacher)
                ]
            )
    return torch.cat([inputs for inputs, _ in pairs]), torch.cat([outputs for _, outputs in pairs])
