"""Gradients of patches' rims, which wait until the patches beside them have seen these rims as they were."""

from __future__ import annotations

import errno
import mmap
from collections.abc import Iterator, MutableMapping
from dataclasses import dataclass
from math import prod

import torch
from torch import Tensor

from tilestyle.geometry.boxes import Box

BLOCK = 16 * 2**20  # bytes; of one on the host, only what has been written takes memory


@dataclass(frozen=True, slots=True)
class _Place:
    block: Tensor
    start: int
    shape: tuple[int, ...]

    @property
    def count(self) -> int:
        return prod(self.shape)

    def tensor(self) -> Tensor:
        return self.block[self.start : self.start + self.count].view(self.shape)


class Rims(MutableMapping[Box, Tensor]):
    """Float32 gradients [3, h, w] by rim: copies of what is set, in blocks that go with the last in them.

    Nothing of them lies in the C library's heap, not so much as a tensor's description, which would stay there
    until the rim is stepped. Between two patches the heap is one free block, unless something small is in the
    middle of it: then the features of the next patch find no place on either side, and the heap grows (glibc's,
    by some 300 MiB from 4 to 64 megapixels with a tensor for every rim).
    """

    def __init__(self) -> None:
        self._places: dict[Box, _Place] = {}
        self._block = torch.empty(0)
        self._used = 0  # numbers of it
        self.nbytes = 0

    def __setitem__(self, rim: Box, gradient: Tensor) -> None:
        if rim in self._places:
            del self[rim]
        count = gradient.numel()
        if self._used + count > self._block.numel() or self._block.device != gradient.device:
            self._block, self._used = _block(max(BLOCK, 4 * count), gradient.device), 0
        place = _Place(self._block, self._used, tuple(gradient.shape))
        place.tensor().copy_(gradient)
        self._places[rim] = place
        self._used += count
        self.nbytes += 4 * count

    def __getitem__(self, rim: Box) -> Tensor:
        return self._places[rim].tensor()

    def __delitem__(self, rim: Box) -> None:
        self.nbytes -= 4 * self._places.pop(rim).count

    def __iter__(self) -> Iterator[Box]:
        return iter(self._places)

    def __len__(self) -> int:
        return len(self._places)


def _block(size: int, device: torch.device) -> Tensor:
    """Room for `size` bytes of float32 numbers: on the host from the system itself."""
    if device.type != "cpu":
        return torch.empty(size // 4, device=device)
    try:
        return torch.frombuffer(mmap.mmap(-1, size), dtype=torch.float32)
    except OSError as error:
        if error.errno != errno.ENOMEM:
            raise
        raise MemoryError(f"no room for {size} bytes of rims") from error
