"""What devices say of their memory, and how they give back what torch keeps of it."""

from __future__ import annotations

from typing import Any

import torch

from tilestyle.devices.host_memory import available_memory

# The most bytes that Metal has been seen to have given: it keeps no account of its own.
_most_of_metal = 0


def free_bytes(device: torch.device) -> int:
    """Return the bytes of a device that this process may still take.

    What torch keeps in its cache for this process counts as free. A fraction that the process may take at most
    (torch.cuda.set_per_process_memory_fraction) is respected.
    """
    if device.type == "cuda":
        free, total = torch.cuda.mem_get_info(device)
        taken, kept = torch.cuda.memory_allocated(device), torch.cuda.memory_reserved(device)
        return max(0, min(free + kept - taken, int(_fraction(device) * total) - taken))
    if device.type == "mps":  # which has no memory of its own
        taken, kept = torch.mps.current_allocated_memory(), torch.mps.driver_allocated_memory()
        left = torch.mps.recommended_max_memory() - taken
        return max(0, min(left, available_memory() + kept - taken))
    return available_memory()


def empty_caches() -> None:
    """Give back what torch keeps of devices: milliseconds."""
    if torch.cuda.is_available() and torch.cuda.is_initialized():  # type: ignore[no-untyped-call]
        torch.cuda.empty_cache()
    if torch.backends.mps.is_available():
        _note_metal()
        torch.mps.empty_cache()


def empty_pinned() -> None:
    """Give back the page-locked memory of the host that torch keeps for later."""
    empty: Any = getattr(torch._C, "_host_emptyCache", None)  # public in no version that is common
    if empty is not None and torch.cuda.is_available() and torch.cuda.is_initialized():  # type: ignore[no-untyped-call]
        empty()


def current_card() -> int:
    """The current CUDA device of this thread, without starting CUDA: the first, where nobody has."""
    return torch.cuda.current_device() if torch.cuda.is_initialized() else 0  # type: ignore[no-untyped-call]


def make_current(card: int) -> None:
    """Make a CUDA device current again, if CUDA has been started meanwhile.

    Without taking memory of it, as torch.cuda.set_device would: half a gigabyte of a card, perhaps another's.
    """
    if torch.cuda.is_initialized() and torch.cuda.current_device() != card:  # type: ignore[no-untyped-call]
        torch.cuda._maybe_exchange_device(card)  # as torch.cuda.device does when it is left


def forget_peak(device: torch.device) -> None:
    """Let `peak_bytes` count from now on."""
    global _most_of_metal
    if device.type == "cuda":
        torch.cuda.reset_peak_memory_stats(device)
    elif device.type == "mps":
        _most_of_metal = torch.mps.driver_allocated_memory()


def peak_bytes(device: torch.device) -> int:
    """Return the most bytes of a device that torch has had at once since `forget_peak`.

    Of Metal, the most that was seen here and before its cache was emptied: in between it hardly shrinks.
    """
    if device.type == "cuda":
        return torch.cuda.max_memory_reserved(device)
    return _note_metal()


def _note_metal() -> int:
    global _most_of_metal
    _most_of_metal = max(_most_of_metal, torch.mps.driver_allocated_memory())
    return _most_of_metal


def _fraction(device: torch.device) -> float:
    tell: Any = getattr(torch.cuda, "get_per_process_memory_fraction", None)  # not in older versions
    return 1.0 if tell is None else float(tell(device))
