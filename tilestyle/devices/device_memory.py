"""Memory of devices: what is free, the peak, and torch's caches."""

from __future__ import annotations

from typing import Any

import torch

from tilestyle.devices.host_memory import available_memory

# Peak bytes of Metal, as far as observed here: Metal itself does not record it.
_metal_peak_bytes = 0


def free_bytes(device: torch.device) -> int:
    """Return the bytes of a device that this process can still allocate.

    Memory that torch caches for this process counts as free. A limit per process
    (torch.cuda.set_per_process_memory_fraction) is respected.
    """
    if device.type == "cuda":
        free, total = torch.cuda.mem_get_info(device)
        allocated, reserved = torch.cuda.memory_allocated(device), torch.cuda.memory_reserved(device)
        return max(0, min(free + reserved - allocated, int(_memory_fraction(device) * total) - allocated))
    if device.type == "mps":  # shares the memory of the host
        allocated, reserved = torch.mps.current_allocated_memory(), torch.mps.driver_allocated_memory()
        available = torch.mps.recommended_max_memory() - allocated
        return max(0, min(available, available_memory() + reserved - allocated))
    return available_memory()


def empty_caches() -> None:
    """Release the device memory that torch caches, in milliseconds."""
    if torch.cuda.is_available() and torch.cuda.is_initialized():  # type: ignore[no-untyped-call]
        torch.cuda.empty_cache()
    if torch.backends.mps.is_available():
        _update_metal_peak()
        torch.mps.empty_cache()


def empty_pinned_cache() -> None:
    """Release the page-locked host memory that torch caches."""
    empty: Any = getattr(torch._C, "_host_emptyCache", None)  # not public in the usual versions
    if empty is not None and torch.cuda.is_available() and torch.cuda.is_initialized():  # type: ignore[no-untyped-call]
        empty()


def current_cuda_device() -> int:
    """Return the current CUDA device of this thread without initializing CUDA: 0 if it is not initialized."""
    return torch.cuda.current_device() if torch.cuda.is_initialized() else 0  # type: ignore[no-untyped-call]


def restore_cuda_device(device: int) -> None:
    """Make a CUDA device current again, if CUDA has been initialized in the meantime.

    Unlike torch.cuda.set_device this does not allocate a context of half a gigabyte on the device, which
    another process may be using.
    """
    if torch.cuda.is_initialized() and torch.cuda.current_device() != device:  # type: ignore[no-untyped-call]
        torch.cuda._maybe_exchange_device(device)  # as torch.cuda.device does on exit


def reset_peak_bytes(device: torch.device) -> None:
    """Restart the measurement of `peak_bytes`."""
    global _metal_peak_bytes
    if device.type == "cuda":
        torch.cuda.init()  # type: ignore[no-untyped-call]  # before, torch has no figures to restart
        torch.cuda.reset_peak_memory_stats(device)
    elif device.type == "mps":
        _metal_peak_bytes = torch.mps.driver_allocated_memory()


def peak_bytes(device: torch.device) -> int:
    """Return the most device memory that torch has reserved at once since `reset_peak_bytes`, bytes.

    For Metal it is the most that was observed in this function and before its cache was emptied: between these
    it hardly shrinks.
    """
    if device.type == "cuda":
        return torch.cuda.max_memory_reserved(device)
    return _update_metal_peak()


def _update_metal_peak() -> int:
    """Update the peak of Metal, and return it."""
    global _metal_peak_bytes
    _metal_peak_bytes = max(_metal_peak_bytes, torch.mps.driver_allocated_memory())
    return _metal_peak_bytes


def _memory_fraction(device: torch.device) -> float:
    """Return the fraction of the device's memory that this process may use."""
    get_fraction: Any = getattr(torch.cuda, "get_per_process_memory_fraction", None)  # not in older versions
    return 1.0 if get_fraction is None else float(get_fraction(device))
