"""Whether this build of torch has kernels for a GPU: for its architecture, or for an older one to translate."""

from __future__ import annotations

import re
from collections.abc import Collection

import torch


def unusable_reason(device: torch.device) -> str:
    """Return why this build of torch cannot compute on an existing CUDA device, in a few words; "" if it can.

    This initializes CUDA.
    """
    if device.type != "cuda":
        return ""
    architectures = torch.cuda.get_arch_list()
    name = torch.cuda.get_device_name(device)
    if any(architecture.startswith("gfx") for architecture in architectures):
        gcn_name = getattr(torch.cuda.get_device_properties(device), "gcnArchName", "").partition(":")[0]
        return (
            ""
            if has_kernels_for_amd(gcn_name, architectures)
            else f"torch has no kernels for {name} ({gcn_name})"
        )
    major, minor = torch.cuda.get_device_capability(device)
    if has_kernels((major, minor), architectures):
        return ""
    return f"torch has no kernels for {name} (compute capability {major}.{minor})"


def has_kernels(capability: tuple[int, int], architectures: Collection[str]) -> bool:
    """Return whether a GPU runs what torch was built for.

    Machine code (sm_86) runs on GPUs of the same major version with at least its capability; with the suffix a
    only on exactly that capability. PTX (compute_86) runs on all GPUs with at least its capability. An empty
    list contains no information, so it forbids nothing.

    Args:
        capability: Compute capability of the GPU (major, minor).
        architectures: What torch.cuda.get_arch_list returns.
    """
    known = False
    for architecture in architectures:
        match = re.fullmatch(r"(sm|compute)_(\d+)(\d)([af]?)", architecture)
        if match is None:
            continue
        known = True
        built = int(match[2]), int(match[3])
        if match[4] == "a":
            is_runnable = capability == built
        elif match[1] == "compute" and not match[4]:
            is_runnable = capability >= built
        else:
            is_runnable = capability[0] == built[0] and capability >= built
        if is_runnable:
            return True
    return not known


def has_kernels_for_amd(architecture: str, architectures: Collection[str]) -> bool:
    """Return whether an AMD GPU runs what torch was built for.

    Args:
        architecture: Name of the GPU's architecture, such as gfx942.
        architectures: What torch.cuda.get_arch_list returns; gfx11-generic is for a whole family.
    """
    built = {name.partition(":")[0] for name in architectures}
    families = [name.removesuffix("-generic").replace("-", "") for name in built if name.endswith("-generic")]
    return (
        not architecture or architecture in built or any(architecture.startswith(family) for family in families)
    )
