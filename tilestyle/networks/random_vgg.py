"""VGG networks with random or repeated weights, for tests and benchmarks: they cost as much as trained ones."""

from __future__ import annotations

import torch

from tilestyle.config.enums import NetworkName
from tilestyle.networks.vgg import Convolution, Vgg, convolution_keys
from tilestyle.networks.vgg_weights import DEFAULT_OPTIONS, VggOptions, build_vgg

# Channels of each block, at full width.
WIDTHS = {
    NetworkName.COMPACT: (16, 48, 96, 192, 192),
    NetworkName.VGG16: (64, 128, 256, 512, 512),
    NetworkName.VGG19: (64, 128, 256, 512, 512),
}


def random_vgg(
    name: NetworkName, seed: int = 0, width_divisor: int = 1, options: VggOptions = DEFAULT_OPTIONS
) -> Vgg:
    """Return a network with random weights (He et al. 2015), for tests and benchmarks.

    Its pictures are mottled noise. `width_divisor` divides the channels of every block.
    """
    generator = torch.Generator().manual_seed(seed)
    convolutions = {}
    channels = 3
    for layer in convolution_keys(name):
        width = WIDTHS[name][int(layer[len("conv")]) - 1] // width_divisor
        weight = torch.randn(width, channels, 3, 3, generator=generator) * (2 / (9 * channels)) ** 0.5
        convolutions[layer] = Convolution(weight, torch.zeros(width))
        channels = width
    return build_vgg(name, convolutions, options)


def repeat_channels(network: Vgg, factor: int) -> Vgg:
    """Return the network with every channel repeated `factor` times: real features at a wider network's cost.

    Each layer returns the channels of the original one in order, [0..C), then [0..C) again.
    """
    full_tensors = {}
    for layer, convolution in network.convolutions.items():
        inputs = 1 if layer == "conv1_1" else factor
        weight = convolution.weight.repeat(factor, inputs, 1, 1) / inputs
        full_tensors[layer] = Convolution(weight, convolution.bias.repeat(factor))
    return Vgg(network.name, full_tensors, network.pooling)
