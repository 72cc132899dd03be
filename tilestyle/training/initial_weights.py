"""Fit the student's initial weights in closed form: layer by layer, by ridge regression."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import pairwise

import torch
import torch.nn.functional as F
from torch import Tensor

from tilestyle.networks.vgg import Vgg
from tilestyle.training.channel_selection import Channels
from tilestyle.training.student import convolutions, student_network

RIDGE = 3e-4  # of the mean square of an input
CELLS = 400  # greatest number of cells used of each crop


def fit_initial_weights(
    teacher: Vgg, crops: Sequence[Tensor], channels: Mapping[str, Channels], seed: int
) -> dict[str, tuple[Tensor, Tensor]]:
    """Fit each kernel to map the student's features to the teacher's in the next layer.

    Args:
        teacher: The network to imitate.
        crops: Batches of crops [B, 3, h, w].
        channels: Chosen channels of each convolution.
        seed: Seed of the random choice of cells.

    Returns:
        Weight [C, c, 3, 3] and bias [C] of each convolution of the student. Those of the first convolution are
        the teacher's.
    """
    generator = torch.Generator().manual_seed(seed)
    names = list(convolutions())
    first = teacher.convolutions[names[0]]
    chosen = channels[names[0]].chosen
    weights = {names[0]: (first.weight[chosen].float().cpu(), first.bias[chosen].float().cpu())}
    for previous, name in pairwise(names):
        gram, cross = torch.zeros(()), torch.zeros(())
        input_layer = _input_layer(previous, name)
        for batch in crops:
            with torch.no_grad():
                student = student_network(weights).features(batch, [input_layer])[input_layer]
                expected = teacher.features(batch.to(teacher.device, teacher.dtype), [name])[name]
            expected = expected[:, channels[name].chosen.to(expected.device)].float().cpu()
            height, width = expected.shape[2:]
            cells = torch.randperm(height * width, generator=generator)[:CELLS]
            inputs = F.unfold(student, 3, padding=1)[:, :, cells]  # [B, 9 c, n]
            inputs = inputs.permute(0, 2, 1).flatten(0, 1)  # [B n, 9 c]
            inputs = torch.cat([inputs, torch.ones(len(inputs), 1)], 1)
            outputs = expected.flatten(2)[:, :, cells].permute(0, 2, 1).flatten(0, 1)  # [B n, C]
            gram = gram + (inputs.T @ inputs).double()
            cross = cross + (inputs.T @ outputs).double()
        ridge = RIDGE * gram.trace() / len(gram) * torch.eye(len(gram), dtype=torch.float64)
        solution = torch.linalg.solve(gram + ridge, cross).float()  # [9 c + 1, C]
        count = len(weights[previous][1])
        weight = solution[:-1].T.reshape(-1, count, 3, 3).contiguous()  # [C, c, 3, 3]
        weights[name] = weight, solution[-1].contiguous()
    return weights


def _input_layer(previous: str, name: str) -> str:
    """The name of the layer that a convolution takes its input from."""
    halved = previous[len("conv")] != name[len("conv")]
    return f"pool{previous[len('conv')]}" if halved else previous.replace("conv", "relu")
