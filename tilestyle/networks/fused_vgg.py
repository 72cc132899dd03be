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
from tilestyle.devices.graphs import graphs_allowed
from tilestyle.kernels.cells import (
    Step,
    convolve_pixels,
    filter_rows,
    fold_gradient,
    pool_and_pad,
    rectify_gradient,
)
from tilestyle.networks.captured_passes import CapturedPass, PassGraphs

# The channels of pixels are filled up with zeros to a multiple of this, which products on tensor cores need.
CHANNEL_UNIT = 8


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
    """

    layer: str
    weight: Tensor
    bias: Tensor
    before: Step
    zeros: bool
    rows: Tensor | None = None

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
        deepest = max(index for index, stage in enumerate(self.stages) if stage.layer in layers)
        used = replace(self, stages=self.stages[: deepest + 1])
        if pixels.requires_grad and torch.is_grad_enabled():
            captured = self.graphs.find(used, pixels, tuple(layers)) if graphs_allowed() else None
            responses = _FusedFeatures.apply(pixels, used, tuple(layers), captured)
            return dict(zip(layers, responses, strict=True))
        responses, _ = used.forward(pixels, layers, keep=False)
        return responses

    def forward(
        self, pixels: Tensor, layers: Sequence[str], *, keep: bool
    ) -> tuple[dict[str, Tensor], list[Tensor]]:
        """Run the stages; return the responses, and with `keep` the rectified features of all stages."""
        responses, kept = {}, []
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
                kept.append(values)
        return responses, kept

    def backward(self, kept: list[Tensor], cotangents: Mapping[str, Tensor | None]) -> Tensor:
        """Return the gradient in the pixels.

        Args:
            kept: Rectified features of all stages; emptied, so that each is freed once it is not needed.
            cotangents: Gradients in the responses, by layer.
        """
        values = kept.pop()
        gradient = cotangents.get(self.stages[-1].layer)
        gradient = torch.zeros_like(values) if gradient is None else gradient
        gradient = self.operations.rectify_gradient(
            gradient.contiguous(memory_format=torch.channels_last), values
        )
        for index in range(len(self.stages) - 1, -1, -1):
            stage = self.stages[index]
            gradient = F.conv_transpose2d(gradient, stage.weight, padding=1 if stage.zeros else 0)
            if index == 0:
                return self.operations.fold_gradient(gradient, padding=stage.before.padding, channels=3)
            values = kept.pop()
            gradient = self.operations.fold_gradient(
                gradient,
                padding=stage.before.padding,
                features=values,
                step=stage.before,
                cotangent=cotangents.get(self.stages[index - 1].layer),
            )
        return gradient


class _FusedFeatures(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any, pixels: Tensor, network: FusedVgg, layers: tuple[str, ...], captured: CapturedPass | None
    ) -> tuple[Tensor, ...]:
        ctx.set_materialize_grads(False)
        ctx.network, ctx.layers, ctx.captured = network, layers, captured
        if captured is not None:
            return captured.forward(pixels)
        responses, kept = network.forward(pixels, layers, keep=True)
        # Kept apart from the responses: these refer to this node, and it must not refer to them.
        ctx.kept = [values.detach() for values in kept]
        return tuple(responses[layer] for layer in layers)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, *cotangents: Tensor | None) -> Any:
        if ctx.captured is not None:
            return ctx.captured.backward(cotangents), None, None, None
        by_layer = dict(zip(ctx.layers, cotangents, strict=True))
        return ctx.network.backward(ctx.kept, by_layer), None, None, None


def convolve_and_rectify(values: Tensor, stage: Stage) -> Tensor:
    """Return max(0, weight * values + bias) [B, K, H, W]: in one kernel on NVIDIA GPUs."""
    padding = 1 if stage.zeros else 0
    if values.device.type == "cuda":
        fused: Tensor = torch.cudnn_convolution_relu(
            values, stage.weight, stage.bias, (1, 1), (padding, padding), (1, 1), 1
        )
        return fused
    return F.relu(F.conv2d(values, stage.weight, stage.bias, padding=padding), inplace=True)


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
        stages.append(Stage(name.replace("conv", "relu"), weight, bias, step, zeros, rows))
    return stages
