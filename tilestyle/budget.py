"""Devices, their memory, and the patch that fits it: arithmetic on shapes."""

from __future__ import annotations

import sys
from collections.abc import Collection

import psutil
import torch

from tilestyle.config import Precision
from tilestyle.errors import MemoryLimit, SettingError
from tilestyle.geometry import Extent
from tilestyle.networks.network import FeatureNetwork

# Patch sides to choose from. The largest on a CPU is modest, so that nearly every machine chooses the same
# and the same command makes the same picture; cost a pixel and quality hardly depend on it.
SIDES = {"cpu": (512, 384, 256, 192, 128), "cuda": (1024, 768, 512, 384, 256, 128), "mps": (512, 384, 256, 128)}
# Share of the free memory that patches may take: the rest is the canvas's, and other programs'.
SHARE = 0.5
# Share of a sweep's multiply-adds that content must cost for its features to be kept.
WORTH_KEEPING = 0.1
FIELDS = 4  # and receptive fields of it that a patch must be long


def find_device(name: str) -> torch.device:
    """The device of this name; `auto` is the first of CUDA, Apple's MPS and the CPU that is there."""
    if name == "auto":
        if torch.cuda.is_available():
            return torch.device("cuda")
        return torch.device("mps" if torch.backends.mps.is_available() else "cpu")
    try:
        device = torch.device(name)
    except RuntimeError:
        device = torch.device("meta")
    if device.type not in SIDES:
        raise SettingError(f"device {name!r} is not known", hint="give auto, cpu, cuda, cuda:1 or mps")
    count = torch.cuda.device_count() if device.type == "cuda" else int(torch.backends.mps.is_available())
    if device.type != "cpu" and (device.index or 0) >= count:
        raise SettingError(f"device {name!r} is not in this machine", hint="give --device auto or cpu")
    return device


def find_dtype(precision: Precision, device: torch.device) -> torch.dtype:
    """Arithmetic of the network: bfloat16 where the device multiplies matrices in it, unless told otherwise."""
    if precision is Precision.AUTO:
        return torch.bfloat16 if _multiplies_bfloat16(device) else torch.float32
    return torch.bfloat16 if precision is Precision.BF16 else torch.float32


def _multiplies_bfloat16(device: torch.device) -> bool:
    """Whether the device has instructions for products of bfloat16 matrices: else it is slower than float32."""
    if device.type == "cuda":
        return bool(torch.cuda.is_bf16_supported(including_emulation=False))
    # Private in older versions of torch, public in no common way.
    tests = (getattr(torch.cpu, name, None) for name in ("_is_avx512_bf16_supported", "_is_amx_tile_supported"))
    return device.type == "cpu" and any(bool(test()) for test in tests if test)


def free_bytes(device: torch.device) -> int:
    """Memory of the device that nobody uses now."""
    if device.type == "cuda":
        return torch.cuda.mem_get_info(device)[0]
    return psutil.virtual_memory().available


def peak_bytes(device: torch.device) -> int:
    """Most memory in use so far, by CUDA's or the operating system's account."""
    if device.type == "cuda":
        return torch.cuda.max_memory_reserved(device)
    if sys.platform == "win32":
        return int(psutil.Process().memory_info().peak_wset)
    import resource  # not on Windows

    usage = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return usage if sys.platform == "darwin" else usage * 1024


def canvas_bytes(extent: Extent) -> int:
    """Memory of a canvas and its content on the host: four planes of three floats, and the step counts."""
    return extent.area * 4 * (3 * 4 + 1)


def canvas_fits(device: torch.device, extent: Extent) -> bool:
    """Whether the largest canvas, and what its enlargement needs, fits the device beside patches."""
    return device.type != "cuda" or 2 * canvas_bytes(extent) <= (1 - SHARE) * free_bytes(device)


def keeps_content(
    network: FeatureNetwork, style: Collection[str], content: Collection[str], side: int, area: int
) -> bool:
    """Whether content features of a canvas of `area` pixels should be kept on the host, and can be.

    They should where computing them with every patch is a tenth of the cost of a sweep or more, and patches
    are large enough for most cells not to feel their padding.
    """
    layers = network.octaves({*style, *content}).get(1, {})
    near = [name for layer, name in layers.items() if layer in content]
    if not near or side < FIELDS * max(network.layers[layer].receptive_field for layer in near):
        return False
    share = network.multiply_adds_per_pixel(near) / (2 * network.multiply_adds_per_pixel(layers.values()))
    values = sum(network.layers[layer].channels / network.layers[layer].stride ** 2 for layer in near)
    return share >= WORTH_KEEPING and 2 * values * area <= SHARE * psutil.virtual_memory().available


def patch_side(
    network: FeatureNetwork, layers: Collection[str], device: torch.device, dtype: torch.dtype
) -> int:
    """The largest patch side whose forward and backward pass fits, pixels."""
    free = free_bytes(device) * SHARE
    need = network.bytes_per_pixel(layers, dtype)
    for side in SIDES[device.type]:
        if side * side * need <= free:
            return side
    least = SIDES[device.type][-1]
    raise MemoryLimit(
        f"a patch of {least} pixels needs {least * least * need / 2**20:.0f} MiB, {free / 2**20:.0f} MiB of "
        f"{device.type} memory is to be had",
        hint="close other programs, choose fewer or shallower layers, or give a smaller --patch",
    )
