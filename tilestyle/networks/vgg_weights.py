"""The VGG networks of their weights: input and features scaled, for pictures in [0, 1]."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass

import torch

from tilestyle.config.enums import InputScaling, NetworkName, Pooling
from tilestyle.networks.vgg import Convolution, Vgg
from tilestyle.networks.vgg_files import load_convolutions

# Input scaling of torchvision's weights: (sRGB - mean) / standard deviation, of ImageNet.
MEAN = (0.485, 0.456, 0.406)
STD = (0.229, 0.224, 0.225)
# Input scaling of Simonyan and Zisserman's own weights, as in Caffe: [0, 255] less this mean, blue first.
CAFFE_MEAN = (123.68, 116.779, 103.939)


@dataclass(frozen=True, slots=True)
class VggOptions:
    """How a VGG is built from its weights.

    Attributes:
        pooling: How features are pooled; None: as the network was trained.
        pooling_scale: Factor on pooled features.
        input_scaling: Input that the weights expect.
        feature_scale: Factor on all features.
    """

    pooling: Pooling | None = None
    pooling_scale: float = 1.0
    input_scaling: InputScaling = InputScaling.TORCHVISION
    feature_scale: float = 1.0


DEFAULT_OPTIONS = VggOptions()


def load_vgg(
    name: NetworkName, weights: str | os.PathLike[str] | None = None, options: VggOptions = DEFAULT_OPTIONS
) -> Vgg:
    """Load a VGG network, on the CPU in float32.

    Args:
        name: Which network.
        weights: A .safetensors or .pth file with torchvision's keys, of any width and depth. None: the bundled
            weights of `compact`, or torchvision's ImageNet weights for the others, downloaded on first use.
        options: How the network is built.

    Raises:
        NetworkError: The weights are missing or do not fit.
    """
    return build_vgg(name, load_convolutions(name, weights), options)


def build_vgg(name: NetworkName, convolutions: Mapping[str, Convolution], options: VggOptions) -> Vgg:
    """Build the network of these convolutions for pictures in [0, 1]."""
    folded = _fold_input_scaling(convolutions, options.input_scaling)
    return Vgg(name, _scale_features(folded, options.feature_scale), options.pooling, options.pooling_scale)


def _fold_input_scaling(
    convolutions: Mapping[str, Convolution], scaling: InputScaling
) -> dict[str, Convolution]:
    """Fold the input scaling of the weights into the first convolution, so that it takes pictures in [0, 1].

    This is exact at the edge too, because that convolution pads by replication: what is outside is a pixel like
    any other. (Padding with zeros would mean black after folding, and ImageNet's mean before.)
    """
    first = convolutions["conv1_1"]
    weight = first.weight.double()
    mean, deviation = torch.tensor([MEAN, STD], dtype=torch.float64)
    if scaling is InputScaling.CAFFE:
        weight = weight.flip(1)  # blue first
        mean, deviation = torch.tensor(CAFFE_MEAN, dtype=torch.float64) / 255, torch.full_like(mean, 1 / 255)
    weight = weight / deviation[:, None, None]
    bias = first.bias.double() - (weight * mean[:, None, None]).sum((1, 2, 3))
    folded = Convolution(weight.to(first.weight.dtype), bias.to(first.bias.dtype))
    return {**convolutions, "conv1_1": folded}


def _scale_features(convolutions: Mapping[str, Convolution], factor: float) -> dict[str, Convolution]:
    """Multiply all features of the network by `factor`: rectifiers commute with it."""
    return {
        layer: Convolution(
            convolution.weight * factor if layer == "conv1_1" else convolution.weight, convolution.bias * factor
        )
        for layer, convolution in convolutions.items()
    }
