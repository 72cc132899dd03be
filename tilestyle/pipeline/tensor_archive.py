"""Tensors in a file: a zip of .npy members, unpacked, written and read a few rows at a time.

What numpy calls .npz, so that other programs can read it; each member has a checksum, nothing is pickled.
"""

from __future__ import annotations

import hashlib
import struct
import zipfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from math import prod
from pathlib import Path
from typing import IO, Any, cast

import numpy as np
import torch
from torch import Tensor

from tilestyle.canvas.storage import touched
from tilestyle.errors import TilestyleError, WorkError

PIECE = 2**24  # bytes at once
ANEW = "begin anew with --restart"
NUMBERS = "biuf"  # kinds of numpy types that are read

# Where a member goes: asked with its name and shape; None for new memory.
Place = Callable[[str, tuple[int, ...]], Tensor | None]


def save(file: IO[bytes] | Digesting, tensors: Mapping[str, Tensor]) -> None:
    """Write tensors of any numpy type under their names."""
    with zipfile.ZipFile(cast("IO[bytes]", file), "w") as archive:
        for name, tensor in tensors.items():
            with archive.open(f"{name}.npy", "w", force_zip64=True) as member:
                header = {
                    "descr": np.lib.format.dtype_to_descr(tensor.new_empty(0).numpy(force=True).dtype),
                    "fortran_order": False,
                    "shape": tuple(tensor.shape),
                }
                np.lib.format.write_array_header_2_0(member, header)
                for part in _parts(tensor):
                    member.write(np.ascontiguousarray(part.numpy(force=True)).data)
                    touched(part)


class Digesting:
    """A file that can only be written, from its beginning to its end, and its length and digest."""

    def __init__(self, file: IO[bytes]) -> None:
        self._file = file
        self._sum = hashlib.sha256()
        self.size = 0

    def write(self, content: Any) -> int:
        """Write bytes."""
        view = memoryview(content)
        if not view.nbytes:
            return 0
        view = view.cast("B")
        self._sum.update(view)
        self.size += len(view)
        self._file.write(view)
        return len(view)

    def flush(self) -> None:
        """Hand what was written to the system."""
        self._file.flush()

    @property
    def sha256(self) -> str:
        """The digest of what was written."""
        return self._sum.hexdigest()


def check(path: Path, size: int, sha256: str) -> None:
    """Raise WorkError unless a file has this length and digest."""
    try:
        if path.is_symlink() or not path.is_file():
            raise WorkError(f"{path} is missing", hint=ANEW)
        same = path.stat().st_size == size
        if same:
            with path.open("rb") as file:
                same = hashlib.file_digest(file, "sha256").hexdigest() == sha256
    except OSError as error:
        raise WorkError(f"{path} cannot be read ({error.strerror})", hint="check the disk") from error
    if not same:
        raise WorkError(f"{path} is damaged", hint=ANEW)


def shapes(path: Path) -> dict[str, tuple[int, ...]]:
    """The shapes of all tensors in a file. Raises WorkError when the file is not what was written."""
    found: dict[str, tuple[int, ...]] = {}
    for name, member, size in _members(path):
        with _translated(path):
            found[name] = _header(member, name, size)[0]
    return found


def load(
    path: Path,
    place: Place = lambda name, shape: None,
    wanted: Callable[[str], bool] = lambda name: True,
) -> dict[str, Tensor]:
    """Read them all, or those that are wanted. Raises WorkError when the file is not what was written."""
    found = {}
    for name, member, size in _members(path):
        if wanted(name):
            with _translated(path):
                found[name] = _read(member, name, size, place)
    return found


def _members(path: Path) -> Iterator[tuple[str, IO[bytes], int]]:
    """Every tensor's name, its file, and how long that is."""
    with _translated(path), zipfile.ZipFile(path) as archive:
        for info in archive.infolist():
            name = info.filename.removesuffix(".npy")
            if info.compress_type != zipfile.ZIP_STORED or info.file_size > info.compress_size:
                raise ValueError(f"{name} is packed")
            with archive.open(info) as member:
                yield name, member, info.file_size


@contextmanager
def _translated(path: Path) -> Iterator[None]:
    try:
        yield
    except TilestyleError:
        raise
    except _FOREIGN as error:
        reason = " ".join(str(error).split())[:80] or type(error).__name__
        raise WorkError(f"{path} is damaged ({reason})", hint=ANEW) from error


# What zipfile and numpy raise for a file that is damaged or made to harm.
_FOREIGN = (
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


def _read(member: IO[bytes], name: str, size: int, place: Place) -> Tensor:
    shape, dtype = _header(member, name, size)
    tensor = place(name, shape)
    if tensor is None:
        tensor = torch.from_numpy(np.empty(shape, dtype))
    for part in _parts(tensor):
        content = member.read(part.numel() * dtype.itemsize)
        values = np.frombuffer(content, dtype).reshape(tuple(part.shape))
        part.copy_(torch.from_numpy(values.copy()))
        touched(part)
    if member.read(1):  # also where zipfile finds a wrong checksum
        raise ValueError(f"{name} is longer than its shape {shape}")
    return tensor


def _header(member: IO[bytes], name: str, size: int) -> tuple[tuple[int, ...], np.dtype[Any]]:
    """The shape and type of a tensor, of which its file has the length."""
    version = np.lib.format.read_magic(member)
    if version != (2, 0):
        raise ValueError(f"{name} is of version {version}")
    shape, _, dtype = np.lib.format.read_array_header_2_0(member)
    if dtype.kind not in NUMBERS or member.tell() + prod(shape) * dtype.itemsize != size:
        raise ValueError(f"{name} is not of its shape {shape}")
    return shape, dtype


def _parts(tensor: Tensor) -> list[Tensor]:
    """Views of a tensor, in order, of a few rows each."""
    if tensor.ndim < 3:
        return [tensor]
    row = max(1, tensor[0, :1].numel() * tensor.element_size())
    return [part for plane in tensor for part in plane.split(max(1, PIECE // row))]
