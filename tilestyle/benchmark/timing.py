"""Seconds, with the device waited for."""

from __future__ import annotations

import time
from collections.abc import Callable
from itertools import pairwise
from typing import Any

import torch

from tilestyle.devices.timer import now


def seconds_of(run: Callable[[], Any], device: torch.device) -> float:
    """How long it takes, and what it has set going on the device with it."""
    before = now(device)
    run()
    return now(device) - before


class Laps:
    """Moments of a device's work, told apart without waiting for any of them."""

    def __init__(self, device: torch.device) -> None:
        self._device = device
        self._moments: list[Any] = []

    def mark(self) -> None:
        """Note when the device has done what it has been asked to so far."""
        moment: Any = time.perf_counter()
        if self._device.type == "cuda":
            moment = torch.cuda.Event(enable_timing=True)  # type: ignore[no-untyped-call]
            moment.record(torch.cuda.current_stream(self._device))
        elif self._device.type == "mps":
            moment = torch.mps.event.Event(enable_timing=True)
            moment.record()
        self._moments.append(moment)

    def seconds(self) -> list[float]:
        """Wait for the device; answers how long it took from each mark to the next."""
        now(self._device)
        return [_between(start, end) for start, end in pairwise(self._moments)]


def _between(start: Any, end: Any) -> float:
    """Seconds from one moment to another."""
    return float(end - start if isinstance(end, float) else start.elapsed_time(end) / 1000)
