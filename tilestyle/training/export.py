"""Write the student's weights to the file that is bundled with tilestyle."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save
from torch import Tensor

from tilestyle.config.enums import NetworkName
from tilestyle.files.atomic import atomic_write
from tilestyle.networks.vgg import convolution_keys
from tilestyle.networks.vgg_weights import MEAN, STD
from tilestyle.training.channel_selection import Channels
from tilestyle.training.student import scale_channels

POWER = 0.5  # of the deviation that every channel is divided by: 1 would make all deviations equal
QUIET = 0.02  # of the mean variance, added to every variance: channels far below it are not amplified further


def balance_channels(
    weights: Mapping[str, tuple[Tensor, Tensor]], channels: Mapping[str, Channels]
) -> dict[str, tuple[Tensor, Tensor]]:
    """Divide each channel by the root of its deviation, so that channels of large variance do not dominate.

    A distance of moments weights channels by their energy, which differs by orders of magnitude in a trained
    network.

    Args:
        weights: Weight [C, c, 3, 3] and bias [C] of each convolution.
        channels: Chosen channels of each convolution, with their variances.

    Returns:
        Weights of an equivalent network with scaled channels.
    """
    factors = {}
    for name, part in channels.items():
        variance = part.variance[part.chosen]
        deviation = (variance + QUIET * variance.mean()).sqrt()
        factors[name] = (deviation / deviation.mean()) ** -POWER
    return scale_channels(weights, factors)


def write_weights(weights: Mapping[str, tuple[Tensor, Tensor]], file: Path, facts: Mapping[str, Any]) -> None:
    """Write weights in half precision, with torchvision's keys.

    Args:
        weights: Weight and bias of each convolution, for pictures in [0, 1].
        file: The .safetensors file.
        facts: Origin of the weights, stored as JSON in the file's metadata.

    Raises:
        OSError: The file cannot be written.
    """
    tensors = {}
    for name, key in convolution_keys(NetworkName.COMPACT).items():
        weight, bias = weights[name]
        if name == "conv1_1":  # readers of the file expect torchvision's input scaling
            mean, deviation = (torch.tensor(values)[None, :, None, None] for values in (MEAN, STD))
            bias = bias + (weight * mean).sum((1, 2, 3))
            weight = weight * deviation
        tensors[f"{key}.weight"] = weight.to(torch.float16).contiguous()
        tensors[f"{key}.bias"] = bias.to(torch.float16).contiguous()
    content = save(tensors, {"tilestyle": json.dumps(dict(facts), sort_keys=True)})
    with atomic_write(file) as handle:
        handle.write(content)
