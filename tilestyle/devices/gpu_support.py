"""Whether this torch has kernels for a GPU: for its architecture, or for an older one to translate."""

from __future__ import annotations

import re
from collections.abc import Collection

import torch


def obstacle(device: torch.device) -> str:
    """Return why this torch cannot compute on a CUDA device that is there, in a few words; "" where it can.

    CUDA is initialised.
    """
    if device.type != "cuda":
        return ""
    architectures = torch.cuda.get_arch_list()
    name = torch.cuda.get_device_name(device)
    if any(each.startswith("gfx") for each in architectures):
        own = getattr(torch.cuda.get_device_properties(device), "gcnArchName", "").partition(":")[0]
        return "" if has_kernels_for_amd(own, architectures) else f"torch has no kernels for {name} ({own})"
    major, minor = torch.cuda.get_device_capability(device)
    if has_kernels((major, minor), architectures):
        return ""
    return f"torch has no kernels for {name} (compute capability {major}.{minor})"


def has_kernels(capability: tuple[int, int], architectures: Collection[str]) -> bool:
    """Return whether a card of a compute capability runs what torch was built for.

    Machine code (sm_86) runs on cards of its generation from its own capability on, with the suffix a on none
    but its own; PTX (compute_86) on all from there on. An empty list says nothing, and forbids nothing.

    Args:
        capability: Of the card, (major, minor).
        architectures: What torch.cuda.get_arch_list answers.
    """
    known = False
    for architecture in architectures:
        found = re.fullmatch(r"(sm|compute)_(\d+)(\d)([af]?)", architecture)
        if found is None:
            continue
        known = True
        built = int(found[2]), int(found[3])
        if found[4] == "a":
            runs = capability == built
        elif found[1] == "compute" and not found[4]:
            runs = capability >= built
        else:
            runs = capability[0] == built[0] and capability >= built
        if runs:
            return True
    return not known


def has_kernels_for_amd(own: str, architectures: Collection[str]) -> bool:
    """Return whether an AMD card runs what torch was built for.

    Args:
        own: What the card is called, such as gfx942.
        architectures: What torch.cuda.get_arch_list answers; gfx11-generic is for a whole family.
    """
    built = {each.partition(":")[0] for each in architectures}
    families = [each.removesuffix("-generic").replace("-", "") for each in built if each.endswith("-generic")]
    return not own or own in built or any(own.startswith(family) for family in families)
