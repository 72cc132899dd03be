"""Room for small tensors that outlive the large ones they were made beside.

Between two patches the C library's heap is one free block, unless something small has stayed in it: then the
features of the next patch find no place in what is left on either side, and the heap grows. (glibc's, by
250 MiB from 4 to 64 megapixels, while a sweep's rims lay in it.)
"""

from __future__ import annotations

import mmap

import torch
from torch import Tensor

BLOCK = 16 * 2**20  # bytes; of a block, only what has been written takes memory


class Apart:
    """Copies of float32 tensors, one behind another in blocks of their own; a block goes with its last copy."""

    def __init__(self) -> None:
        self._block = torch.empty(0)
        self._used = 0  # numbers of it

    def copy(self, tensor: Tensor) -> Tensor:
        """A copy [...] of a tensor on the host; of one elsewhere, there: devices keep small and large apart."""
        if tensor.device.type != "cpu":
            return tensor.clone()
        count = tensor.numel()
        if self._used + count > self._block.numel():
            block = mmap.mmap(-1, max(BLOCK, tensor.element_size() * count))
            self._block, self._used = torch.frombuffer(block, dtype=torch.float32), 0
        place = self._block[self._used : self._used + count].view(tensor.shape)
        self._used += count
        return place.copy_(tensor)
