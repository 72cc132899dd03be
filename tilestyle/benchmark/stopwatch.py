"""Seconds, with the device waited for."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import torch


def now(device: torch.device) -> float:
    """The time when the device has done all it was asked to."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)
    return time.perf_counter()


def seconds_of(run: Callable[[], Any], device: torch.device) -> float:
    """How long it takes, and what it has set going on the device with it."""
    before = now(device)
    run()
    return now(device) - before
