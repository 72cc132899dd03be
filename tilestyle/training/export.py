"""Weights to the file that is shipped."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save
from torch import Tensor

from tilestyle.config.enums import NetworkName
from tilestyle.files.atomic import replacing
from tilestyle.networks.vgg import convolution_keys
from tilestyle.networks.vgg_weights import DEVIATION, MEAN
from tilestyle.training.channel_selection import Channels
from tilestyle.training.student import scaled

POWER = 0.5  # of the deviation that is divided out of every channel: 1 would give all of them one voice
QUIET = 0.02  # of the mean variance, below which a channel is not made louder


def balanced(
    weights: Mapping[str, tuple[Tensor, Tensor]], channels: Mapping[str, Channels]
) -> dict[str, tuple[Tensor, Tensor]]:
    """Divide the root of each channel's deviation out, so that loud channels do not drown the others.

    A distance of moments sees channels by their energy, and a trained network's differ by orders of magnitude.
    """
    factors = {}
    for name, part in channels.items():
        variance = part.variance[part.chosen]
        deviation = (variance + QUIET * variance.mean()).sqrt()
        factors[name] = (deviation / deviation.mean()) ** -POWER
    return scaled(weights, factors)


def write(weights: Mapping[str, tuple[Tensor, Tensor]], file: Path, facts: Mapping[str, Any]) -> None:
    """Write weights in half precision, with the keys torchvision would give them.

    Args:
        weights: Weight and bias of each convolution, for pictures in [0, 1].
        file: The .safetensors file.
        facts: Where the weights come from, kept as JSON in the file's metadata.
    """
    tensors = {}
    for name, key in convolution_keys(NetworkName.COMPACT).items():
        weight, bias = weights[name]
        if name == "conv1_1":  # torchvision's scaling of the input, which whoever reads the file expects
            mean, deviation = (torch.tensor(values)[None, :, None, None] for values in (MEAN, DEVIATION))
            bias = bias + (weight * mean).sum((1, 2, 3))
            weight = weight * deviation
        tensors[f"{key}.weight"] = weight.to(torch.float16).contiguous()
        tensors[f"{key}.bias"] = bias.to(torch.float16).contiguous()
    content = save(tensors, {"tilestyle": json.dumps(dict(facts), sort_keys=True)})
    with replacing(file) as whole:
        whole.write(content)
