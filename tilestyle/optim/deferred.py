"""Gradients of patch borders, which wait until the neighboring patches have read these pixels unchanged."""

from __future__ import annotations

import errno
import mmap
from collections.abc import Iterator, MutableMapping
from dataclasses import dataclass
from math import prod

import torch
from torch import Tensor

from tilestyle.geometry.boxes import Box

BLOCK_BYTES = 16 * 2**20  # bytes; on the host, a block takes memory only where something has been written


@dataclass(frozen=True, slots=True)
class _Slot:
    """Where a gradient lies: elements of a block, from `start` on."""

    block: Tensor
    start: int
    shape: tuple[int, ...]

    @property
    def count(self) -> int:
        return prod(self.shape)

    def tensor(self) -> Tensor:
        return self.block[self.start : self.start + self.count].view(self.shape)


class DeferredGradients(MutableMapping[Box, Tensor]):
    """A mapping from border boxes to copies of their float32 gradients, [3, h, w].

    Gradients are packed into large blocks; a block is freed with the last gradient in it. Nothing is stored in
    the C library's heap, not even a small tensor object. Between two patches that heap is one free block. A
    small object in the middle of it would leave no room for the next patch's features on either side, and the
    heap would grow. (With one tensor per border, glibc's heap grew by about 300 MiB between canvases of 4 and
    64 megapixels.)
    """

    def __init__(self) -> None:
        self._slots: dict[Box, _Slot] = {}
        self._block = torch.empty(0)
        self._used = 0  # elements of the block that are taken
        self.nbytes = 0

    def __setitem__(self, border: Box, gradient: Tensor) -> None:
        if border in self._slots:
            del self[border]
        count = gradient.numel()
        if self._used + count > self._block.numel() or self._block.device != gradient.device:
            self._block, self._used = _new_block(max(BLOCK_BYTES, 4 * count), gradient.device), 0
        slot = _Slot(self._block, self._used, tuple(gradient.shape))
        slot.tensor().copy_(gradient)
        self._slots[border] = slot
        self._used += count
        self.nbytes += 4 * count

    def __getitem__(self, border: Box) -> Tensor:
        return self._slots[border].tensor()

    def __delitem__(self, border: Box) -> None:
        self.nbytes -= 4 * self._slots.pop(border).count

    def __iter__(self) -> Iterator[Box]:
        return iter(self._slots)

    def __len__(self) -> int:
        return len(self._slots)


def _new_block(size: int, device: torch.device) -> Tensor:
    """Allocate `size` bytes of float32 numbers; on the host with mmap, past the C library's heap."""
    if device.type != "cpu":
        return torch.empty(size // 4, device=device)
    try:
        return torch.frombuffer(mmap.mmap(-1, size), dtype=torch.float32)
    except OSError as error:
        if error.errno != errno.ENOMEM:
            raise
        raise MemoryError(f"cannot allocate {size} bytes for gradients of patch borders") from error
