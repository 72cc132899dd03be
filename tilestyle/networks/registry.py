"""Networks by name."""

from __future__ import annotations

from tilestyle.config.enums import NetworkName
from tilestyle.config.render import RenderConfig
from tilestyle.networks.base import FeatureNetwork

# In place of a weights file: random ones, which cost what trained ones do and paint mottled noise.
RANDOM = "random"


def load_network(config: RenderConfig) -> FeatureNetwork:
    """The network that settings ask for, on the CPU in float32; raises NetworkError without its weights."""
    if config.network is NetworkName.WAVELET:
        from tilestyle.networks.wavelet import WaveletNetwork

        return WaveletNetwork()
    from tilestyle.networks.vgg_weights import Shape, load_vgg, random_vgg

    shape = Shape(config.pooling, config.pooling_scale, config.input_scaling, config.feature_scale)
    if config.weights == RANDOM:
        return random_vgg(config.network, shape=shape)
    return load_vgg(config.network, config.weights, shape)
