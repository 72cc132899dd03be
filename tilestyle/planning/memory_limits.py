"""Memory limits: as set, and what is free."""

from __future__ import annotations

from dataclasses import dataclass

import torch

from tilestyle.config.byte_size import format_bytes, parse_bytes
from tilestyle.config.render import RenderConfig
from tilestyle.devices.device_memory import free_bytes
from tilestyle.errors import MemoryLimit
from tilestyle.planning.memory_model import READING_BYTES


@dataclass(frozen=True, slots=True)
class MemoryLimits:
    """Memory limits in bytes; None: no limit.

    Attributes:
        memory: Limit of the device; on a CPU, of the process without its libraries.
        host: Limit of RAM for canvas, optimizer and pictures.
    """

    memory: int | None = None
    host: int | None = None

    @classmethod
    def from_config(cls, config: RenderConfig) -> MemoryLimits:
        """Return the limits of these settings."""
        memory, host = (None if x is None else parse_bytes(x) for x in (config.memory, config.host_memory))
        return cls(memory, host)

    def check_reading(self, pixels: int, device: torch.device) -> None:
        """Refuse pictures that cannot be read within the limits, before they are read.

        Args:
            pixels: Pixels of all pictures.
            device: Device of the render.

        Raises:
            MemoryLimit: They need more than a limit.
        """
        limits = [("host-memory", self.host), ("memory", self.memory if device.type == "cpu" else None)]
        for name, limit in limits:
            if limit is not None and READING_BYTES * pixels > limit:
                raise MemoryLimit(
                    f"pictures of {pixels / 1e6:.1f} MP need {format_bytes(READING_BYTES * pixels)} to be "
                    "read, "
                    f"--{name} is {format_bytes(limit)}",
                    hint="raise the limit, or give smaller pictures",
                )


def check_picture_fits(height: int, width: int) -> None:
    """Refuse a picture too large for the free memory, before it is created.

    Raises:
        MemoryLimit: There is too little free memory.
    """
    need, free = 3 * 4 * height * width, free_bytes(torch.device("cpu"))
    if need > free:
        raise MemoryLimit(
            f"a picture of {width} x {height} pixels needs {format_bytes(need)} of memory, "
            f"but only {format_bytes(free)} is free",
            hint="give a smaller --size",
        )
