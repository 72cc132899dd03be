"""Measure the time of work on a device."""

from __future__ import annotations

import time
from collections.abc import Callable
from itertools import pairwise
from typing import Any

import torch

from tilestyle.devices.timer import synchronized_time


def time_call(run: Callable[[], Any], device: torch.device) -> float:
    """Time a function in seconds, including the work that it starts on the device."""
    start = synchronized_time(device)
    run()
    return synchronized_time(device) - start


class LapTimer:
    """Records marks in a device's work without waiting for the device."""

    def __init__(self, device: torch.device) -> None:
        self._device = device
        self._marks: list[Any] = []

    def mark(self) -> None:
        """Add a mark after the work that has been submitted so far."""
        point: Any = time.perf_counter()
        if self._device.type == "cuda":
            point = torch.cuda.Event(enable_timing=True)  # type: ignore[no-untyped-call]
            point.record(torch.cuda.current_stream(self._device))
        elif self._device.type == "mps":
            point = torch.mps.event.Event(enable_timing=True)
            point.record()
        self._marks.append(point)

    def seconds(self) -> list[float]:
        """Wait for the device, and return the seconds from each mark to the next."""
        synchronized_time(self._device)
        return [_between(start, end) for start, end in pairwise(self._marks)]


def _between(start: Any, end: Any) -> float:
    """Seconds from one mark to another."""
    return float(end - start if isinstance(end, float) else start.elapsed_time(end) / 1000)
