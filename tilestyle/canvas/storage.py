"""Where planes [C, H, W] are stored: in host memory, on a device, or in memory-mapped files.

A mapped plane is a tensor like any other. Its pages count as memory of this process from the first access until
the system takes them back, which it does late. So code that works through planes reports what it has accessed
(`note_mapped_access`), and now and then all pages are released. They stay in the system's page cache as long as
there is room.
"""

from __future__ import annotations

import contextlib
import errno
import itertools
import mmap
import os
import re
import weakref
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from tilestyle.config.byte_size import format_bytes
from tilestyle.distributed import SINGLE, Communicator
from tilestyle.errors import DiskError, MemoryLimit, OutputError, TilestyleError
from tilestyle.files import ownership
from tilestyle.files.durable import is_unsupported, notice_no_fsync

CPU = torch.device("cpu")
# Bytes of mapped planes that may be in memory at once.
MAX_RESIDENT_BYTES = 256 * 2**20
# Bytes that the system maps around each byte that is read, where they are in its page cache.
READ_AROUND_BYTES = 2**16
# Rows of a plane that are processed at once.
STRIP_ROWS = 256
# Planes of up to this many pixels stay in memory.
MIN_MAPPED_PIXELS = 2 * 2**20


class PlaneStore(Protocol):
    """Allocates planes."""

    @property
    def device(self) -> torch.device:
        """Device that computes on the planes."""

    @property
    def comm(self) -> Communicator:
        """Ranks that share the planes."""

    def zeros(self, channels: int, height: int, width: int, name: str = "") -> Tensor:
        """Allocate a float32 plane of zeros [channels, height, width].

        Args:
            channels: Number of channels.
            height: Rows.
            width: Columns.
            name: Name under which it is kept for a later run, if this store keeps planes.
        """

    def empty(self, channels: int, height: int, width: int) -> Tensor:
        """Allocate a float32 plane [channels, height, width] with undefined contents."""


@dataclass(frozen=True)
class MemoryStore:
    """Planes in memory, of a device or of the host."""

    device: torch.device = CPU

    @property
    def comm(self) -> Communicator:
        """This process alone."""
        return SINGLE

    def zeros(self, channels: int, height: int, width: int, name: str = "") -> Tensor:
        """Allocate zeros in memory."""
        return torch.zeros(channels, height, width, device=self.device)

    def empty(self, channels: int, height: int, width: int) -> Tensor:
        """Allocate memory."""
        return torch.empty(channels, height, width, device=self.device)


@dataclass(frozen=True)
class MappedStore:
    """Planes in files of a folder; small ones stay in memory.

    A plane without a name disappears with its last reference.
    """

    path: Path
    device: torch.device = CPU

    @property
    def comm(self) -> Communicator:
        """This process alone."""
        return SINGLE

    def zeros(self, channels: int, height: int, width: int, name: str = "") -> Tensor:
        """Create a file; its disk blocks are allocated at once, so that a full disk is noticed here.

        Raises:
            DiskError: The disk is full.
            OutputError: The file cannot be created.
            MemoryLimit: The system does not map it.
        """
        if height * width <= MIN_MAPPED_PIXELS:
            return torch.zeros(channels, height, width)
        file = (
            self._unused_path(name, height, width)
            if name
            else self.plane_path(_temporary_name(), height, width)
        )
        plane = self._create_plane(file, channels, height, width, lasting=bool(name))
        if not name:
            _unlink(file)  # the blocks stay until the last mapping goes
        return plane

    def _create_plane(
        self, file: Path, channels: int, height: int, width: int, *, lasting: bool = False
    ) -> Tensor:
        """Create and map a file of zeros."""
        count = channels * height * width
        try:
            ownership.claim(file, sync=lasting)
            with open(
                file, "w+b", opener=None if lasting or self.comm.world_size > 1 else _open_temporary
            ) as handle:
                _allocate(handle.fileno(), 4 * count)
                return _map_plane(handle.fileno(), channels, height, width, file)
        except TilestyleError:
            raise
        except OSError as error:
            _unlink(file)
            if error.errno not in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG):
                raise OutputError(
                    f"cannot create {file} ({error.strerror})", hint="give a --work-dir on another drive"
                ) from error
            raise DiskError(
                f"the disk of {self.path} has no room for another {format_bytes(4 * count)}",
                hint="free some space and run the command again to resume, or give another --work-dir",
            ) from error

    def empty(self, channels: int, height: int, width: int) -> Tensor:
        """Create a file of zeros."""
        return self.zeros(channels, height, width)

    def open_plane(self, file: Path, channels: int, height: int, width: int) -> Tensor:
        """Map the plane in a file of an earlier run or of another rank.

        Raises:
            ValueError: The file is missing or does not have the expected size.
        """
        size = 4 * channels * height * width
        if file.is_symlink() or not file.is_file() or file.stat().st_size != size:
            raise ValueError(f"{file.name} is missing or has the wrong size")
        with file.open("r+b") as handle:
            return _map_plane(handle.fileno(), channels, height, width, file)

    def plane_path(self, name: str, height: int, width: int, copy: int = 0) -> Path:
        """Return the path of a plane; a number distinguishes planes of the same name and size."""
        return self.path / f"{name}-{width}x{height}{f'-{copy}' if copy else ''}.plane"

    def _unused_path(self, name: str, height: int, width: int) -> Path:
        """Return a path that does not exist yet.

        Two levels may have the same size: the canvas of the earlier level is still read, and kept.
        """
        return next(
            file
            for copy in itertools.count()
            if not os.path.lexists(file := self.plane_path(name, height, width, copy))
        )

    def is_plane_name(self, file: str, name: str, height: int, width: int) -> bool:
        """Return whether `file` is a file name that such a plane may have."""
        stem = self.plane_path(name, height, width).stem
        return re.fullmatch(rf"{stem}(-[1-9]\d{{0,5}})?\.plane", file) is not None


@dataclass(frozen=True)
class SharedMappedStore(MappedStore):
    """Planes in files of a folder that all ranks share and create together; small ones, too, are files.

    The planes have no names: what is kept for a later run is a copy.
    """

    group: Communicator = SINGLE

    @property
    def comm(self) -> Communicator:
        """The ranks that share the folder."""
        return self.group

    def zeros(self, channels: int, height: int, width: int, name: str = "") -> Tensor:
        """Create a file on rank 0 and open it on the others; it disappears with the last reference."""
        group = self.group
        file_name = group.broadcast(_temporary_name())
        file = self.plane_path(file_name, height, width)
        plane = self._create_plane(file, channels, height, width) if group.is_rank_zero else None
        group.barrier()
        if plane is None:
            plane = self.open_plane(file, channels, height, width)
        group.barrier()
        if group.is_rank_zero:
            _unlink(file)
        return plane


def _unlink(file: Path) -> None:
    """Remove a file whose name is not needed; if that fails, it is removed with its work folder."""
    with contextlib.suppress(OSError):
        if not ownership.remove_owned(file):  # in a folder that is not a work folder
            file.unlink(missing_ok=True)


def _open_temporary(path: str, flags: int) -> int:
    """Open a file that Windows removes after its last use; elsewhere an open file can be removed."""
    return os.open(path, flags | getattr(os, "O_TEMPORARY", 0), 0o666)


def _temporary_name() -> str:
    """Return a random name for a temporary plane."""
    return f"nameless-{os.urandom(6).hex()}"


def _allocate(descriptor: int, count: int) -> None:
    """Allocate the disk blocks of a file, or set its length where the file system cannot."""
    try:
        os.posix_fallocate(descriptor, 0, count)
    except (AttributeError, OSError) as error:  # some systems and drives do not support it
        if isinstance(error, OSError) and not is_unsupported(error):
            raise
        os.ftruncate(descriptor, count)


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


def _map_plane(descriptor: int, channels: int, height: int, width: int, file: Path) -> Tensor:
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
