"""A VGG network in few kernels: what a GPU's time goes to otherwise is bias, rectifier, pooling and padding.

Per convolution there is one product with bias and rectifier forward, one product backward, and one kernel
(kernels/cells.py) between two products either way. The gradient is written out, so that autograd launches
nothing of its own. Activations are kept once, after the rectifier; the pooling keeps no places of its maxima.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.autograd.function import once_differentiable

from tilestyle.config.enums import Pooling
from tilestyle.kernels.cells import (
    Step,
    convolve_pixels,
    filter_rows,
    fold_gradient,
    pool_and_pad,
    rectify_gradient,
    takes_affine,
)
from tilestyle.networks.captured_passes import PassGraphs
from tilestyle.networks.forward_pass import FeatureGradient, ForwardPass

# The channels of pixels are filled up with zeros to a multiple of this, which products on tensor cores need.
CHANNEL_UNIT = 8
# The gradient of a convolution is a convolution with the filters turned round. With so many channels, in and
# out, cuDNN 9.19 has faster kernels for the latter: on an H200 in bfloat16 131 and 116 microseconds, 183 and
# 161, 106 and 33, 124 and 118, 120 and 104; but with 192 channels 26 and 45.
TURNED = (16, 64, 96, 128, 512)
# With so many, in and out, and cells that are padded already, it takes 640 microseconds; with zeros around the
# same cells, which nobody needs, 65.
SLOW_UNPADDED = (48,)


@dataclass(frozen=True)
class Stage:
    """One convolution with its rectifier.

    Attributes:
        layer: Name of the rectified layer.
        weight: [K, C, 3, 3], channels-last.
        bias: [K].
        before: What happens to the rectified features of the stage before, or to the pixels.
        zeros: Whether the convolution pads with zeros itself.
        rows: Of the first convolution, the filters as `convolve_pixels` takes them.
        turned: The filters of the transposed convolution [C, K, 3, 3], where cuDNN is faster with these.
    """

    layer: str
    weight: Tensor
    bias: Tensor
    before: Step
    zeros: bool
    rows: Tensor | None = None
    turned: Tensor | None = None

    @property
    def needs_copy(self) -> bool:
        """Whether the input of the convolution is not what the stage before returns."""
        return self.before.pooling is not None or self.before.padding > 0


@dataclass(frozen=True)
class Operations:
    """The operations of a pass; tests replace them by torch's own."""

    pool_and_pad: Callable[..., Tensor] = pool_and_pad
    fold_gradient: Callable[..., Tensor] = fold_gradient
    rectify_gradient: Callable[..., Tensor] = rectify_gradient
    convolve_pixels: Callable[..., Tensor] = convolve_pixels


@dataclass(frozen=True)
class FusedVgg:
    """The stages of a network up to its deepest layer."""

    stages: Sequence[Stage]
    operations: Operations = Operations()
    graphs: PassGraphs = field(default_factory=PassGraphs)

    def features(self, pixels: Tensor, layers: Sequence[str]) -> dict[str, Tensor]:
        """Return the responses of rectified layers, differentiable where pixels need a gradient.

        Args:
            pixels: [B, 3, H, W].
            layers: Names of rectified layers; stages below the deepest do not run.
        """
        used = self._up_to(layers)
        if pixels.requires_grad and torch.is_grad_enabled():
            responses = _FusedFeatures.apply(pixels, used, tuple(layers))
            return dict(zip(layers, responses, strict=True))
        responses, _ = used.forward(pixels, layers, keep=False)
        return responses

    def forward_pass(self, pixels: Tensor, layers: Sequence[str], *, captures: bool) -> ForwardPass:
        """Run a forward pass whose gradient will be asked for (FeatureNetwork.forward_pass)."""
        used = self._up_to(layers)
        with torch.no_grad():
            captured = self.graphs.find(used, pixels, tuple(layers)) if captures else None
            return captured.run(pixels) if captured else FusedPass(used, pixels, layers)

    def _up_to(self, layers: Sequence[str]) -> FusedVgg:
        """Return the network cut at the deepest of some layers."""
        deepest = max(index for index, stage in enumerate(self.stages) if stage.layer in layers)
        # Without the graphs, which hold this: what they take would be freed by a garbage collection only.
        return replace(self, stages=self.stages[: deepest + 1], graphs=PassGraphs())

    def forward(
        self, pixels: Tensor, layers: Sequence[str], *, keep: bool
    ) -> tuple[dict[str, Tensor], list[Tensor]]:
        """Run the stages; return the responses, and with `keep` the rectified features of all stages."""
        responses, saved = {}, []
        values = pixels
        for stage in self.stages:
            if stage.rows is not None:
                values = self.operations.convolve_pixels(values, stage.rows, stage.bias)
            else:
                if stage.needs_copy:
                    values = self.operations.pool_and_pad(values, stage.before)
                values = convolve_and_rectify(values, stage)
            if stage.layer in layers:
                responses[stage.layer] = values
            if keep:
                saved.append(values)
        return responses, saved

    def backward(self, saved: list[Tensor], gradients: Mapping[str, FeatureGradient]) -> Tensor:
        """Return the gradient in the pixels.

        Args:
            saved: Rectified features of all stages; emptied, so that each is freed once it is not needed.
            gradients: Gradients in the responses, by layer.
        """
        values = saved.pop()
        gradient = gradients.get(self.stages[-1].layer, FeatureGradient()).at(values)
        gradient = self.operations.rectify_gradient(
            gradient.contiguous(memory_format=torch.channels_last), values
        )
        for index in range(len(self.stages) - 1, -1, -1):
            stage = self.stages[index]
            gradient = convolve_back(gradient, stage)
            if index == 0:
                return self.operations.fold_gradient(gradient, padding=stage.before.padding, channels=3)
            values = saved.pop()
            added = gradients.get(self.stages[index - 1].layer, FeatureGradient())
            affine = added.affine
            if affine is not None and (stage.before.pooling is not None or not takes_affine(values)):
                added, affine = FeatureGradient(added.at(values)), None
            gradient = self.operations.fold_gradient(
                gradient,
                padding=stage.before.padding,
                features=values,
                step=stage.before,
                cotangent=added.values,
                affine=affine and (affine.matrix, affine.offset),
            )
        return gradient


class FusedPass:
    """A forward pass, with what its backward pass reads."""

    takes_affine = True

    def __init__(self, network: FusedVgg, pixels: Tensor, layers: Sequence[str]) -> None:
        """Run a network cut at the deepest layer."""
        self._network = network
        self.features, self._kept = network.forward(pixels, layers, keep=True)

    def gradient(self, by_layer: Mapping[str, FeatureGradient]) -> Tensor:
        """Return the gradient in the pixels."""
        with torch.no_grad():
            return self._network.backward(self._kept, by_layer)


class _FusedFeatures(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, pixels: Tensor, network: FusedVgg, layers: tuple[str, ...]) -> tuple[Tensor, ...]:
        ctx.set_materialize_grads(False)
        ctx.network, ctx.layers = network, layers
        responses, saved = network.forward(pixels, layers, keep=True)
        # Kept apart from the responses: these refer to this node, and it must not refer to them.
        ctx.kept = [values.detach() for values in saved]
        return tuple(responses[layer] for layer in layers)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, *cotangents: Tensor | None) -> Any:
        by_layer = {
            layer: FeatureGradient(values) for layer, values in zip(ctx.layers, cotangents, strict=True)
        }
        return ctx.network.backward(ctx.kept, by_layer), None, None


def convolve_back(gradient: Tensor, stage: Stage) -> Tensor:
    """Return the gradient before a convolution, [B, C, H, W], given that after it [B, K, h, w]."""
    if stage.turned is not None:
        return F.conv2d(gradient, stage.turned, padding=1 if stage.zeros else 2)
    return F.conv_transpose2d(gradient, stage.weight, padding=1 if stage.zeros else 0)


def convolve_and_rectify(values: Tensor, stage: Stage) -> Tensor:
    """Return max(0, weight * values + bias) [B, K, H, W]: in one kernel on NVIDIA GPUs."""
    slow = not stage.zeros and len(stage.bias) in SLOW_UNPADDED and values.dtype is torch.bfloat16
    padding = 1 if stage.zeros or slow else 0
    if values.device.type == "cuda":
        responses: Tensor = torch.cudnn_convolution_relu(
            values, stage.weight, stage.bias, (1, 1), (padding, padding), (1, 1), 1
        )
    else:
        responses = F.relu(F.conv2d(values, stage.weight, stage.bias, padding=padding), inplace=True)
    return responses[:, :, 1:-1, 1:-1].contiguous(memory_format=torch.channels_last) if slow else responses


def fused_stages(
    convolutions: Sequence[tuple[str, Tensor, Tensor]],
    pooling: Pooling,
    pooling_scale: float,
    *,
    replicates_edges: bool,
) -> list[Stage]:
    """Return the stages of a network.

    Args:
        convolutions: Name as `convB_I`, weight [K, C, 3, 3] and bias [K] of each.
        pooling: How the features of a block are pooled.
        pooling_scale: Factor on pooled features.
        replicates_edges: Whether all convolutions pad by replication; otherwise only the first does.
    """
    stages = []
    for name, weight, bias in convolutions:
        first, begins_block = name == "conv1_1", name.endswith("_1")
        zeros = not (first or replicates_edges)
        step = Step(padding=0 if zeros else 1)
        if begins_block and not first:
            step = replace(step, pooling=pooling, scale=pooling_scale)
        rows = filter_rows(weight) if first else None
        missing = -weight.shape[1] % CHANNEL_UNIT if first else 0
        weight = F.pad(weight, [0, 0, 0, 0, 0, missing]).contiguous(memory_format=torch.channels_last)
        turned = None
        if weight.shape[0] == weight.shape[1] and len(weight) in TURNED:
            turned = weight.flip(2, 3).transpose(0, 1).contiguous(memory_format=torch.channels_last)
        stages.append(Stage(name.replace("conv", "relu"), weight, bias, step, zeros, rows, turned))
    return stages
