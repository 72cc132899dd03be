"""The student's first weights, in closed form: layer by layer, by ridge regression."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import pairwise

import torch
import torch.nn.functional as F
from torch import Tensor

from tilestyle.networks.vgg import Vgg
from tilestyle.training.channel_selection import Channels
from tilestyle.training.student import convolutions, network

RIDGE = 3e-4  # of the mean square of an input
CELLS = 400  # of each crop that take part, at most


def initial(
    teacher: Vgg, crops: Sequence[Tensor], channels: Mapping[str, Channels], seed: int
) -> dict[str, tuple[Tensor, Tensor]]:
    """Fit each kernel so that the student's own features give the teacher's next ones.

    Args:
        teacher: The network to imitate.
        crops: Batches of crops [B, 3, h, w].
        channels: The channels to imitate of each convolution.
        seed: Seed of the cells that are drawn.

    Returns:
        Weight [C, c, 3, 3] and bias [C] of each convolution of the student. The first convolution is the
        teacher's own.
    """
    generator = torch.Generator().manual_seed(seed)
    names = list(convolutions())
    first = teacher.convolutions[names[0]]
    chosen = channels[names[0]].chosen
    weights = {names[0]: (first.weight[chosen].float().cpu(), first.bias[chosen].float().cpu())}
    for before, name in pairwise(names):
        gram, cross = torch.zeros(()), torch.zeros(())
        below = _input(before, name)
        for batch in crops:
            with torch.no_grad():
                student = network(weights).features(batch, [below])[below]
                wanted = teacher.features(batch.to(teacher.device, teacher.dtype), [name])[name]
            wanted = wanted[:, channels[name].chosen.to(wanted.device)].float().cpu()
            height, width = wanted.shape[2:]
            cells = torch.randperm(height * width, generator=generator)[:CELLS]
            inputs = F.unfold(student, 3, padding=1)[:, :, cells]  # [B, 9 c, n]
            inputs = inputs.permute(0, 2, 1).flatten(0, 1)
            inputs = torch.cat([inputs, torch.ones(len(inputs), 1)], 1)
            outputs = wanted.flatten(2)[:, :, cells].permute(0, 2, 1).flatten(0, 1)
            gram = gram + (inputs.T @ inputs).double()
            cross = cross + (inputs.T @ outputs).double()
        ridge = RIDGE * gram.trace() / len(gram) * torch.eye(len(gram), dtype=torch.float64)
        solution = torch.linalg.solve(gram + ridge, cross).float()  # [9 c + 1, C]
        count = len(weights[before][1])
        weight = solution[:-1].T.reshape(-1, count, 3, 3).contiguous()
        weights[name] = weight, solution[-1].contiguous()
    return weights


def _input(before: str, name: str) -> str:
    """The layer that a convolution takes its input from."""
    halved = before[len("conv")] != name[len("conv")]
    return f"pool{before[len('conv')]}" if halved else before.replace("conv", "relu")
