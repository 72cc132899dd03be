"""Save and load tensors in an uncompressed zip file of .npy members, a few rows at a time.

This is numpy's .npz format, so other programs can read it. Each member has a checksum, and nothing is pickled.
"""

from __future__ import annotations

import hashlib
import struct
import zipfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from math import prod
from pathlib import Path
from typing import IO, Any, cast

import numpy as np
import torch
from torch import Tensor

from tilestyle.canvas.mapped_pages import note_mapped_access
from tilestyle.errors import TilestyleError, WorkError
from tilestyle.files.durable import fsync_file

CHUNK_BYTES = 2**24  # bytes written or read at a time
RESTART_HINT = "start over with --restart"
NUMPY_KINDS = "biuf"  # kinds of numpy types that can be loaded

# Chooses where a tensor goes, from its name and shape: a tensor to fill, or None for new memory.
Destination = Callable[[str, tuple[int, ...]], Tensor | None]


def save_tensors(file: IO[bytes] | HashingWriter, tensors: Mapping[str, Tensor]) -> None:
    """Write tensors of any numpy type.

    Args:
        file: Where the archive is written.
        tensors: The tensors by name.
    """
    with zipfile.ZipFile(cast("IO[bytes]", file), "w") as archive:
        for name, tensor in tensors.items():
            with archive.open(f"{name}.npy", "w", force_zip64=True) as member:
                header = {
                    "descr": np.lib.format.dtype_to_descr(tensor.new_empty(0).numpy(force=True).dtype),
                    "fortran_order": False,
                    "shape": tuple(tensor.shape),
                }
                np.lib.format.write_array_header_2_0(member, header)
                for part in _row_chunks(tensor):
                    member.write(np.ascontiguousarray(part.numpy(force=True)).data)
                    note_mapped_access(part)


class HashingWriter:
    """A write-only file that computes the length and SHA-256 of what is written."""

    def __init__(self, file: IO[bytes]) -> None:
        """Write to this file."""
        self._file = file
        self._hash = hashlib.sha256()
        self.size = 0

    def write(self, content: Any) -> int:
        """Write bytes, and return their number."""
        view = memoryview(content)
        if not view.nbytes:
            return 0
        view = view.cast("B")
        self._hash.update(view)
        self.size += len(view)
        self._file.write(view)
        return len(view)

    def flush(self) -> None:
        """Flush the file."""
        self._file.flush()

    @property
    def sha256(self) -> str:
        """The SHA-256 of what has been written, hexadecimal."""
        return self._hash.hexdigest()


def write_file(path: Path, tensors: Mapping[str, Tensor]) -> tuple[int, str]:
    """Write an archive to disk; nothing is left of it if that fails.

    Args:
        path: The file.
        tensors: The tensors by name.

    Returns:
        Length and SHA-256 of the file (`verify_file`).
    """
    try:
        with path.open("wb") as file:
            writer = HashingWriter(file)
            save_tensors(writer, tensors)
            file.flush()
            fsync_file(file.fileno(), path)
    except BaseException:
        with suppress(OSError):
            path.unlink(missing_ok=True)
        raise
    return writer.size, writer.sha256


def verify_file(path: Path, size: int, sha256: str) -> None:
    """Raise WorkError unless a file has this length in bytes and this SHA-256."""
    try:
        if path.is_symlink() or not path.is_file():
            raise WorkError(f"{path} is missing", hint=RESTART_HINT)
        same = path.stat().st_size == size
        if same:
            with path.open("rb") as file:
                same = hashlib.file_digest(file, "sha256").hexdigest() == sha256
    except OSError as error:
        raise WorkError(f"{path} cannot be read ({error.strerror})", hint="check the disk") from error
    if not same:
        raise WorkError(f"{path} is damaged", hint=RESTART_HINT)


def read_shapes(path: Path) -> dict[str, tuple[int, ...]]:
    """Return the shapes of all tensors in a file by name.

    Raises:
        WorkError: The file is damaged.
    """
    shapes_by_name: dict[str, tuple[int, ...]] = {}
    for name, member, size in _open_members(path):
        with _translating_errors(path):
            shapes_by_name[name] = _read_header(member, name, size)[0]
    return shapes_by_name


def load_tensors(
    path: Path,
    destination: Destination = lambda name, shape: None,
    select: Callable[[str], bool] = lambda name: True,
) -> dict[str, Tensor]:
    """Load the tensors of a file by name.

    Args:
        path: The file.
        destination: Chooses where each tensor goes; new memory by default.
        select: Whether to load the tensor of this name; all by default.

    Raises:
        WorkError: The file is damaged.
    """
    tensors = {}
    for name, member, size in _open_members(path):
        if select(name):
            with _translating_errors(path):
                tensors[name] = _read_tensor(member, name, size, destination)
    return tensors


def _open_members(path: Path) -> Iterator[tuple[str, IO[bytes], int]]:
    """Yield the name, the open member and the length in bytes of every tensor."""
    with _translating_errors(path), zipfile.ZipFile(path) as archive:
        for info in archive.infolist():
            name = info.filename.removesuffix(".npy")
            if info.compress_type != zipfile.ZIP_STORED or info.file_size > info.compress_size:
                raise ValueError(f"{name} is compressed")
            with archive.open(info) as member:
                yield name, member, info.file_size


@contextmanager
def _translating_errors(path: Path) -> Iterator[None]:
    """Raise WorkError for whatever zipfile and numpy raise for a damaged file."""
    try:
        yield
    except TilestyleError:
        raise
    except _DAMAGE_ERRORS as error:
        reason = " ".join(str(error).split())[:80] or type(error).__name__
        raise WorkError(f"{path} is damaged ({reason})", hint=RESTART_HINT) from error


# What zipfile and numpy raise for files that are damaged or malicious.
_DAMAGE_ERRORS = (
    OSError,
    EOFError,
    ValueError,
    TypeError,
    LookupError,
    ArithmeticError,
    NotImplementedError,
    RuntimeError,
    MemoryError,
    RecursionError,
    SyntaxError,
    struct.error,
    zipfile.BadZipFile,
)


def _read_tensor(member: IO[bytes], name: str, size: int, destination: Destination) -> Tensor:
    """Read a tensor, and check that its member ends there."""
    shape, dtype = _read_header(member, name, size)
    tensor = destination(name, shape)
    if tensor is None:
        tensor = torch.from_numpy(np.empty(shape, dtype))
    for part in _row_chunks(tensor):
        content = member.read(part.numel() * dtype.itemsize)
        values = np.frombuffer(content, dtype).reshape(tuple(part.shape))
        part.copy_(torch.from_numpy(values.copy()))
        note_mapped_access(part)
    if member.read(1):  # also where zipfile finds a wrong checksum
        raise ValueError(f"{name} is longer than its shape {shape}")
    return tensor


def _read_header(member: IO[bytes], name: str, size: int) -> tuple[tuple[int, ...], np.dtype[Any]]:
    """Read the shape and type of a tensor, and check them against the length of its member."""
    version = np.lib.format.read_magic(member)
    if version != (2, 0):
        raise ValueError(f"{name} has the unsupported .npy version {version}")
    shape, _, dtype = np.lib.format.read_array_header_2_0(member)
    if dtype.kind not in NUMPY_KINDS or member.tell() + prod(shape) * dtype.itemsize != size:
        raise ValueError(f"the length of {name} does not match its shape {shape}")
    return shape, dtype


def _row_chunks(tensor: Tensor) -> list[Tensor]:
    """Split a tensor [C, H, W] into views of a few rows of one channel, in order; smaller ones are one view."""
    if tensor.ndim < 3:
        return [tensor]
    row = max(1, tensor[0, :1].numel() * tensor.element_size())
    return [part for plane in tensor for part in plane.split(max(1, CHUNK_BYTES // row))]
