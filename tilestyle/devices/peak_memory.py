"""The most memory in use since a moment, by the device's or the operating system's account."""

from __future__ import annotations

import sys
from contextlib import suppress
from pathlib import Path

import psutil
import torch

from tilestyle.devices.device_memory import forget_peak, peak_bytes
from tilestyle.devices.malloc import release

STATUS = Path("/proc/self/status")  # Linux alone has it
CLEAR = Path("/proc/self/clear_refs")


class Peak:
    """Counts from where it is made: with the libraries loaded, before any picture is.

    What a budget is held to: on CUDA and Apple's Metal what torch has reserved of the device, else the
    process's resident memory above that of its libraries.
    """

    def __init__(self, device: torch.device) -> None:
        self._device = device
        release()
        self._before = 0
        if device.type != "cpu":
            forget_peak(device)
            return
        self._before = psutil.Process().memory_info().rss
        # Linux forgets its high-water mark when asked; elsewhere, loading the libraries may have set it.
        with suppress(OSError):
            CLEAR.write_text("5")

    def bytes(self) -> int:
        """The peak since."""
        if self._device.type != "cpu":
            return peak_bytes(self._device)
        return max(_resident() - self._before, 0)


def _resident() -> int:
    """Most memory that the process has had in RAM at once."""
    if sys.platform == "win32":
        return int(psutil.Process().memory_info().peak_wset)
    if STATUS.exists():  # getrusage does not know of the mark being cleared
        lines = dict(line.split(":", 1) for line in STATUS.read_text().splitlines() if ":" in line)
        return int(lines["VmHWM"].split()[0]) * 1024
    import resource  # not on Windows

    usage = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return usage if sys.platform == "darwin" else usage * 1024
