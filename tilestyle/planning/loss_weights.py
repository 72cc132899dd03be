"""Weights of the terms of the loss, and of the layers within them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from tilestyle.config.enums import ContentLoss, TvForm


@dataclass(frozen=True)
class Weights:
    """Weights of the terms, and of the layers within style and content; layers' sum to one."""

    style: float
    content: float
    tv: float
    style_layers: Mapping[str, float]
    content_layers: Mapping[str, float]
    tv_form: TvForm = TvForm.NEIGHBOURS
    tv_exponent: float = 2.0
    palette: float = 0.0
    aim: float | None = None  # distance from the content that its weight is adjusted to; None: it stays
    arrangement: float = 0.0  # of autocorrelations, against the style's moments
    arrangement_layers: Mapping[str, float] = field(default_factory=dict)  # some of the style's
    content_loss: ContentLoss = ContentLoss.FEATURES

    @property
    def names(self) -> dict[str, str]:
        """Every layer in use, under its own name."""
        return {layer: layer for layer in (*self.style_layers, *self.content_layers)}

    def of(self, names: Mapping[str, str]) -> Weights:
        """The share of these layers, under these names."""
        style, content, arrangement = (
            {names[layer]: weight for layer, weight in layers.items() if layer in names}
            for layers in (self.style_layers, self.content_layers, self.arrangement_layers)
        )
        return replace(self, style_layers=style, content_layers=content, arrangement_layers=arrangement)
