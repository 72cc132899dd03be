"""Host memory as a GPU sees it.

CUDA calls this zero-copy access (CUDA C++ Programming Guide, mapped memory): memory is page-locked where it
lies, so that it needs no copy however large it is.
"""

from __future__ import annotations

import weakref
from contextlib import suppress
from typing import Any

import torch
from torch import Tensor

# Flag of cudaHostRegister: for all threads and devices of the process.
PORTABLE = 1


class _HostArray:
    """A tensor on the host as an array on a device."""

    def __init__(self, tensor: Tensor) -> None:
        self.__cuda_array_interface__ = {
            "shape": tuple(tensor.shape),
            "typestr": "<f4",
            "data": (tensor.data_ptr(), False),
            "strides": None,
            "version": 2,
        }


def zero_copy(tensor: Tensor, device: torch.device) -> Tensor | None:
    """Return a host tensor as a device sees it: the same numbers in the same place.

    The memory stays page-locked as long as the result, or a view of it, exists. Whoever reads the tensor on the
    host has to wait for the device's work first.

    Args:
        tensor: Contiguous float32 in memory of this process alone, not in a file.
        device: The device.

    Returns:
        A tensor on the device; None if the system does not allow it.
    """
    if device.type != "cuda" or torch.version.hip:  # on AMD's nobody has tried it
        return None
    if not tensor.is_contiguous() or tensor.dtype is not torch.float32:
        return None
    runtime: Any = torch.cuda.cudart()  # type: ignore[no-untyped-call]
    if int(runtime.cudaHostRegister(tensor.data_ptr(), tensor.nbytes, PORTABLE)) != 0:
        with suppress(RuntimeError):  # reports that error again, and clears it
            torch.zeros(1, device=device)
        return None
    array = _HostArray(tensor)
    unlocking = weakref.finalize(array, _unlock, tensor, device)  # which also keeps the memory until then
    unlocking.atexit = False
    return torch.as_tensor(array, device=device)


def _unlock(tensor: Tensor, device: torch.device) -> None:
    """Page-lock memory no longer, once the device does not use it."""
    torch.cuda.synchronize(device)
    runtime: Any = torch.cuda.cudart()  # type: ignore[no-untyped-call]
    runtime.cudaHostUnregister(tensor.data_ptr())
