"""Memory-mapped planes [C, H, W], and how much of them is in memory.

A mapped plane is a tensor like any other. Its pages count as memory of this process from the first access until
the system takes them back, which it does late. So code that works through planes reports what it has accessed
(`note_mapped_access`), and now and then all pages are released. They stay in the system's page cache as long as
there is room.
"""

from __future__ import annotations

import contextlib
import errno
import mmap
import weakref
from collections.abc import Iterable, Iterator
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from tilestyle.config.byte_size import format_bytes
from tilestyle.errors import MemoryLimit
from tilestyle.files.durable import is_unsupported, notice_no_fsync

# Bytes of mapped planes that may be in memory at once.
MAX_RESIDENT_BYTES = 256 * 2**20
# Bytes that the system maps around each byte that is read, where they are in its page cache.
READ_AROUND_BYTES = 2**16


class _MappedRegistry:
    """The memory mappings of this process, and how much of them has been accessed since the last release."""

    def __init__(self) -> None:
        self._maps: weakref.WeakValueDictionary[int, mmap.mmap] = weakref.WeakValueDictionary()
        self._files: dict[int, Path] = {}
        self._accessed = 0

    def add(self, start: int, mapping: mmap.mmap, file: Path) -> None:
        self._files = {start: path for start, path in self._files.items() if start in self._maps}
        self._maps[start], self._files[start] = mapping, file

    def file_of(self, tensor: Tensor) -> Path:
        return self._files[tensor.untyped_storage().data_ptr()]

    def note_access(self, count: int) -> None:
        if not self._maps:
            return
        self._accessed += count
        if self._accessed > MAX_RESIDENT_BYTES // 2:
            self.release_pages()

    def release_pages(self) -> None:
        self._accessed = 0
        if hasattr(mmap, "MADV_DONTNEED"):  # a shared mapping loses nothing that was written
            for mapping in list(self._maps.values()):
                with contextlib.suppress(ValueError):  # closed in the meantime
                    mapping.madvise(mmap.MADV_DONTNEED)

    def mapping_of(self, tensor: Tensor) -> mmap.mmap | None:
        return self._maps.get(tensor.untyped_storage().data_ptr())


_mapped_registry = _MappedRegistry()


def map_plane(descriptor: int, channels: int, height: int, width: int, file: Path) -> Tensor:
    """Map a file into memory as a plane [channels, height, width]."""
    count = 4 * channels * height * width
    try:
        mapping = mmap.mmap(descriptor, count)
    except OSError as error:
        if error.errno != errno.ENOMEM:
            raise
        raise MemoryLimit(
            f"cannot map {format_bytes(count)} of a file into memory",
            hint="render a smaller picture, or raise the address space limit (ulimit -v)",
        ) from error
    plane = torch.frombuffer(mapping, dtype=torch.float32).view(channels, height, width)
    _mapped_registry.add(plane.data_ptr(), mapping, file)
    return plane


def file_of(plane: Tensor) -> Path:
    """Return the file of a mapped plane."""
    return _mapped_registry.file_of(plane)


def is_mapped(plane: Tensor) -> bool:
    """Return whether a plane is in a memory-mapped file."""
    return _mapped_registry.mapping_of(plane) is not None


def note_mapped_access(*views: Tensor, times: int = 1) -> None:
    """Report that these views of planes have been read or written, or `times` as many bytes."""
    _mapped_registry.note_access(times * sum(map(_mapped_bytes, views)))


def _mapped_bytes(view: Tensor) -> int:
    """Return the bytes that an access to a view brings into memory, with those around each piece of a row."""
    size = view.element_size()
    if view.ndim < 3 or view.is_contiguous():
        return view.numel() * size
    row, pitch = view.shape[-1] * size, view.stride(-2) * size
    return view.shape[0] * view.shape[1] * min(pitch, row + READ_AROUND_BYTES)


def note_mapped_bytes(count: int) -> None:
    """Report that so many bytes of mapped planes have been read or written."""
    _mapped_registry.note_access(count)


def releasing_mapped_pages(strips: Iterable[NDArray[np.float32]]) -> Iterator[NDArray[np.float32]]:
    """Yield strips of a picture, and release the pages of mapped planes as they are read."""
    for strip in strips:
        yield strip
        note_mapped_bytes(strip.nbytes)


def release_mapped_pages() -> None:
    """Release the pages of all mapped planes to the system, which writes changes to their files."""
    _mapped_registry.release_pages()


def flush_mapped(plane: Tensor) -> None:
    """Wait until a mapped plane has been written to disk."""
    mapping = _mapped_registry.mapping_of(plane)
    if mapping is None:
        return
    try:
        mapping.flush()
    except OSError as error:
        if not is_unsupported(error):
            raise
        notice_no_fsync()
