"""VGG-16 and VGG-19 (Simonyan and Zisserman 2014), and `compact`, a small one; cut at the deepest layer in use.

Layers are named as in Gatys et al. (2015): `conv4_2` is the second convolution of the fourth block, `relu4_2`
its rectified output, and `pool4` the pooling that ends the block.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

import torch
import torch.nn.functional as F
from torch import Tensor

from tilestyle.config.enums import NetworkName, Pooling
from tilestyle.kernels.support import has_kernels
from tilestyle.networks.base import Layer, unknown_layer_error
from tilestyle.networks.forward_pass import AutogradPass, ForwardPass
from tilestyle.networks.fused_vgg import FusedVgg, fused_stages
from tilestyle.networks.padding import replicate_pad_conv

# Convolutions of each block. A rectifier follows every convolution, and a pooling every block.
BLOCKS = {
    NetworkName.COMPACT: (2, 2, 3, 2, 1),
    NetworkName.VGG16: (2, 2, 3, 3, 3),
    NetworkName.VGG19: (2, 2, 4, 4, 4),
}
STYLE_LAYERS = ("relu1_1", "relu2_1", "relu3_1", "relu4_1", "relu5_1")
ARRANGEMENT_LAYERS = ("relu3_1", "relu4_1")


@dataclass(frozen=True, slots=True)
class NetworkDefaults:
    """Default settings of a network.

    Attributes:
        style: Style layers and their weights.
        content: Content layer.
        content_weight: Weight of content, for a style weight of 1.
        pooling: How features are pooled.
        replicates_edges: Whether all convolutions pad by replication instead of zeros.
    """

    style: Mapping[str, float]
    content: str
    content_weight: float
    pooling: Pooling
    replicates_edges: bool = False


_VGG_DEFAULTS = NetworkDefaults(dict.fromkeys(STYLE_LAYERS, 1.0), "relu4_2", 0.03, Pooling.MAX)
# Weights of the layers of `compact`: docs/networks.md. It was trained with average pooling, which has a smooth
# gradient and aliases less than max pooling.
_COMPACT_DEFAULTS = NetworkDefaults(
    {"relu1_1": 4.0, "relu2_1": 2.0, "relu3_1": 2.0, "relu4_1": 2.0, "relu5_1": 0.5},
    "relu4_1",
    0.015,
    Pooling.AVERAGE,
    replicates_edges=True,
)
DEFAULTS = {
    NetworkName.COMPACT: _COMPACT_DEFAULTS,
    NetworkName.VGG16: _VGG_DEFAULTS,
    NetworkName.VGG19: _VGG_DEFAULTS,
}
# What convolutions and allocator use beyond the tensors counted. With this factor the estimate is between 0.98
# and 1.22 of the peak resident memory of full VGG-19, and 1.4 for relu1_1 alone (growth from 512 to 896 pixels
# per side on a CPU, five sets of layers, both poolings, float32 and bfloat16).
WORKSPACE_OVERHEAD = 1.1
# What padding by replication uses in addition; measured in the same way.
REPLICATION_OVERHEAD = 1.1


def layer_names(name: NetworkName) -> list[str]:
    """Return the layers of the full network in order, so that the N-th is torchvision's `features.N`."""
    names = []
    for block, convolutions in enumerate(BLOCKS[name], start=1):
        for index in range(1, convolutions + 1):
            names += [f"conv{block}_{index}", f"relu{block}_{index}"]
        names.append(f"pool{block}")
    return names


def convolution_keys(name: NetworkName) -> dict[str, str]:
    """Return the name of each convolution in a torchvision state dict: layer -> `features.N`."""
    steps = enumerate(layer_names(name))
    return {layer: f"features.{index}" for index, layer in steps if layer.startswith("conv")}


@dataclass(frozen=True, slots=True)
class Convolution:
    """Constants of one 3 x 3 convolution: `weight` [C, c, 3, 3] and `bias` [C]."""

    weight: Tensor
    bias: Tensor


def _describe_layers(steps: Sequence[str], convolutions: Mapping[str, Convolution]) -> dict[str, Layer]:
    """Return the layers up to the last one that has weights.

    A 3 x 3 convolution widens the receptive field by two cells, a 2 x 2 pooling by one.
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

    The convolutions take sRGB values in [0, 1] and are named from `conv1_1` on without a gap. The first pads by
    replication, so that the edge of a patch is not seen as a line. The others pad with zeros, as they were
    trained, or by replication in `compact`, which makes its small patches a tenth better for a tenth of the
    time (docs/networks.md). Average pooling is a plain mean (Gatys et al. 2015, section 2).
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
            convolutions: Weights by layer.
            pooling: How features are pooled; None: as the network was trained.
            pooling_scale: Factor on pooled features, which some implementations use to compensate for another
                pooling.
        """
        defaults = DEFAULTS[name]
        self.name = name
        self._replicates_edges = defaults.replicates_edges
        self.pooling = pooling or defaults.pooling
        self.pooling_scale = pooling_scale
        self.convolutions = {
            layer: Convolution(
                convolution.weight.contiguous(memory_format=torch.channels_last), convolution.bias
            )
            for layer, convolution in convolutions.items()
        }
        self.layers: Mapping[str, Layer] = _describe_layers(layer_names(name), self.convolutions)
        self.style_layers: Mapping[str, float] = {
            layer: weight for layer, weight in defaults.style.items() if layer in self.layers
        }
        self.arrangement_layers: Collection[str] = ARRANGEMENT_LAYERS
        rectified = [layer for layer in self.layers if layer.startswith("relu")]
        content = defaults.content if defaults.content in self.layers else rectified[-1]
        self.content_layers: Mapping[str, float] = {content: 1.0}
        self.content_weight = defaults.content_weight

    @property
    def device(self) -> torch.device:
        """Device of the weights, and of the pictures it takes."""
        return self.convolutions["conv1_1"].weight.device

    @property
    def dtype(self) -> torch.dtype:
        """Dtype of the weights, and of the pictures it takes."""
        return self.convolutions["conv1_1"].weight.dtype

    def scale_groups(self, layers: Collection[str]) -> dict[int, dict[str, str]]:
        """Return one group: a trained network is computed as a whole."""
        return {1: {layer: layer for layer in layers}}

    def to(self, device: torch.device, dtype: torch.dtype) -> Vgg:
        """Return the same network with its weights on `device`, rounded to `dtype` permanently."""
        convolutions = {
            layer: Convolution(convolution.weight.to(device, dtype), convolution.bias.to(device, dtype))
            for layer, convolution in self.convolutions.items()
        }
        return Vgg(self.name, convolutions, self.pooling, self.pooling_scale)

    def resolve_layer_name(self, name: str) -> str:
        """Return the layer that a name of Gatys, Keras or torchvision means.

        Keras's `block4_conv2` is rectified and so `relu4_2`; its `block4_pool` is `pool4`. torchvision's
        `features.22` is the output of that module.

        Raises:
            LayerError: There is no such layer.
        """
        known = list(self.layers)
        block, _, part = name.lower().partition("_")
        kind, _, index = name.lower().partition(".")
        layer = name.lower()
        if block.startswith("block") and part == "pool":
            layer = f"pool{block.removeprefix('block')}"
        elif block.startswith("block") and part.startswith("conv"):
            layer = f"relu{block.removeprefix('block')}_{part.removeprefix('conv')}"
        elif kind == "features" and index.isdecimal() and int(index) < len(known):
            layer = known[int(index)]
        if layer not in self.layers:
            raise unknown_layer_error(self.name, name, known)
        return layer

    def features(self, pixels: Tensor, layers: Collection[str]) -> dict[str, Tensor]:
        """Return the responses of the named layers, [B, C, H/stride, W/stride]; deeper layers do not run."""
        if self._is_fused(pixels.device, layers):
            return self._fused.features(pixels, list(layers))
        responses: dict[str, Tensor] = {}
        values = pixels.contiguous(memory_format=torch.channels_last)
        for name in self._layers_to_run(layers):
            if name.startswith("conv"):
                values = self._convolve(values, name)
            elif name.startswith("relu"):
                # The gradient of a convolution does not need its output: it is overwritten unless requested.
                keep = name.replace("relu", "conv") in layers
                values = F.relu(values, inplace=not keep)
            else:
                values = self._pool(values)
            if name in layers:
                responses[name] = values
        return {name: responses[name] for name in layers}

    def forward_pass(self, pixels: Tensor, layers: Collection[str], *, captures: bool = False) -> ForwardPass:
        """Run a forward pass whose gradient will be asked for (FeatureNetwork.forward_pass)."""
        if self._is_fused(pixels.device, layers):
            return self._fused.forward_pass(pixels, list(layers), captures=captures)
        return AutogradPass(self.features, pixels, layers)

    @staticmethod
    def _is_fused(device: torch.device, layers: Collection[str]) -> bool:
        """Return whether layers are computed in few kernels on a device."""
        return all(name.startswith("relu") for name in layers) and has_kernels(device)

    @property
    def has_captured_passes(self) -> bool:
        """Whether a forward and a backward pass are kept as CUDA graphs."""
        return self._fused.graphs.captured

    def drop_captured_passes(self) -> None:
        """Free the memory of CUDA graphs, and capture no more."""
        self._fused.graphs.drop()

    @cached_property
    def _fused(self) -> FusedVgg:
        """The same network in few kernels."""
        convolutions = [(name, each.weight, each.bias) for name, each in self.convolutions.items()]
        return FusedVgg(
            fused_stages(
                convolutions, self.pooling, self.pooling_scale, replicates_edges=self._replicates_edges
            )
        )

    def _layers_to_run(self, layers: Collection[str]) -> list[str]:
        """Return the layers to run, up to the deepest requested one."""
        known = list(self.layers)
        return known[: 1 + max(known.index(name) for name in layers)]

    def _convolve(self, values: Tensor, name: str) -> Tensor:
        """Apply one convolution, padded to keep the size."""
        convolution = self.convolutions[name]
        if name == "conv1_1" or self._replicates_edges:
            return replicate_pad_conv(values, convolution.weight, convolution.bias)
        return F.conv2d(values, convolution.weight, convolution.bias, padding=1)

    def _pool(self, values: Tensor) -> Tensor:
        """Pool 2 x 2 cells."""
        pool = F.max_pool2d if self.pooling is Pooling.MAX else F.avg_pool2d
        pooled: Tensor = pool(values, 2)
        return pooled if self.pooling_scale == 1 else pooled * self.pooling_scale

    def multiply_adds_per_pixel(self, layers: Collection[str]) -> float:
        """Return the multiply-adds of one forward pass to the deepest of the named layers, per pixel."""
        return sum(
            self.convolutions[name].weight.numel() / self.layers[name].stride ** 2
            for name in self._layers_to_run(layers)
            if name.startswith("conv")
        )

    def bytes_per_pixel(self, layers: Collection[str], dtype: torch.dtype) -> float:
        """Return the memory of one forward and backward pass to the named layers, bytes per input pixel.

        It is the largest amount alive while the gradient passes any layer: the activations that are still
        needed, the responses and their cotangents, which the caller holds, and the gradient before and after
        the layer.
        """
        caller_bytes = sum(2 * self._values(name) * dtype.itemsize for name in layers)
        activation_bytes, previous_values, peak = 0.0, 3.0, 0.0
        for name in self._layers_to_run(layers):
            values = self._values(name)
            if name not in layers and not name.startswith("conv"):
                activation_bytes += values * dtype.itemsize
            if name.startswith("pool") and self.pooling is Pooling.MAX:
                activation_bytes += values * torch.int64.itemsize  # indices of the maxima
            peak = max(peak, activation_bytes + caller_bytes + (previous_values + values) * dtype.itemsize)
            previous_values = values
        return peak * WORKSPACE_OVERHEAD * (REPLICATION_OVERHEAD if self._replicates_edges else 1)

    def _values(self, name: str) -> float:
        """Return the numbers in a layer per input pixel."""
        return self.layers[name].channels / self.layers[name].stride ** 2
