"""What is worth keeping between patches, if memory has room: content features, and passes as CUDA graphs."""

from __future__ import annotations

from collections.abc import Collection

from tilestyle.kernels.support import has_kernels
from tilestyle.networks.base import FeatureNetwork
from tilestyle.networks.vgg import Vgg
from tilestyle.planning.memory_budget import MemoryBudget

# Content features are cached if they cost at least this fraction of a sweep's multiply-adds.
MIN_CONTENT_SHARE = 0.1
MIN_RECEPTIVE_FIELDS = 4  # smallest patch side for cached content features, in receptive fields
# Share of a device's free memory that a render may take with passes that are kept as CUDA graphs.
CAPTURE_SHARE = 0.8


def should_cache_content(
    network: FeatureNetwork, layers: Collection[str], content: Collection[str], side: int
) -> bool:
    """Return whether content features should be cached, if there is room.

    They should if computing them for every patch is a tenth of the cost of a sweep or more, and patches are
    large enough that most cells are not affected by their padding.

    Args:
        network: The network.
        layers: All layers in use.
        content: The content layers.
        side: Patch side, pixels.
    """
    names = network.scale_groups(layers).get(1, {})
    full_scale = [name for layer, name in names.items() if layer in content]
    if not full_scale or side < MIN_RECEPTIVE_FIELDS * max(
        network.layers[layer].receptive_field for layer in full_scale
    ):
        return False
    share = network.multiply_adds_per_pixel(full_scale) / (2 * network.multiply_adds_per_pixel(names.values()))
    return share >= MIN_CONTENT_SHARE


def should_capture(network: FeatureNetwork, budget: MemoryBudget, total: int) -> bool:
    """Return whether passes of the network are kept as CUDA graphs: where kernels work and memory is plentiful.

    Within a limit that somebody set, memory is better spent on larger patches.

    Args:
        network: The network, on its device.
        budget: The memory of that device.
        total: Bytes on the device with the graphs.
    """
    if not isinstance(network, Vgg) or network.device.type != "cuda" or budget.limits.memory is not None:
        return False
    return has_kernels(network.device) and total <= CAPTURE_SHARE * budget.free
