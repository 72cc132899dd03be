"""What mapped pixels were before they were stepped: the way back to a checkpoint.

A checkpoint of a canvas too large to be copied is the canvas itself, plus this record of every part of it that
has been changed since. The record of a part is on the disk before the part is changed.
"""

from __future__ import annotations

import os
import struct
import zlib
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import BinaryIO

import numpy as np
import torch
from torch import Tensor

from tilestyle.canvas import Canvas
from tilestyle.errors import WorkError
from tilestyle.geometry import Box
from tilestyle.planes import touched

# Box, bytes of what follows, and its checksum.
HEADER = struct.Struct("<4i q I")


class Journal:
    """An open record; one thread writes it beside the one that renders."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.bytes = 0
        self._file = path.open("wb", buffering=0)
        self._writer = ThreadPoolExecutor(1)
        self._pending: list[Future[None]] = []

    def add(self, canvas: Canvas, box: Box) -> None:
        """Begin to write down what is under the box."""
        self.bytes += HEADER.size + box.area * sum(4 * len(plane) for plane in canvas.planes.values())
        self._pending.append(self._writer.submit(self._write, canvas, box))

    def settle(self) -> None:
        """Wait until all that was added is on the disk. Raises OSError."""
        waiting, self._pending = self._pending, []
        for future in waiting:
            future.result()

    def close(self) -> None:
        """End it; the file stays."""
        self._writer.shutdown()
        self._file.close()

    def _write(self, canvas: Canvas, box: Box) -> None:
        parts = [view.numpy() for view in _views(canvas, box)]
        content = b"".join(np.ascontiguousarray(part).tobytes() for part in parts)
        header = HEADER.pack(box.top, box.left, box.height, box.width, len(content), zlib.crc32(content))
        _write_all(self._file, header)
        _write_all(self._file, content)
        os.fdatasync(self._file.fileno()) if hasattr(os, "fdatasync") else os.fsync(self._file.fileno())


def undo(path: Path, canvas: Canvas) -> None:
    """Put everything back as it was when the journal began, the last change first; without a journal, nothing.

    What was being written down when the program was killed had not been changed yet, and is passed over. Raises
    WorkError when the journal is damaged.
    """
    if not path.exists():
        return
    with path.open("rb") as file:
        for start, box in reversed(_index(file)):
            file.seek(start)
            _, count, checksum = _unpacked(file.read(HEADER.size))
            content = file.read(count)
            if zlib.crc32(content) == checksum:
                _put_back(canvas, box, content)
            elif start + HEADER.size + count != os.fstat(file.fileno()).st_size:
                raise WorkError(f"{path} is damaged", hint="begin anew with --restart")


def _index(file: BinaryIO) -> list[tuple[int, Box]]:
    """Where whole records begin, and what they are of."""
    size, start, found = os.fstat(file.fileno()).st_size, 0, []
    while start + HEADER.size <= size:
        file.seek(start)
        box, count, _ = _unpacked(file.read(HEADER.size))
        if start + HEADER.size + count <= size:
            found.append((start, box))
        start += HEADER.size + count
    return found


def _unpacked(header: bytes) -> tuple[Box, int, int]:
    top, left, height, width, count, checksum = HEADER.unpack(header)
    return Box(top, left, height, width), count, checksum


def _put_back(canvas: Canvas, box: Box, content: bytes) -> None:
    values, start = torch.frombuffer(bytearray(content), dtype=torch.float32), 0
    for view in _views(canvas, box):
        view.copy_(values[start : start + view.numel()].view(view.shape))
        start += view.numel()
        touched(view)


def _views(canvas: Canvas, box: Box) -> Iterator[Tensor]:
    for views, _, _ in canvas.views(box):
        yield from views.values()


def _write_all(file: BinaryIO, content: bytes) -> None:
    rest = memoryview(content)
    while rest:
        rest = rest[file.write(rest) :]
