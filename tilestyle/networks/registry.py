"""Networks by name."""

from __future__ import annotations

from tilestyle.config.enums import NetworkName
from tilestyle.config.render import RenderConfig
from tilestyle.networks.base import FeatureNetwork

# Instead of a weights file: random weights, which cost as much as trained ones and paint mottled noise.
RANDOM = "random"


def load_network(config: RenderConfig) -> FeatureNetwork:
    """Return the network of a configuration, on the CPU in float32.

    Raises:
        NetworkError: Its weights are missing or do not fit.
    """
    if config.network is NetworkName.WAVELET:
        from tilestyle.networks.wavelet import WaveletNetwork

        return WaveletNetwork()
    from tilestyle.networks.random_vgg import random_vgg
    from tilestyle.networks.vgg_weights import VggOptions, load_vgg

    options = VggOptions(config.pooling, config.pooling_scale, config.input_scaling, config.feature_scale)
    if config.weights == RANDOM:
        return random_vgg(config.network, options=options)
    return load_vgg(config.network, config.weights, options)
