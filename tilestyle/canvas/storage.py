"""Where planes [C, H, W] are stored: in host memory, on a device, or in memory-mapped files."""

from __future__ import annotations

import contextlib
import errno
import itertools
import os
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import torch
from torch import Tensor

from tilestyle.canvas.mapped_pages import map_plane
from tilestyle.config.byte_size import format_bytes
from tilestyle.distributed import SINGLE, Communicator
from tilestyle.errors import DiskError, OutputError, TilestyleError
from tilestyle.files import ownership
from tilestyle.files.durable import is_unsupported

CPU = torch.device("cpu")
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
                return map_plane(handle.fileno(), channels, height, width, file)
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
            return map_plane(handle.fileno(), channels, height, width, file)

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
