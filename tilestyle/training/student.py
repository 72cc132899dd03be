"""The student: which layers of the teacher it imitates, and how wide it is."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor

from tilestyle.config.enums import NetworkName, Pooling
from tilestyle.networks.vgg import Convolution, Vgg, convolution_keys

WIDTHS = (16, 48, 96, 192, 192)  # channels of the blocks; multiples of 16 fill vector registers
# Layers that a picture is compared at: the student has to match the teacher there, and only there.
TAPS = ("relu2_1", "relu3_1", "relu4_1", "relu5_1")
# Principal components of the teacher's features that the student's have to give by a linear map.
COMPONENTS = {"relu2_1": 64, "relu3_1": 128, "relu4_1": 256, "relu5_1": 256}


def convolutions() -> dict[str, int]:
    """The student's convolutions, shallow to deep, with their channels."""
    return {name: WIDTHS[int(name[len("conv")]) - 1] for name in convolution_keys(NetworkName.COMPACT)}


def relu(convolution: str) -> str:
    """The rectified layer of a convolution."""
    return convolution.replace("conv", "relu")


def network(weights: Mapping[str, tuple[Tensor, Tensor]]) -> Vgg:
    """The student with these weights and biases, for pictures in [0, 1].

    It halves by plain means where its teacher takes maxima: a mean has a smooth gradient and aliases less, so
    that pictures made with it have no grain of the size of a pixel.
    """
    parts = {name: Convolution(weight, bias) for name, (weight, bias) in weights.items()}
    return Vgg(NetworkName.COMPACT, parts, Pooling.AVERAGE)


def scaled(
    weights: Mapping[str, tuple[Tensor, Tensor]], factors: Mapping[str, Tensor]
) -> dict[str, tuple[Tensor, Tensor]]:
    """The same network with each channel of each convolution times a positive factor.

    Args:
        weights: Weight [C, c, 3, 3] and bias [C] of each convolution, shallow to deep.
        factors: Factors [C] of the channels of each convolution.

    Returns:
        Weights that divide out the factors of the layer before: rectifiers and means let them through.
    """
    found: dict[str, tuple[Tensor, Tensor]] = {}
    before = torch.ones(3)
    for name, (weight, bias) in weights.items():
        factor = factors[name]
        found[name] = weight * factor[:, None, None, None] / before[None, :, None, None], bias * factor
        before = factor
    return found
