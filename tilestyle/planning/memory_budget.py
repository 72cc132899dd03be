"""Choose what fits into memory: patch size, canvas and history."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from math import inf

import torch

from tilestyle.config.byte_size import format_bytes
from tilestyle.errors import MemoryLimit, SettingError
from tilestyle.planning.memory_limits import MemoryLimits
from tilestyle.planning.memory_model import MemoryEstimate

CPU = torch.device("cpu")
# Patch sides to choose from; they affect the pixels. On a CPU the largest is modest, so that nearly every
# machine has the memory for it and chooses the same; cost per pixel and quality hardly depend on it. Precision
# affects the pixels, too, and depends on the CPU: see `choose_precision`.
PATCH_SIDES = {
    "cpu": (512, 384, 256, 192, 128),
    "cuda": (2048, 1536, 1024, 768, 512, 384, 256, 128),
    "mps": (512, 384, 256, 128),
}
SMALL_PATCH_SIDES = (448, 320, 224, 160, 96, 64)  # further choices if a memory limit is set
# Fraction of the free memory that patches may take; the rest is for the canvas and other programs.
PATCH_MEMORY_SHARE = 0.5
# Fraction of the free RAM that canvas, optimizer and pictures may take.
RAM_SHARE = 0.7
# Histories of L-BFGS to choose from: longer ones hardly help, shorter ones cost iterations.
HISTORIES = (10, 7, 5, 3)


@dataclass(frozen=True)
class MemoryBudget:
    """What a render may take: the limits that are set, and what is free while it is planned.

    Attributes:
        device: Device of the render.
        limits: Memory limits.
        free: Bytes that are free on the device.
        free_ram: Bytes that are free on the host.
    """

    device: torch.device
    limits: MemoryLimits
    free: int
    free_ram: int

    def choose_history(self, estimate: Callable[[int], MemoryEstimate], fixed_history: int | None) -> int:
        """Return the longest history of L-BFGS that fits into RAM, or its limit, together with the canvas.

        Args:
            estimate: Returns the memory that a render with a history needs.
            fixed_history: The only history to choose from, if it is set.

        Raises:
            MemoryLimit: Even the shortest does not fit.
        """
        for history in (fixed_history,) if fixed_history else HISTORIES:
            footprint = estimate(history)
            if not self.should_memory_map(footprint):
                return history
        required = footprint.unified_total if self.device.type == "cpu" else footprint.host_total
        raise MemoryLimit(
            f"L-BFGS with a history of {history} needs {format_bytes(required)} of RAM, more than is available",
            hint="give a smaller --size, or --optimizer adam, whose canvas can be memory-mapped",
        )

    def choose_patch_side(
        self,
        estimate: Callable[[int], MemoryEstimate],
        min_side: int,
        fixed_side: int | None,
        local_world_size: int = 1,
    ) -> int:
        """Return the largest patch side that fits into memory.

        Args:
            estimate: Returns the memory that a render with patches of a side needs.
            min_side: Smallest side for the layers and the overlap, pixels.
            fixed_side: The only side to choose from, if it is set.
            local_world_size: Processes like this one that share the RAM. Each has a GPU of its own.

        Raises:
            MemoryLimit: No side fits; the message says what would be enough.
            SettingError: No side is large enough for the layers and the overlap.
        """
        usual = PATCH_SIDES[self.device.type]
        sides = [fixed_side] if fixed_side else [side for side in usual if side >= min_side]
        if fixed_side is None and self.limits.memory is not None:
            sides = sorted(
                {*sides, *(side for side in SMALL_PATCH_SIDES if side >= min_side), min_side}, reverse=True
            )
        if not sides:
            raise SettingError(
                f"with this overlap and these layers, patches need at least {min_side} pixels a side, "
                "more than is chosen automatically",
                hint="give a smaller --overlap, shallower layers, or a --patch",
            )
        free = self.free * PATCH_MEMORY_SHARE / (local_world_size if self.device.type == "cpu" else 1)
        for side in sides:
            if self.fits(estimate(side), free if fixed_side is None else inf):
                return side
        raise self._patch_too_large(estimate(sides[-1]), sides[-1], free)

    def fits(self, estimate: MemoryEstimate, free: float = inf) -> bool:
        """Return whether an estimate is within the limits, or without one, its patch within the free memory.

        Args:
            estimate: What the render needs.
            free: Bytes available for a patch.
        """
        if self.limits.memory is not None:
            fits_device = estimate.device_bytes(self.device, CPU) <= self.limits.memory
        else:
            fits_device = estimate.patch <= free
        return fits_device and estimate.host_total <= (self.limits.host or estimate.host_total)

    def should_memory_map(
        self, estimate: MemoryEstimate, mapped_estimate: MemoryEstimate | None = None
    ) -> bool:
        """Return whether what grows with the picture should be memory-mapped, because RAM is too small.

        Args:
            estimate: What the render needs in memory.
            mapped_estimate: What it needs memory-mapped. For small pictures this can be more, and then it
                should not be.
        """
        limit = self.limits.host
        if self.device.type == "cpu":
            limit = min((x for x in (self.limits.host, self.limits.memory) if x is not None), default=None)
        if limit is None:
            return (
                max(estimate.resident + estimate.style_extra, estimate.transitions) > RAM_SHARE * self.free_ram
            )
        in_memory, memory_mapped = (
            (each.unified_total if self.device.type == "cpu" else each.host_total)
            for each in (estimate, mapped_estimate or estimate)
        )
        return in_memory > limit and (mapped_estimate is None or memory_mapped < in_memory)

    def choose_canvas_device(self, estimate: MemoryEstimate) -> torch.device:
        """Return the device of the canvas: the GPU if both canvas and patches fit on it, else the CPU."""
        if self.device.type == "cpu":
            return self.device
        limit = self.limits.memory if self.limits.memory is not None else (1 - PATCH_MEMORY_SHARE) * self.free
        return self.device if estimate.unified_total <= limit else CPU

    def _patch_too_large(self, estimate: MemoryEstimate, side: int, free: float) -> MemoryLimit:
        """Return the error for patches that do not fit.

        Args:
            estimate: What the render needs.
            side: The smallest patch side, pixels.
            free: Bytes available for a patch.
        """
        if self.limits.host is not None and estimate.host_total > self.limits.host:
            return MemoryLimit(
                f"canvas and pictures need {format_bytes(estimate.host_total)}, --host-memory is "
                f"{format_bytes(self.limits.host)}",
                hint="raise the limit, or give a smaller --size",
            )
        if self.limits.memory is not None:
            required = format_bytes(estimate.device_bytes(self.device, CPU))
            return MemoryLimit(
                f"patches of {side} pixels need {required}, --memory is {format_bytes(self.limits.memory)}",
                hint="raise the limit, or give a smaller --size or --patch, or fewer layers",
            )
        return MemoryLimit(
            f"a patch of {side} pixels needs {format_bytes(estimate.patch)}, but only {format_bytes(free)} of "
            f"{self.device.type} memory is available",
            hint="close other programs, choose fewer or shallower layers, or give a smaller --patch",
        )
