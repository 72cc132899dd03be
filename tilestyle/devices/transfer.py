"""Tensors on a device: asynchronous copies, and where sums and float64 matrices are computed."""

from __future__ import annotations

import torch
from torch import Tensor

from tilestyle.devices.staging import is_staged, staging_buffers

# Compute capabilities of GPUs with float64 at half the rate of float32 (CUDA C++ Programming Guide, throughput
# of arithmetic instructions). On all others, at a 32nd or a 64th, float64 is not faster than on a host.
FAST_FLOAT64_CAPABILITIES = {(6, 0), (7, 0), (8, 0), (9, 0), (10, 0)}


def to_device(tensor: Tensor, device: torch.device, dtype: torch.dtype) -> Tensor:
    """Return the tensor on the device in `dtype`; copies to CUDA are asynchronous (staging.py)."""
    if tensor.device.type == "cpu" and is_staged(device):
        return staging_buffers(device).upload(tensor, dtype)
    return tensor.to(device, dtype)


def accumulator_dtype(device: torch.device) -> torch.dtype:
    """Return the dtype for sums of many numbers on a device: float64, or float32 on Apple's GPUs."""
    return torch.float64 if device.type in ("cpu", "cuda") else torch.float32


def float64_device(device: torch.device) -> torch.device:
    """Return where float64 matrices of features on a device are computed: on it, or on the host."""
    if device.type == "cuda" and torch.cuda.get_device_capability(device) in FAST_FLOAT64_CAPABILITIES:
        return device
    return torch.device("cpu")
