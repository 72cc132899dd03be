"""Cap the memory of a measurement, so that it fails before the whole machine runs out."""

from __future__ import annotations

import sys
from pathlib import Path

import torch

from tilestyle.devices.malloc import return_large_blocks


def cap_memory(device: torch.device, limit: int) -> None:
    """Allow this process at most `limit` more bytes of the device's memory.

    On a CPU this sets Linux's limit of the process's data; other systems have no such limit.

    Args:
        device: The device.
        limit: Bytes beyond what is used now.
    """
    if device.type == "cuda":
        total = torch.cuda.get_device_properties(device).total_memory
        torch.cuda.set_per_process_memory_fraction(min(1.0, limit / total), device)
    elif device.type == "mps":
        used, available = torch.mps.driver_allocated_memory(), torch.mps.recommended_max_memory()
        torch.mps.set_per_process_memory_fraction(min(1.0, (used + limit) / available))
    elif sys.platform == "linux":
        import resource  # not on Windows

        # The limit counts free memory on the heap too: returning it brings the count closer to what is in use.
        return_large_blocks()
        status = dict(line.split(":", 1) for line in Path("/proc/self/status").read_text().splitlines())
        current = int(status["VmData"].split()[0]) * 1024
        resource.setrlimit(resource.RLIMIT_DATA, (current + limit, current + limit))
