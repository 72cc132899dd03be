"""What mapped pixels were before they were stepped: the way back to a checkpoint.

A checkpoint of a canvas too large to be copied is the canvas itself, plus this record of every part of it that
has been changed since. The record of a part is on the disk before the part is changed.
"""

from __future__ import annotations

import os
import struct
import zlib
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

import numpy as np
import torch
from torch import Tensor

from tilestyle.canvas import Canvas
from tilestyle.errors import WorkError
from tilestyle.geometry import Box
from tilestyle.planes import touched

# Box, bytes of what follows, its checksum, and which were added with it.
HEADER = struct.Struct("<4i q 2I")


class Journal:
    """An open record; one thread writes it beside the one that renders."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.bytes = 0
        self._file = path.open("wb", buffering=0)
        self._writer = ThreadPoolExecutor(1)
        self._pending: list[Future[None]] = []
        self._count = 0  # times that something was added

    def add(self, canvas: Canvas, *boxes: Box) -> None:
        """Begin to write down what is under the boxes."""
        pixel = sum(4 * len(plane) for plane in canvas.planes.values())
        self.bytes += sum(HEADER.size + pixel * box.area for box in boxes)
        self._count += 1
        self._pending.append(self._writer.submit(self._write, canvas, boxes, self._count))

    def settle(self) -> None:
        """Wait until all that was added is on the disk. Raises OSError."""
        waiting, self._pending = self._pending, []
        for future in waiting:
            future.result()

    def close(self) -> None:
        """End it; the file stays."""
        self._writer.shutdown()
        self._file.close()

    def _write(self, canvas: Canvas, boxes: Sequence[Box], number: int) -> None:
        for box in boxes:
            parts = [view.numpy() for view in _views(canvas, box)]
            content = b"".join(np.ascontiguousarray(part).tobytes() for part in parts)
            checksum = zlib.crc32(content)
            header = HEADER.pack(box.top, box.left, box.height, box.width, len(content), checksum, number)
            _write_all(self._file, header)
            _write_all(self._file, content)
        os.fdatasync(self._file.fileno()) if hasattr(os, "fdatasync") else os.fsync(self._file.fileno())


def undo(path: Path, canvas: Canvas) -> None:
    """Put everything back as it was when the journal began, the last change first; without a journal, nothing.

    What was being written down when the machine stopped had not been changed yet, and is passed over: some of
    what was added last. Raises WorkError when the journal is damaged.
    """
    if not path.exists():
        return
    with path.open("rb") as file:
        records = _index(file)
        last = records[-1].number if records else 0
        for record in reversed(records):
            file.seek(record.start)
            content = file.read(record.count)
            if zlib.crc32(content) == record.checksum:
                _put_back(canvas, record.box, content)
            elif record.number != last:
                raise WorkError(f"{path} is damaged", hint="begin anew with --restart")


@dataclass(frozen=True)
class _Record:
    start: int  # of its content in the file
    box: Box
    count: int  # bytes of its content
    checksum: int
    number: int


def _index(file: BinaryIO) -> list[_Record]:
    """All whole records, in order."""
    size, start = os.fstat(file.fileno()).st_size, 0
    found: list[_Record] = []
    while start + HEADER.size <= size:
        file.seek(start)
        top, left, height, width, count, checksum, number = HEADER.unpack(file.read(HEADER.size))
        start += HEADER.size
        if count and start + count <= size:  # of a page that was not written there are zeros
            found.append(_Record(start, Box(top, left, height, width), count, checksum, number))
        start += count
    return found


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
