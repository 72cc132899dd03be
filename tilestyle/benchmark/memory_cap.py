"""A wall of memory that a measurement runs into, rather than the whole machine."""

from __future__ import annotations

import sys
from pathlib import Path

import torch

from tilestyle.devices.malloc import keep_nothing_large


def put_wall(device: torch.device, limit: int) -> None:
    """Let this process have at most `limit` more bytes of the device from now on.

    On a CPU that is Linux's limit of a process's own pages; on other systems, none.
    """
    if device.type == "cuda":
        total = torch.cuda.get_device_properties(device).total_memory
        torch.cuda.set_per_process_memory_fraction(min(1.0, limit / total), device)
    elif device.type == "mps":
        taken, most = torch.mps.driver_allocated_memory(), torch.mps.recommended_max_memory()
        torch.mps.set_per_process_memory_fraction(min(1.0, (taken + limit) / most))
    elif sys.platform == "linux":
        import resource  # not on Windows

        # The limit counts a heap's gaps too: without them it is nearer to what is in use.
        keep_nothing_large()
        status = dict(line.split(":", 1) for line in Path("/proc/self/status").read_text().splitlines())
        now = int(status["VmData"].split()[0]) * 1024
        resource.setrlimit(resource.RLIMIT_DATA, (now + limit, now + limit))
