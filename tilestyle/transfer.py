"""Tensors between the host and a device, without either waiting for the other."""

from __future__ import annotations

import torch
from torch import Tensor

# Compute capabilities of cards with float64 at half the rate of float32 (CUDA C++ Programming Guide, throughput
# of arithmetic instructions). That of all others, a 32nd or a 64th, is, by arithmetic, no faster than a host's.
FULL_RATE = {(6, 0), (7, 0), (8, 0), (9, 0), (10, 0)}


def sent(tensor: Tensor, device: torch.device, dtype: torch.dtype) -> Tensor:
    """The tensor on the device in `dtype`; from the host to CUDA through pinned memory, without waiting."""
    if device.type == "cuda" and tensor.device.type == "cpu":
        tensor = tensor.pin_memory().to(device, non_blocking=True)
    return tensor.to(device, dtype)


def widest(device: torch.device) -> torch.dtype:
    """What sums of many numbers are taken in on a device: float64, which Apple's do not have."""
    return torch.float64 if device.type in ("cpu", "cuda") else torch.float32


def matrix_device(device: torch.device) -> torch.device:
    """Where float64 matrices of features on a device are computed with: there, or on the host."""
    if device.type == "cuda" and torch.cuda.get_device_capability(device) in FULL_RATE:
        return device
    return torch.device("cpu")


class Landing:
    """A tensor on its way to a device: asked for later, it costs no waiting."""

    def __init__(self, tensor: Tensor, device: torch.device) -> None:
        self._event: torch.cuda.Event | None = None
        if tensor.is_cuda and device.type == "cpu":
            self._tensor = torch.empty(tensor.shape, dtype=tensor.dtype, pin_memory=True)
            self._tensor.copy_(tensor, non_blocking=True)
            self._event = torch.cuda.Event()  # type: ignore[no-untyped-call]
            self._event.record(torch.cuda.current_stream(tensor.device))
        else:
            self._tensor = tensor.to(device)

    def get(self) -> Tensor:
        """The tensor, arrived."""
        if self._event:
            self._event.synchronize()
        return self._tensor
