"""Page-locked memory of the host, from and to which a device copies while both go on working.

It is scarcer than other memory: limits of the process, of a container or of the driver may refuse it where
there is plenty of RAM, in the words that are used of a device without memory.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from tilestyle.devices.device_memory import empty_pinned
from tilestyle.devices.failures import is_out_of_memory
from tilestyle.notices import notice

# What drivers say, besides that memory has run out, where the system lets them lock no more.
REFUSED = ("OS call failed", "operation not supported", "invalid argument")


def pinned(shape: Sequence[int], dtype: torch.dtype) -> Tensor | None:
    """Page-locked memory, contiguous and not filled; None where the system gives no more of it.

    Then a copy waits, and the render is slower, but no device's memory has run out: a notice says so, once.
    """
    for last in (False, True):
        try:
            return locked(shape, dtype)
        except RuntimeError as error:
            if not (is_out_of_memory(error) or any(text in str(error) for text in REFUSED)):
                raise
        if not last:
            empty_pinned()
    notice("the system locks no more memory for copies to the GPU: they are slower")
    return None


def locked(shape: Sequence[int], dtype: torch.dtype) -> Tensor:
    """Page-locked memory, which torch rounds up to a power of two."""
    return torch.empty(shape, dtype=dtype, pin_memory=True)
