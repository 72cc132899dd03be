"""The time, once a device has done what it was asked to."""

from __future__ import annotations

import time

import torch


def now(device: torch.device) -> float:
    """Wait for the device; answers seconds since some moment."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)
    elif device.type == "mps":
        torch.mps.synchronize()
    return time.perf_counter()
