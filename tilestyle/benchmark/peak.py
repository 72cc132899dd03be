"""The most memory in use since a moment, by the device's or the operating system's account."""

from __future__ import annotations

from pathlib import Path

import psutil
import torch

from tilestyle.allocator import release
from tilestyle.budget import peak_bytes


class Peak:
    """Counts from where it is made: with the libraries loaded, before any picture is."""

    def __init__(self, device: str) -> None:
        self._device = torch.device(device)
        release()
        if self._device.type == "cuda":
            torch.cuda.reset_peak_memory_stats(self._device)
            self._before = 0
            return
        self._before = psutil.Process().memory_info().rss
        # Linux forgets its high-water mark when asked; elsewhere loading the libraries may have set it.
        mark = Path("/proc/self/clear_refs")
        if mark.exists():
            mark.write_text("5")

    def bytes(self) -> int:
        """The peak since."""
        return max(_peak(self._device) - self._before, 0)


def _peak(device: torch.device) -> int:
    """Most memory in use; on Linux since its mark was cleared, which getrusage does not know of."""
    status = Path("/proc/self/status")
    if device.type == "cpu" and status.exists():
        lines = dict(line.split(":", 1) for line in status.read_text().splitlines() if ":" in line)
        return int(lines["VmHWM"].split()[0]) * 1024
    return peak_bytes(device)
