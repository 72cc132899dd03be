"""Weights of the loss terms, and of the layers within them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from tilestyle.config.enums import ContentLoss, Normalize, Optimizer, StyleLoss, TvForm
from tilestyle.config.render import ARRANGEMENT_WEIGHT, PALETTE_WEIGHT, RenderConfig
from tilestyle.errors import SettingError
from tilestyle.networks.base import FeatureNetwork
from tilestyle.planning.strength import initial_weight, target_distance

# Strides of the layers that get autocorrelations if the network's own are not in use, pixels.
AUTOCORRELATION_STRIDES = (4, 8)
# Default content weight of self-similarity, relative to that of features, which preserves as much of the
# content.
SIMILARITY_WEIGHT = 8.0
# Strength at which faces that are kept are rendered, if that of the picture is higher.
FACE_STRENGTH = 0.35


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
        face_factor: Factor of the content weight in faces that are kept.
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
    face_factor: float = 1.0

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


def loss_weights(
    network: FeatureNetwork, config: RenderConfig, *, with_content: bool, with_style: bool = True
) -> LossWeights:
    """Return the weights of the loss terms and of the layers in use.

    Args:
        network: The network, with its default layers and weights.
        config: The settings.
        with_content: Whether there is a content.
        with_style: Whether there is a style.

    Raises:
        SettingError: A weight is negative, or all weights of a term are 0.
    """
    style: dict[str, float] = {}
    if with_style:
        style = _normalized_layer_weights(network, config.style_layers or network.style_layers, "style")
    content: dict[str, float] = {}
    weight, target = config.content_weight, None
    default_weight = network.content_weight
    if config.content_loss is ContentLoss.SELF_SIMILARITY:
        default_weight *= SIMILARITY_WEIGHT
    if weight is None:
        weight = default_weight
        if with_content and with_style and config.style_weight:
            weight, target = (
                initial_weight(weight * config.style_weight, config.strength),
                target_distance(config.strength),
            )
    if with_content and weight:
        content = _normalized_layer_weights(network, config.content_layers or network.content_layers, "content")
    arrangement, layers = _autocorrelation_weights(network, config, style, with_content=with_content)
    return LossWeights(
        config.style_weight,
        weight,
        config.tv_weight,
        style,
        content,
        config.tv_form,
        config.tv_exponent,
        palette=_palette_weight(config) if with_style else 0.0,
        target_distance=target,
        arrangement=arrangement,
        arrangement_layers=layers,
        content_loss=config.content_loss,
        face_factor=_face_factor(config, default_weight * config.style_weight, weight),
    )


def _face_factor(config: RenderConfig, default_weight: float, weight: float) -> float:
    """Return the factor of the content weight in faces: it holds them to the content as FACE_STRENGTH would.

    In absolute units weights cannot be compared; there the weight counts as that of strength 0.5.

    Args:
        config: The settings.
        default_weight: The content weight of strength 0.5.
        weight: The content weight.
    """
    if config.normalize is Normalize.ABSOLUTE:
        default_weight = weight
    return max(1.0, initial_weight(default_weight, FACE_STRENGTH) / weight) if weight else 1.0


def _palette_weight(config: RenderConfig) -> float:
    """Return the weight of the palette term, which compares the whole canvas; it falls as locality rises."""
    weight = config.palette_weight
    if weight is None:
        absolute = config.normalize is Normalize.ABSOLUTE
        is_unused = absolute or config.optimizer is Optimizer.LBFGS
        weight = 0.0 if is_unused else PALETTE_WEIGHT * config.style_weight
    return weight * (1 - config.locality)


def _autocorrelation_weights(
    network: FeatureNetwork, config: RenderConfig, style: Mapping[str, float], *, with_content: bool
) -> tuple[float, dict[str, float]]:
    """Return the weight of the autocorrelations, and those of their layers, which are equal and sum to one.

    By default only textures have them: with a content, the arrangement follows the content.

    Args:
        network: The network.
        config: The settings.
        style: Weights of the style layers.
        with_content: Whether there is a content.

    Raises:
        SettingError: A weight is set, but none of the style layers can have autocorrelations.
    """
    weight = config.arrangement_weight
    if weight is None:
        is_default_loss = config.style_loss is StyleLoss.W2 and config.normalize is Normalize.RELATIVE
        weight = 0.0 if with_content or config.locality or not is_default_loss else ARRANGEMENT_WEIGHT
    if not weight or not style:
        return 0.0, {}
    arrangement_layers = [layer for layer in network.arrangement_layers if layer in style]
    arrangement_layers = arrangement_layers or [
        layer for layer in style if network.layers[layer].stride in AUTOCORRELATION_STRIDES
    ]
    if not arrangement_layers and config.arrangement_weight is not None:
        strides = " or ".join(map(str, AUTOCORRELATION_STRIDES))
        raise SettingError(
            f"arrangement-weight needs a style layer of stride {strides}",
            hint=f"add one, such as {next(iter(network.arrangement_layers))}, or leave the weight out",
        )
    return weight if arrangement_layers else 0.0, {
        layer: 1 / len(arrangement_layers) for layer in arrangement_layers
    }


def _normalized_layer_weights(
    network: FeatureNetwork, layers: Mapping[str, float], term: str
) -> dict[str, float]:
    """Check the weights of layers, and scale them to sum to one.

    Args:
        network: Resolves the names of layers.
        layers: Weight of each layer, by any of its names.
        term: Name of the loss term, for messages.

    Raises:
        SettingError: A weight is negative or infinite, or all are 0.
    """
    weights_by_name: dict[str, float] = {}
    for name, weight in layers.items():
        if not 0 <= weight < float("inf"):
            raise SettingError(
                f"the weight of {term} layer {name} cannot be {weight}", hint="give a number of 0 or more"
            )
        weights_by_name[network.resolve_layer_name(name)] = weight
    total = sum(weights_by_name.values())
    if not total:
        raise SettingError(f"no {term} layer has any weight", hint="give one layer a weight above 0")
    return {name: weight / total for name, weight in weights_by_name.items() if weight}
