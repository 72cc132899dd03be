"""Whether kernels in Triton can be used on a device."""

from __future__ import annotations

import importlib.util
import os
from functools import cache

import torch

from tilestyle.devices.failures import is_out_of_memory
from tilestyle.notices import notice

# Set to anything, this variable turns the kernels off, for comparisons and in case of trouble.
OFF_VARIABLE = "TILESTYLE_NO_KERNELS"
# Options of every launch. Products are added without being rounded before, as all numbers were measured: Triton
# 3.9 warns where nobody says so, and from 3.10 on it is no longer the default.
LAUNCH_OPTIONS = {"enable_fp_fusion": True}
# bfloat16 products need at least this compute capability.
MIN_CAPABILITY = (8, 0)


@cache
def has_kernels(device: torch.device) -> bool:
    """Return whether kernels in Triton work on a device: NVIDIA GPUs of compute capability 8.0 and above.

    The first call builds a small kernel to find out, because Triton needs a C compiler on the system, and the
    kernel that takes most of a multiprocessor.
    """
    if os.environ.get(OFF_VARIABLE) or importlib.util.find_spec("triton") is None:
        return False
    if device.type != "cuda" or torch.version.hip or torch.cuda.get_device_capability(device) < MIN_CAPABILITY:
        return False
    try:
        return _folds(device) and _sums(device)
    except Exception as error:
        if is_out_of_memory(error):
            raise
        reason = (str(error).strip() or type(error).__name__).splitlines()[0]
        notice(f"Triton cannot build kernels here, so the GPU works more slowly ({reason[:100]})")
        return False


def _folds(device: torch.device) -> bool:
    """Return whether a small kernel computes what torch does."""
    from tilestyle.kernels.cells import fold_gradient, fold_gradient_by_torch

    gradient = torch.arange(64, dtype=torch.float32, device=device).view(1, 4, 4, 4)
    gradient = gradient.contiguous(memory_format=torch.channels_last)
    return torch.equal(fold_gradient(gradient, padding=1), fold_gradient_by_torch(gradient, padding=1))


def _sums(device: torch.device, dtype: torch.dtype = torch.bfloat16) -> bool:
    """Return whether the kernel of moments computes the sums of a block of channels."""
    from tilestyle.kernels.moments import MAX_CHANNEL_BLOCK, add_moments

    ones = torch.ones(1, MAX_CHANNEL_BLOCK, 16, 16, dtype=dtype, device=device)
    total = torch.zeros(MAX_CHANNEL_BLOCK, device=device)
    products = torch.zeros(MAX_CHANNEL_BLOCK, MAX_CHANNEL_BLOCK, device=device)
    add_moments(ones.contiguous(memory_format=torch.channels_last), total, products)
    return bool((total == 256).all() & (products == 256).all())
