"""VGG-16 and VGG-19 (Simonyan and Zisserman 2014), and `compact`, a small one; cut at the deepest layer in use.

Layers are called as Gatys et al. (2015) call them: `conv4_2` is the second convolution of the fourth
block, `relu4_2` the same rectified, `pool4` the halving that ends the block.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from tilestyle.config.enums import NetworkName, Pooling
from tilestyle.networks.base import Layer, unknown_layer
from tilestyle.networks.padding import convolved

# Convolutions of each block; a rectifier follows every convolution, a halving every block.
BLOCKS = {
    NetworkName.COMPACT: (2, 2, 3, 2, 1),
    NetworkName.VGG16: (2, 2, 3, 3, 3),
    NetworkName.VGG19: (2, 2, 4, 4, 4),
}
STYLE_LAYERS = ("relu1_1", "relu2_1", "relu3_1", "relu4_1", "relu5_1")
ARRANGEMENT_LAYERS = ("relu3_1", "relu4_1")


@dataclass(frozen=True, slots=True)
class Usual:
    """What a network is used with unless told otherwise."""

    style: Mapping[str, float]  # weights of layers
    content: str  # the layer
    content_weight: float
    pooling: Pooling
    continued: bool = False  # whether all convolutions pad with the cells at the edge; else with zeros


_VGG = Usual(dict.fromkeys(STYLE_LAYERS, 1.0), "relu4_2", 0.03, Pooling.MAX)
# Weights of the layers of `compact`: docs/networks.md. It was trained with averages: a mean has a smooth
# gradient and aliases less than a maximum.
_COMPACT = Usual(
    {"relu1_1": 4.0, "relu2_1": 2.0, "relu3_1": 2.0, "relu4_1": 2.0, "relu5_1": 0.5},
    "relu4_1",
    0.015,
    Pooling.AVERAGE,
    continued=True,
)
USUAL = {NetworkName.COMPACT: _COMPACT, NetworkName.VGG16: _VGG, NetworkName.VGG19: _VGG}
# What convolutions and allocator take beyond the tensors counted. With it the count lies between 0.98 and
# 1.22 of the peak resident memory of full VGG-19, 1.4 when relu1_1 is all (growth from 512 to 896 pixels a
# side on a CPU, five sets of layers, both poolings, float32 and bfloat16).
WORKSPACE = 1.1
# And what continued pictures take on their way; measured in the same manner.
CONTINUED = 1.1


def operations(name: NetworkName) -> list[str]:
    """The layers of the full network in order, so that the N-th is torchvision's `features.N`."""
    steps = []
    for block, convolutions in enumerate(BLOCKS[name], start=1):
        for index in range(1, convolutions + 1):
            steps += [f"conv{block}_{index}", f"relu{block}_{index}"]
        steps.append(f"pool{block}")
    return steps


def convolution_keys(name: NetworkName) -> dict[str, str]:
    """Where a torchvision state dict keeps each convolution: layer -> `features.N`."""
    steps = enumerate(operations(name))
    return {layer: f"features.{index}" for index, layer in steps if layer.startswith("conv")}


@dataclass(frozen=True, slots=True)
class Convolution:
    """Constants of one 3 x 3 convolution: `weight` [C, c, 3, 3] and `bias` [C]."""

    weight: Tensor
    bias: Tensor


def _described(steps: Sequence[str], convolutions: Mapping[str, Convolution]) -> dict[str, Layer]:
    """The layers up to the last one there are weights for.

    A 3 x 3 convolution widens the receptive field by two cells, a 2 x 2 halving by one.
    """
    layers: dict[str, Layer] = {}
    channels, stride, field = 3, 1, 1
    for name in steps:
        if name.startswith("conv"):
            if name not in convolutions:
                break
            channels = len(convolutions[name].bias)
            field += 2 * stride
        elif name.startswith("pool"):
            field += stride
            stride *= 2
        layers[name] = Layer(name, channels, stride, field)
    return layers


class Vgg:
    """A VGG network of any width; it ends where its weights end.

    `convolutions` take sRGB values in [0, 1] as they are, and come by name from `conv1_1` on without
    a gap. The first pads by replication, so that the edge of a patch is no line; the others pad with
    zeros, as they were trained, or by replication, too: `compact`, whose small patches it makes a tenth
    better for a tenth of the time (docs/networks.md). Averages are plain means (Gatys et al. 2015, section 2).
    """

    def __init__(
        self,
        name: NetworkName,
        convolutions: Mapping[str, Convolution],
        pooling: Pooling | None = None,
        pooling_scale: float = 1.0,
    ) -> None:
        """Take the weights.

        Args:
            name: Which network.
            convolutions: Its weights.
            pooling: How features are halved; None: as the network was trained.
            pooling_scale: Factor of what is halved, as some have it to make up for another pooling.
        """
        usual = USUAL[name]
        self.name = name
        self._continued = usual.continued
        self.pooling = pooling or usual.pooling
        self.pooling_scale = pooling_scale
        self.convolutions = {
            layer: Convolution(part.weight.contiguous(memory_format=torch.channels_last), part.bias)
            for layer, part in convolutions.items()
        }
        self.layers: Mapping[str, Layer] = _described(operations(name), self.convolutions)
        self.style_layers: Mapping[str, float] = {
            layer: weight for layer, weight in usual.style.items() if layer in self.layers
        }
        self.arrangement_layers: Collection[str] = ARRANGEMENT_LAYERS
        rectified = [layer for layer in self.layers if layer.startswith("relu")]
        content = usual.content if usual.content in self.layers else rectified[-1]
        self.content_layers: Mapping[str, float] = {content: 1.0}
        self.content_weight = usual.content_weight

    @property
    def device(self) -> torch.device:
        """Where the weights are, and pictures must be."""
        return self.convolutions["conv1_1"].weight.device

    @property
    def dtype(self) -> torch.dtype:
        """Arithmetic of the weights, and of the pictures it takes."""
        return self.convolutions["conv1_1"].weight.dtype

    def octaves(self, layers: Collection[str]) -> dict[int, dict[str, str]]:
        """One: trained layers hang together."""
        return {1: {layer: layer for layer in layers}}

    def to(self, device: torch.device, dtype: torch.dtype) -> Vgg:
        """The same network with its weights on `device`, rounded to `dtype` for good."""
        moved = {
            layer: Convolution(part.weight.to(device, dtype), part.bias.to(device, dtype))
            for layer, part in self.convolutions.items()
        }
        return Vgg(self.name, moved, self.pooling, self.pooling_scale)

    def canonical(self, name: str) -> str:
        """The layer meant by a name of ours, of Keras or of torchvision; raises LayerError.

        Keras's `block4_conv2` is rectified and so our `relu4_2`; its `block4_pool` is `pool4`.
        torchvision's `features.22` is the output of that module.
        """
        known = list(self.layers)
        block, _, part = name.lower().partition("_")
        kind, _, index = name.lower().partition(".")
        found = name.lower()
        if block.startswith("block") and part == "pool":
            found = f"pool{block.removeprefix('block')}"
        elif block.startswith("block") and part.startswith("conv"):
            found = f"relu{block.removeprefix('block')}_{part.removeprefix('conv')}"
        elif kind == "features" and index.isdecimal() and int(index) < len(known):
            found = known[int(index)]
        if found not in self.layers:
            raise unknown_layer(self.name, name, known)
        return found

    def features(self, pixels: Tensor, layers: Collection[str]) -> dict[str, Tensor]:
        """Responses of the named layers, [B, C, H/stride, W/stride] each; deeper ones do not run."""
        found: dict[str, Tensor] = {}
        values = pixels.contiguous(memory_format=torch.channels_last)
        for name in self._steps(layers):
            if name.startswith("conv"):
                values = self._convolved(values, name)
            elif name.startswith("relu"):
                # A convolution's gradient does not need its output: overwritten, unless asked for.
                keep = name.replace("relu", "conv") in layers
                values = F.relu(values, inplace=not keep)
            else:
                values = self._halved(values)
            if name in layers:
                found[name] = values
        return {name: found[name] for name in layers}

    def _steps(self, layers: Collection[str]) -> list[str]:
        """The layers to run, to the deepest one wanted."""
        known = list(self.layers)
        return known[: 1 + max(known.index(name) for name in layers)]

    def _convolved(self, values: Tensor, name: str) -> Tensor:
        """One convolution, padded to keep the size."""
        part = self.convolutions[name]
        if name == "conv1_1" or self._continued:
            return convolved(values, part.weight, part.bias)
        return F.conv2d(values, part.weight, part.bias, padding=1)

    def _halved(self, values: Tensor) -> Tensor:
        halve = F.max_pool2d if self.pooling is Pooling.MAX else F.avg_pool2d
        halved: Tensor = halve(values, 2)
        return halved if self.pooling_scale == 1 else halved * self.pooling_scale

    def multiply_adds_per_pixel(self, layers: Collection[str]) -> float:
        """Multiply-adds of one forward pass to the deepest of the named layers, per pixel."""
        return sum(
            self.convolutions[name].weight.numel() / self.layers[name].stride ** 2
            for name in self._steps(layers)
            if name.startswith("conv")
        )

    def bytes_per_pixel(self, layers: Collection[str], dtype: torch.dtype) -> float:
        """Memory of one forward and backward pass to the named layers, bytes per input pixel.

        The most that is alive while the gradient passes any layer: the activations still needed, the
        answers and their cotangents, which the caller holds, and the gradient before and after.
        """
        held = sum(2 * self._values(name) * dtype.itemsize for name in layers)
        kept, before, peak = 0.0, 3.0, 0.0
        for name in self._steps(layers):
            values = self._values(name)
            if name not in layers and not name.startswith("conv"):
                kept += values * dtype.itemsize
            if name.startswith("pool") and self.pooling is Pooling.MAX:
                kept += values * torch.int64.itemsize  # where each maximum was
            peak = max(peak, kept + held + (before + values) * dtype.itemsize)
            before = values
        return peak * WORKSPACE * (CONTINUED if self._continued else 1)

    def _values(self, name: str) -> float:
        """Numbers of a layer per input pixel."""
        return self.layers[name].channels / self.layers[name].stride ** 2
