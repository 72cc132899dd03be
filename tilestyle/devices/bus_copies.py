"""Copies of windows between a GPU and host memory that it sees (zero_copy.py), while it computes.

Kernels that read over the bus wait for it. So windows are copied by the copy engines, in streams of their own,
which need neither kernels nor the host.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from contextlib import suppress
from functools import cache
from typing import Any

import torch
from torch import Tensor

# Patches whose results may be under way to the host: more would take memory, and bring nothing.
STORES_IN_FLIGHT = 1
# Bytes and number of fetched windows that a device has not come to yet: what two patches need at least.
FETCHED_BYTES, FETCHED_WINDOWS = 32 * 2**20, 12


class BusCopies:
    """Copies between a device's own memory and host memory that it sees (`zero_copy`)."""

    def __init__(self, device: torch.device) -> None:
        """Create a stream for each direction."""
        self._device = device
        self._there: Any = torch.cuda.Stream(device)  # type: ignore[no-untyped-call]
        self._back: Any = torch.cuda.Stream(device)  # type: ignore[no-untyped-call]
        self._stored: deque[Any] = deque()
        self._fetched: deque[tuple[int, Any]] = deque()  # bytes, and an event of the device's work before

    def fetch(self, shape: Sequence[int], parts: Sequence[tuple[Tensor, int, int]]) -> Tensor:
        """Copy parts of a window to the device's memory, while it computes.

        Nothing may be changing them: work on the device that is not done yet is not waited for. Where the host
        is far ahead of the device, it waits.

        Args:
            shape: Of the window, [C, height, width].
            parts: Views [C, h, w] of host memory, each with its row and column in the window.

        Returns:
            The window; work that is launched from now on waits for it.
        """
        current = torch.cuda.current_stream(self._device)
        self._limit_fetches(current)
        with torch.cuda.stream(self._there):
            window = torch.empty(shape, dtype=parts[0][0].dtype, device=self._device)
            for part, row, column in parts:
                _, height, width = part.shape
                copy_window(window[:, row : row + height, column : column + width], part)
        current.wait_stream(self._there)
        window.record_stream(current)
        self._fetched[-1] = window.nbytes, self._fetched[-1][1]
        return window

    def _limit_fetches(self, current: Any) -> None:
        """Wait until few windows lie ahead of the device's work, and note where that is now."""
        while (
            len(self._fetched) >= FETCHED_WINDOWS and sum(nbytes for nbytes, _ in self._fetched) > FETCHED_BYTES
        ):
            self._fetched.popleft()[1].synchronize()
        event = torch.cuda.Event()  # type: ignore[no-untyped-call]
        event.record(current)
        self._fetched.append((0, event))

    def include_work(self) -> None:
        """Let later fetches wait for the work launched so far, which writes what they read."""
        self._there.wait_stream(torch.cuda.current_stream(self._device))

    def store(self, pairs: Sequence[tuple[Tensor, Tensor]]) -> None:
        """Copy windows back after the work launched so far, and wait until few such copies are under way.

        Args:
            pairs: Views [C, h, w] of host memory, each with its new values in the device's memory.
        """
        self._back.wait_stream(torch.cuda.current_stream(self._device))
        with torch.cuda.stream(self._back):
            for window, values in pairs:
                copy_window(window, values)
                values.record_stream(self._back)
            event = torch.cuda.Event()  # type: ignore[no-untyped-call]
            event.record(self._back)
        self._stored.append(event)
        if len(self._stored) > STORES_IN_FLIGHT:
            self._stored.popleft().synchronize()

    def wait(self) -> None:
        """Wait until the host and all later work see what was stored."""
        self._stored.clear()
        self._fetched.clear()
        torch.cuda.synchronize(self._device)


@cache
def bus_copies(device: torch.device) -> BusCopies:
    """Return the copies of a device."""
    return BusCopies(device)


def copy_window(target: Tensor, source: Tensor) -> None:
    """Copy a window [C, h, w] between memories that a device sees, in the current stream.

    By a copy engine where NVIDIA's Python package is installed, which comes with torch on Linux; else by a
    kernel.
    """
    runtime = _runtime()
    if runtime is None or not (_is_pitched(target) and _is_pitched(source)) or not target.numel():
        target.copy_(source)
        return
    request = runtime.cudaMemcpy3DParms()
    request.srcPtr, request.dstPtr = _pitched(runtime, source), _pitched(runtime, target)
    channels, height, width = target.shape
    extent = runtime.cudaExtent()
    extent.width, extent.height, extent.depth = width * target.itemsize, height, channels
    request.extent, request.kind = extent, runtime.cudaMemcpyKind.cudaMemcpyDefault
    stream = torch.cuda.current_stream(target.device).cuda_stream
    (error,) = runtime.cudaMemcpy3DAsync(request, runtime.cudaStream_t(stream))
    if int(error) != 0:
        raise RuntimeError(f"CUDA error: cannot copy a window ({error.name})")


def _is_pitched(window: Tensor) -> bool:
    """Return whether a window has whole rows between its planes."""
    plane, row, cell = window.stride()
    return cell == 1 and row > 0 and plane % row == 0


def _pitched(runtime: Any, window: Tensor) -> Any:
    """Return a window [C, h, w] as CUDA describes it: rows of bytes, and rows of a plane."""
    place = runtime.cudaPitchedPtr()
    plane, row, _ = window.stride()
    place.ptr, place.pitch = window.data_ptr(), row * window.itemsize
    place.xsize, place.ysize = window.shape[2] * window.itemsize, plane // row
    return place


@cache
def _runtime() -> Any:
    """Return NVIDIA's bindings of the CUDA runtime; None without them."""
    with suppress(ImportError):
        from cuda.bindings import runtime  # type: ignore[import-untyped]

        return runtime
    return None
