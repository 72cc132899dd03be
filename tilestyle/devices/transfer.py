"""Tensors on a device: how they get there without either waiting for the other, and what is computed where."""

from __future__ import annotations

import torch
from torch import Tensor

from tilestyle.devices.staging import is_staged, stage

# Compute capabilities of cards with float64 at half the rate of float32 (CUDA C++ Programming Guide, throughput
# of arithmetic instructions). That of all others, a 32nd or a 64th, is, by arithmetic, no faster than a host's.
FULL_RATE = {(6, 0), (7, 0), (8, 0), (9, 0), (10, 0)}


def sent(tensor: Tensor, device: torch.device, dtype: torch.dtype) -> Tensor:
    """The tensor on the device in `dtype`; to CUDA it goes through buffers, without waiting (staging.py)."""
    if tensor.device.type == "cpu" and is_staged(device):
        return stage(device).send(tensor, dtype)
    return tensor.to(device, dtype)


def widest(device: torch.device) -> torch.dtype:
    """What sums of many numbers are taken in on a device: float64, which Apple's do not have."""
    return torch.float64 if device.type in ("cpu", "cuda") else torch.float32


def matrix_device(device: torch.device) -> torch.device:
    """Where float64 matrices of features on a device are computed with: there, or on the host."""
    if device.type == "cuda" and torch.cuda.get_device_capability(device) in FULL_RATE:
        return device
    return torch.device("cpu")
