"""Tensors in a file: a zip of .npy members, unpacked, written and read a few rows at a time.

What numpy calls .npz, so that other programs can read it; each member has a checksum, nothing is pickled.
"""

from __future__ import annotations

import zipfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import IO

import numpy as np
import torch
from torch import Tensor

from tilestyle.errors import WorkError
from tilestyle.planes import touched

PIECE = 2**24  # bytes at once

# Where a member goes: asked with its name and shape; None for new memory.
Place = Callable[[str, tuple[int, ...]], Tensor | None]


def save(file: IO[bytes], tensors: Mapping[str, Tensor]) -> None:
    """Write tensors of any numpy type under their names."""
    with zipfile.ZipFile(file, "w") as archive:
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


def load(
    path: Path,
    place: Place = lambda name, shape: None,
    wanted: Callable[[str], bool] = lambda name: True,
) -> dict[str, Tensor]:
    """Read them all, or those that are wanted. Raises WorkError when the file is not what was written."""
    found = {}
    try:
        with zipfile.ZipFile(path) as archive:
            for info in archive.infolist():
                name = info.filename.removesuffix(".npy")
                if not wanted(name):
                    continue
                with archive.open(info) as member:
                    found[name] = _read(member, name, place)
    except (OSError, EOFError, ValueError, KeyError, zipfile.BadZipFile) as error:
        raise WorkError(f"{path} is damaged ({error})", hint="begin anew with --restart") from error
    return found


def _read(member: IO[bytes], name: str, place: Place) -> Tensor:
    version = np.lib.format.read_magic(member)
    if version != (2, 0):
        raise ValueError(f"{name} is of version {version}")
    shape, _, dtype = np.lib.format.read_array_header_2_0(member)
    tensor = place(name, shape)
    if tensor is None:
        tensor = torch.from_numpy(np.empty(shape, dtype))
    for part in _parts(tensor):
        content = member.read(part.numel() * dtype.itemsize)
        values = np.frombuffer(content, dtype).reshape(tuple(part.shape))
        part.copy_(torch.from_numpy(values.copy()))
        touched(part)
    if member.read(1):
        raise ValueError(f"{name} is longer than its shape {shape}")
    return tensor


def _parts(tensor: Tensor) -> list[Tensor]:
    """Views of a tensor, in order, of a few rows each."""
    if tensor.ndim < 3:
        return [tensor]
    row = max(1, tensor[0, :1].numel() * tensor.element_size())
    return [part for plane in tensor for part in plane.split(max(1, PIECE // row))]
