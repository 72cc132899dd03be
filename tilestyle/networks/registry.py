"""Networks by name."""

from __future__ import annotations

import os

from tilestyle.config import NetworkName, Pooling
from tilestyle.networks.network import FeatureNetwork

# In place of a weights file: random ones, which cost what trained ones do and paint mottled noise.
RANDOM = "random"


def load_network(
    name: NetworkName, weights: str | os.PathLike[str] | None = None, pooling: Pooling = Pooling.MAX
) -> FeatureNetwork:
    """The network of this name, on the CPU in float32; raises NetworkError when its weights cannot be had."""
    if name is NetworkName.WAVELET:
        from tilestyle.networks.wavelet import WaveletNetwork

        return WaveletNetwork()
    from tilestyle.networks.weights import load_vgg, random_vgg

    if weights == RANDOM:
        return random_vgg(name)
    return load_vgg(name, weights, pooling)
