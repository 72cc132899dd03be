"""Scale of a network's features: what "close to zero" means for each of its layers."""

from __future__ import annotations

from collections.abc import Collection

import torch
from torch import Tensor

from tilestyle.errors import NetworkError
from tilestyle.networks.base import FeatureNetwork

# Share of a layer's energy at full scale below which features are close to zero: the energy of a uniform
# picture a quarter of an 8-bit step away from black.
FLOOR_SHARE = (1 / (4 * 255)) ** 2
# For layers without a response to any picture: small, but its square is still far from underflow.
MIN_ENERGY = 1e-24
# Largest feature that is accepted: sums of squares over a canvas have to stay within float32.
MAX_FEATURE = 1e12
SIDE = 64  # least side of the pictures that probe the network, pixels


def energy_floors(network: FeatureNetwork, layers: Collection[str]) -> dict[str, float]:
    """Return the smallest energy that each layer's features are measured against.

    The energy of a layer is the mean of |F|^2 over its cells. Black, white and noise at full contrast show how
    large it gets; a fixed share of that is the least that a distance is divided by.

    Args:
        network: The network, on the device and in the dtype that it will be used in.
        layers: The layers in use.

    Returns:
        An energy above zero for every layer.

    Raises:
        NetworkError: Features overflow, or are too large to compute moments of.
    """
    if not layers:
        return {}
    side = max(SIDE, 2 * max(network.layers[layer].stride for layer in layers))
    with torch.no_grad():
        features = network.features(_probe_pictures(side).to(network.device, network.dtype), layers)
    floors = {}
    for layer, response in features.items():
        values = response.float()
        largest = float(values.abs().amax())
        if not largest <= MAX_FEATURE:  # also where it is NaN
            raise NetworkError(
                f"the features of layer {layer} are not finite or too large ({largest:.3g})",
                hint="use other weights or a smaller feature scale",
            )
        energy = float(values.square().sum(1).mean((1, 2)).amax())
        floors[layer] = max(FLOOR_SHARE * energy, MIN_ENERGY)
    return floors


def _probe_pictures(side: int) -> Tensor:
    """Return black, white and colored noise, [3, 3, side, side]."""
    noise = torch.rand(3, side, side, generator=torch.Generator().manual_seed(0)).round()
    return torch.stack([torch.zeros_like(noise), torch.ones_like(noise), noise])
