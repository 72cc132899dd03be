"""Peak memory since a moment, as reported by the device or the operating system."""

from __future__ import annotations

import sys
from contextlib import suppress
from pathlib import Path

import psutil
import torch

from tilestyle.devices.device_memory import peak_bytes, reset_peak_bytes
from tilestyle.devices.malloc import release_cached_memory

STATUS = Path("/proc/self/status")  # Linux alone has it
CLEAR = Path("/proc/self/clear_refs")


class PeakMemory:
    """Measures peak memory from its creation on: after the libraries are loaded, before any picture is.

    It measures what a memory limit applies to: on CUDA and Metal the device memory that torch has reserved,
    otherwise the resident memory of the process beyond that of its libraries.
    """

    def __init__(self, device: torch.device) -> None:
        """Start to measure."""
        self._device = device
        release_cached_memory()
        self._baseline = 0
        if device.type != "cpu":
            reset_peak_bytes(device)
            return
        self._baseline = psutil.Process().memory_info().rss
        # Linux can reset its high-water mark. On other systems loading the libraries may have set it.
        with suppress(OSError):
            CLEAR.write_text("5")

    def bytes(self) -> int:
        """Return the peak since then, bytes."""
        if self._device.type != "cpu":
            return peak_bytes(self._device)
        return max(peak_resident_bytes() - self._baseline, 0)


def peak_resident_bytes() -> int:
    """Return the most RAM that the process has used at once, bytes."""
    if sys.platform == "win32":
        return int(psutil.Process().memory_info().peak_wset)
    if STATUS.exists():  # getrusage ignores that the mark was reset
        lines = dict(line.split(":", 1) for line in STATUS.read_text().splitlines() if ":" in line)
        return int(lines["VmHWM"].split()[0]) * 1024
    import resource  # not on Windows

    usage = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return usage if sys.platform == "darwin" else usage * 1024
