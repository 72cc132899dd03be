"""Time, measured after a device has finished its work."""

from __future__ import annotations

import time

import torch


def synchronized_time(device: torch.device) -> float:
    """Synchronise with the device and return the time in seconds since an arbitrary moment."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)
    elif device.type == "mps":
        torch.mps.synchronize()
    return time.perf_counter()
