"""Page-locked (pinned) host memory, which a device copies from and to while both keep computing.

It is scarcer than other memory: limits of the process, a container or the driver may refuse it while plenty of
RAM is free, with the message that otherwise means that a device is out of memory.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from tilestyle.devices.device_memory import empty_pinned_cache
from tilestyle.devices.failures import is_out_of_memory
from tilestyle.notices import notice

# Other messages of drivers when the system does not let them lock more memory.
REFUSAL_MESSAGES = ("OS call failed", "operation not supported", "invalid argument")


def try_pinned_empty(shape: Sequence[int], dtype: torch.dtype) -> Tensor | None:
    """Return uninitialized page-locked memory; None if the system does not provide more.

    Without it copies wait and the render is slower, but the device is not out of memory: a notice says so,
    once.
    """
    for is_last_try in (False, True):
        try:
            return pinned_empty(shape, dtype)
        except RuntimeError as error:
            if not (is_out_of_memory(error) or any(text in str(error) for text in REFUSAL_MESSAGES)):
                raise
        if not is_last_try:
            empty_pinned_cache()
    notice("the system refuses more page-locked memory: copies to the GPU are slower")
    return None


def pinned_empty(shape: Sequence[int], dtype: torch.dtype) -> Tensor:
    """Allocate uninitialized page-locked memory, whose size torch rounds up to a power of two."""
    return torch.empty(shape, dtype=dtype, pin_memory=True)
