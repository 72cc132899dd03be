"""Weights of the loss terms, and of the layers within them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from tilestyle.config.enums import ContentLoss, TvForm


@dataclass(frozen=True)
class LossWeights:
    """Weights of the loss terms, and of the layers within style and content, which sum to one.

    Attributes:
        style: Weight of the style term.
        content: Weight of the content term, at the start if it is adjusted.
        tv: Weight of the total variation.
        style_layers: Weight of each layer within the style term.
        content_layers: Weight of each layer within the content term.
        tv_form: How the total variation is computed.
        tv_exponent: Exponent of the total variation.
        palette: Weight of the palette term.
        target_distance: Distance from the content to which the content weight is adjusted; None: it is fixed.
        arrangement: Weight of the autocorrelations, relative to the style's moments.
        arrangement_layers: Weight of each layer within the autocorrelations; a subset of the style layers.
        content_loss: How content is compared.
    """

    style: float
    content: float
    tv: float
    style_layers: Mapping[str, float]
    content_layers: Mapping[str, float]
    tv_form: TvForm = TvForm.NEIGHBORS
    tv_exponent: float = 2.0
    palette: float = 0.0
    target_distance: float | None = None
    arrangement: float = 0.0
    arrangement_layers: Mapping[str, float] = field(default_factory=dict)
    content_loss: ContentLoss = ContentLoss.FEATURES

    @property
    def layer_names(self) -> dict[str, str]:
        """All layers in use, as a mapping from each name to itself."""
        return {layer: layer for layer in (*self.style_layers, *self.content_layers)}

    def for_layers(self, names: Mapping[str, str]) -> LossWeights:
        """Return the weights of some of the layers, under other names.

        Args:
            names: New name of each of these layers.
        """
        style, content, arrangement = (
            {names[layer]: weight for layer, weight in layers.items() if layer in names}
            for layers in (self.style_layers, self.content_layers, self.arrangement_layers)
        )
        return replace(self, style_layers=style, content_layers=content, arrangement_layers=arrangement)
