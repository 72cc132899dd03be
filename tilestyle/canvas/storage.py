"""Where planes [C, H, W] live: in memory, on a device, or in files that are mapped into memory.

A mapped plane is a tensor like any other. What has been touched of it counts as this process's memory until the
system takes it back, which it does late; so whoever goes through planes says how much has been `touched`, and
now and then all of it is handed back. It stays in the system's cache of files as long as there is room.
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

from tilestyle.config.byte_size import size_of
from tilestyle.distributed import ALONE, Ranks
from tilestyle.errors import DiskError, MemoryLimit, OutputError, TilestyleError
from tilestyle.files import ownership
from tilestyle.files.durable import is_unsupported, unsynchronised

CPU = torch.device("cpu")
# Bytes of mapped planes that may be in memory at once.
RESIDENT = 256 * 2**20
# Bytes that the system maps around one that is read, where it has them at hand.
AROUND = 2**16
# Pixels of a plane that is not worth a file.
SMALL = 2 * 2**20


class Store(Protocol):
    """A place for planes."""

    @property
    def device(self) -> torch.device:
        """What computes on planes that live here."""

    @property
    def ranks(self) -> Ranks:
        """Who shares them."""

    def zeros(self, channels: int, height: int, width: int, name: str = "") -> Tensor:
        """A float32 plane of zeros; kept under its name, if it has one and the place keeps anything."""

    def empty(self, channels: int, height: int, width: int) -> Tensor:
        """A float32 plane to be filled."""


@dataclass(frozen=True)
class Memory:
    """On a device, or in the RAM of the host."""

    device: torch.device = CPU

    @property
    def ranks(self) -> Ranks:
        """Nobody else."""
        return ALONE

    def zeros(self, channels: int, height: int, width: int, name: str = "") -> Tensor:
        """In new memory."""
        return torch.zeros(channels, height, width, device=self.device)

    def empty(self, channels: int, height: int, width: int) -> Tensor:
        """In new memory."""
        return torch.empty(channels, height, width, device=self.device)


@dataclass(frozen=True)
class Folder:
    """In files of a folder; small ones in memory. A plane without a name is gone when nobody has it."""

    path: Path
    device: torch.device = CPU

    @property
    def ranks(self) -> Ranks:
        """Nobody else."""
        return ALONE

    def zeros(self, channels: int, height: int, width: int, name: str = "") -> Tensor:
        """In a new file, whose blocks are taken at once: a full disk shows here, not later."""
        if height * width <= SMALL:
            return torch.zeros(channels, height, width)
        file = self._new(name, height, width) if name else self.file(_nameless(), height, width)
        plane = self._made(file, channels, height, width, lasting=bool(name))
        if not name:
            _forget(file)  # the blocks stay until the last mapping goes
        return plane

    def _made(self, file: Path, channels: int, height: int, width: int, *, lasting: bool = False) -> Tensor:
        count = channels * height * width
        try:
            ownership.claim(file, lasting=lasting)
            with file.open("w+b") as handle:
                _allocate(handle.fileno(), 4 * count)
                return _mapped(handle.fileno(), channels, height, width, file)
        except TilestyleError:
            raise
        except OSError as error:
            _forget(file)
            if error.errno not in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG):
                raise OutputError(
                    f"{file} cannot be made ({error.strerror})", hint="give a --work-dir on another drive"
                ) from error
            raise DiskError(
                f"the disk of {self.path} has no room for {size_of(4 * count)} more",
                hint="make room and run it again: what is done is kept; or give another --work-dir",
            ) from error

    def empty(self, channels: int, height: int, width: int) -> Tensor:
        """As `zeros`: what a new file holds."""
        return self.zeros(channels, height, width)

    def opened(self, file: Path, channels: int, height: int, width: int) -> Tensor:
        """The plane in a file of an earlier run, or of another rank. Raises ValueError."""
        size = 4 * channels * height * width
        if file.is_symlink() or not file.is_file() or file.stat().st_size != size:
            raise ValueError(f"{file.name} is missing or of a wrong length")
        with file.open("r+b") as handle:
            return _mapped(handle.fileno(), channels, height, width, file)

    def file(self, name: str, height: int, width: int, copy: int = 0) -> Path:
        """Where a plane lies; planes of the same name and size are told apart by a number."""
        return self.path / f"{name}-{width}x{height}{f'-{copy}' if copy else ''}.plane"

    def _new(self, name: str, height: int, width: int) -> Path:
        """A file that is not there yet. Two levels may be of one size: the canvas before is read, and kept."""
        return next(
            file
            for copy in itertools.count()
            if not os.path.lexists(file := self.file(name, height, width, copy))
        )

    def holds(self, file: str, name: str, height: int, width: int) -> bool:
        """Whether this is what a file of such a plane may be called."""
        plain = self.file(name, height, width).stem
        return re.fullmatch(rf"{plain}(-[1-9]\d{{0,5}})?\.plane", file) is not None


@dataclass(frozen=True)
class Shared(Folder):
    """In files of a folder, small ones, too: all ranks have the same planes, and make them together.

    No plane has a name there: what is kept is a copy.
    """

    company: Ranks = ALONE

    @property
    def ranks(self) -> Ranks:
        """Those who have the folder."""
        return self.company

    def zeros(self, channels: int, height: int, width: int, name: str = "") -> Tensor:
        """In a new file, which the first rank makes and the others open; gone when nobody has it."""
        ranks = self.company
        kept = ranks.told(_nameless())
        file = self.file(kept, height, width)
        plane = self._made(file, channels, height, width) if ranks.first else None
        ranks.meet()
        if plane is None:
            plane = self.opened(file, channels, height, width)
        ranks.meet()
        if ranks.first:
            _forget(file)
        return plane


def _forget(file: Path) -> None:
    """Remove a file whose name nobody needs; where that fails, it goes with its work folder."""
    with contextlib.suppress(OSError):
        if not ownership.remove(file):  # in a folder that is not one of ours
            file.unlink(missing_ok=True)


def _nameless() -> str:
    return f"nameless-{os.urandom(6).hex()}"


def _allocate(descriptor: int, count: int) -> None:
    try:
        os.posix_fallocate(descriptor, 0, count)
    except (AttributeError, OSError) as error:  # of which some systems and drives know nothing
        if isinstance(error, OSError) and not is_unsupported(error):
            raise
        os.ftruncate(descriptor, count)


class _Residents:
    """The mappings of this process, and how much of them has been touched since they were last handed back."""

    def __init__(self) -> None:
        self._maps: weakref.WeakValueDictionary[int, mmap.mmap] = weakref.WeakValueDictionary()
        self._files: dict[int, Path] = {}
        self._touched = 0

    def add(self, start: int, mapping: mmap.mmap, file: Path) -> None:
        self._files = {start: path for start, path in self._files.items() if start in self._maps}
        self._maps[start], self._files[start] = mapping, file

    def file(self, tensor: Tensor) -> Path:
        return self._files[tensor.untyped_storage().data_ptr()]

    def touch(self, count: int) -> None:
        if not self._maps:
            return
        self._touched += count
        if self._touched > RESIDENT // 2:
            self.hand_back()

    def hand_back(self) -> None:
        self._touched = 0
        if hasattr(mmap, "MADV_DONTNEED"):  # of a shared mapping, nothing written is lost
            for mapping in list(self._maps.values()):
                with contextlib.suppress(ValueError):  # closed meanwhile
                    mapping.madvise(mmap.MADV_DONTNEED)

    def holder(self, tensor: Tensor) -> mmap.mmap | None:
        return self._maps.get(tensor.untyped_storage().data_ptr())


_residents = _Residents()


def _mapped(descriptor: int, channels: int, height: int, width: int, file: Path) -> Tensor:
    count = 4 * channels * height * width
    try:
        mapping = mmap.mmap(descriptor, count)
    except OSError as error:
        if error.errno != errno.ENOMEM:
            raise
        raise MemoryLimit(
            f"the system refuses to map {size_of(count)} of a file into memory",
            hint="render a smaller picture, or raise the limit of address space (ulimit -v)",
        ) from error
    plane = torch.frombuffer(mapping, dtype=torch.float32).view(channels, height, width)
    _residents.add(plane.data_ptr(), mapping, file)
    return plane


def file_of(plane: Tensor) -> Path:
    """The file that a mapped plane lies in."""
    return _residents.file(plane)


def is_mapped(plane: Tensor) -> bool:
    """Whether a plane lies in a file."""
    return _residents.holder(plane) is not None


def touched(*views: Tensor, times: int = 1) -> None:
    """Say that these parts of planes, or so many as large, have been read or written."""
    _residents.touch(times * sum(map(_mapped_bytes, views)))


def _mapped_bytes(view: Tensor) -> int:
    """Bytes that come into memory with a part of a plane: a piece of a row brings its surroundings along."""
    size = view.element_size()
    if view.ndim < 3 or view.is_contiguous():
        return view.numel() * size
    row, pitch = view.shape[-1] * size, view.stride(-2) * size
    return view.shape[0] * view.shape[1] * min(pitch, row + AROUND)


def touched_bytes(count: int) -> None:
    """Say the same of so many bytes."""
    _residents.touch(count)


def relieved(strips: Iterable[NDArray[np.float32]]) -> Iterator[NDArray[np.float32]]:
    """Strips of a picture whose planes may be mapped: what has been read is handed back."""
    for strip in strips:
        yield strip
        touched_bytes(strip.nbytes)


def hand_back() -> None:
    """Hand the memory of all mapped planes back to the system, which writes what is new to their files."""
    _residents.hand_back()


def synchronise(plane: Tensor) -> None:
    """Wait until all of a mapped plane is on the disk."""
    mapping = _residents.holder(plane)
    if mapping is None:
        return
    try:
        mapping.flush()
    except OSError as error:
        if not is_unsupported(error):
            raise
        unsynchronised()
