"""How large the features of a network are: what "close to nothing" means for each of its layers."""

from __future__ import annotations

from collections.abc import Collection

import torch
from torch import Tensor

from tilestyle.errors import NetworkError
from tilestyle.networks.base import FeatureNetwork

# Share of a layer's energy at full scale below which a picture has none to speak of: that of a uniform picture
# a quarter of an 8-bit step away from black.
FAINT = (1 / (4 * 255)) ** 2
# For layers that answer nothing to any picture: small, but its square is still far from underflow.
TINY = 1e-24
# Largest feature that is computed with. Sums of squares over a canvas have to stay within float32.
LARGEST = 1e12
SIDE = 64  # of the pictures that the network is tried on, pixels, at the least


def faint_energies(network: FeatureNetwork, layers: Collection[str]) -> dict[str, float]:
    """The smallest energy that each layer's features are measured against.

    The energy of a layer is the mean of |F|^2 over its cells. Black, white and noise at full contrast show how
    large it gets; a fixed share of that is the least that a distance is divided by.

    Args:
        network: The network, on the device and in the precision that it will be used in.
        layers: The layers in use.

    Returns:
        An energy above zero for every layer.

    Raises:
        NetworkError: If features overflow, or are too large to compute moments of.
    """
    if not layers:
        return {}
    side = max(SIDE, 2 * max(network.layers[layer].stride for layer in layers))
    with torch.no_grad():
        features = network.features(_pictures(side).to(network.device, network.dtype), layers)
    found = {}
    for layer, response in features.items():
        values = response.float()
        largest = float(values.abs().amax())
        if not largest <= LARGEST:  # nor where it is not a number
            raise NetworkError(
                f"the features of {layer} are not finite, or too large to compute with ({largest:.3g})",
                hint="give other weights, or a smaller feature scale",
            )
        energy = float(values.square().sum(1).mean((1, 2)).amax())
        found[layer] = max(FAINT * energy, TINY)
    return found


def _pictures(side: int) -> Tensor:
    """Black, white and coloured noise, [3, 3, side, side]."""
    noise = torch.rand(3, side, side, generator=torch.Generator().manual_seed(0)).round()
    return torch.stack([torch.zeros_like(noise), torch.ones_like(noise), noise])
