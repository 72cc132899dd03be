"""The student: its layers, their widths, and the layers at which it imitates the teacher."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor

from tilestyle.config.enums import NetworkName, Pooling
from tilestyle.networks.vgg import Convolution, Vgg, convolution_keys

WIDTHS = (16, 48, 96, 192, 192)  # channels of the blocks; multiples of 16 fill vector registers
# The layers that the losses of a render use: only there must the student match the teacher.
TAPS = ("relu2_1", "relu3_1", "relu4_1", "relu5_1")
# Number of principal components of the teacher's features that a linear map of the student's must reproduce.
COMPONENTS = {"relu2_1": 64, "relu3_1": 128, "relu4_1": 256, "relu5_1": 256}


def convolutions() -> dict[str, int]:
    """Return the number of channels of each of the student's convolutions, shallow to deep."""
    return {name: WIDTHS[int(name[len("conv")]) - 1] for name in convolution_keys(NetworkName.COMPACT)}


def relu_layer(convolution: str) -> str:
    """Return the name of a convolution's rectified layer."""
    return convolution.replace("conv", "relu")


def student_network(weights: Mapping[str, tuple[Tensor, Tensor]]) -> Vgg:
    """Build the student from weights and biases, for pictures in [0, 1].

    It pools by averages where its teacher takes maxima. An average has a smooth gradient and less aliasing, so
    pictures made with it have no pixel-sized grain.

    Args:
        weights: Weight [C, c, 3, 3] and bias [C] of each convolution.
    """
    parts = {name: Convolution(weight, bias) for name, (weight, bias) in weights.items()}
    return Vgg(NetworkName.COMPACT, parts, Pooling.AVERAGE)


def scale_channels(
    weights: Mapping[str, tuple[Tensor, Tensor]], factors: Mapping[str, Tensor]
) -> dict[str, tuple[Tensor, Tensor]]:
    """Scale each channel of each convolution by a positive factor.

    Args:
        weights: Weight [C, c, 3, 3] and bias [C] of each convolution, shallow to deep.
        factors: Factors [C] of the channels of each convolution.

    Returns:
        Weights of the scaled network. Each convolution divides out the factors of the previous one, which pass
        through rectifiers and averages unchanged.
    """
    result: dict[str, tuple[Tensor, Tensor]] = {}
    previous = torch.ones(3)
    for name, (weight, bias) in weights.items():
        factor = factors[name]
        result[name] = weight * factor[:, None, None, None] / previous[None, :, None, None], bias * factor
        previous = factor
    return result
