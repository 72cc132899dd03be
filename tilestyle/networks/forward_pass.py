"""A forward pass of a network whose gradient is asked for once, when the features are known."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from typing import Any, Protocol

import torch
from torch import Tensor

from tilestyle.stats.affine_gradient import AffineGradient


@dataclass(frozen=True, eq=False)
class FeatureGradient:
    """The gradient of a loss in the features of one layer: the sum of its parts.

    Attributes:
        values: At every cell, [B, C, h, w].
        affine: As a function of the features.
    """

    values: Tensor | None = None
    affine: AffineGradient | None = None

    def at(self, features: Tensor) -> Tensor:
        """Return the whole gradient at every cell of features [B, C, h, w]; `values` may be changed."""
        if self.affine is None:
            return torch.zeros_like(features) if self.values is None else self.values
        total = self.affine.at(features)
        return total if self.values is None else total.add_(self.values)


class ForwardPass(Protocol):
    """The features of some pixels, and the way back."""

    @property
    def features(self) -> Mapping[str, Tensor]:
        """Features [B, C, h, w] by layer."""
        ...

    @property
    def takes_affine(self) -> bool:
        """Whether affine gradients are better left as they are: otherwise they cost nothing at the cells."""
        ...

    def gradient(self, by_layer: Mapping[str, FeatureGradient]) -> Tensor:
        """Return the gradient in the pixels [B, 3, H, W], given that in the features. To be called once."""
        ...


class AutogradPass:
    """A forward pass through torch's own gradients."""

    takes_affine = False

    def __init__(
        self,
        features: Callable[[Tensor, Collection[str]], dict[str, Tensor]],
        pixels: Tensor,
        layers: Collection[str],
    ) -> None:
        """Run a network.

        Args:
            features: `FeatureNetwork.features`.
            pixels: [B, 3, H, W].
            layers: Names of layers.
        """
        self._pixels = pixels.detach().requires_grad_()
        with torch.enable_grad():
            self._features = features(self._pixels, layers)
        self.features: Mapping[str, Tensor] = self._features

    def gradient(self, by_layer: Mapping[str, FeatureGradient]) -> Tensor:
        """Return the gradient in the pixels."""
        with torch.no_grad():
            cotangents = [by_layer[layer].at(values) for layer, values in self._features.items()]
        scalar = _InjectCotangents.apply(cotangents, *self._features.values())
        (gradient,) = torch.autograd.grad(scalar, self._pixels)
        return gradient


class _InjectCotangents(torch.autograd.Function):
    """A scalar whose gradient in the features is the given cotangents.

    `grad_outputs` of torch.autograd.grad does the same, but torch checks it by means of sympy, whose import
    takes a second.
    """

    @staticmethod
    def forward(ctx: Any, cotangents: list[Tensor], *features: Tensor) -> Tensor:
        ctx.cotangents = cotangents
        return features[0].new_zeros(())

    @staticmethod
    def backward(ctx: Any, *ones: Tensor) -> Any:
        return None, *ctx.cotangents
