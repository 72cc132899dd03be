"""What mapped pixels were before they were stepped: the way back to a checkpoint.

A checkpoint of a canvas too large to be copied is the canvas itself, plus this record of every part of it that
has been changed since. The record of a part is on the disk before the part is changed. Records are chained: the
checksum of each covers what it holds, where that belongs, and all records before it. Reading ends at the first
record that is not whole. Whether what was read is the way back is told by the checksums of the canvas
(checksums.py), before anything is changed.
"""

from __future__ import annotations

import os
import struct
import zlib
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

import numpy as np
import torch
from torch import Tensor

from tilestyle.canvas.canvas import PLANES, Canvas
from tilestyle.canvas.storage import touched
from tilestyle.files import ownership
from tilestyle.files.durable import synchronise
from tilestyle.geometry.boxes import Box, pieces
from tilestyle.pipeline.checksums import BAND

MAGIC = b"tilestyle journal 2\n"
NONCE = 16  # bytes
# Box, bytes of what follows, and the checksum.
HEADER, WHERE = struct.Struct("<4i q I"), struct.Struct("<4i q")
PIXEL = 4 * sum(channels for channels, _ in PLANES.values())  # bytes
READ = 2**24  # bytes at once


class Journal:
    """An open record; one thread writes it beside the one that renders."""

    def __init__(self, path: Path, nonce: bytes) -> None:
        """`nonce` is a number of NONCE bytes that no other journal has. Raises OSError."""
        self.path = path
        self.bytes = 0
        ownership.claim(path)
        self._file = path.open("wb", buffering=0)
        try:
            _write_all(self._file, MAGIC + nonce)
        except BaseException:
            self._file.close()
            raise
        self._writer = ThreadPoolExecutor(1)
        self._pending: list[Future[None]] = []
        self._chain = zlib.crc32(nonce)

    def add(self, canvas: Canvas, *boxes: Box) -> None:
        """Begin to write down what is under the boxes."""
        self.bytes += sum(HEADER.size + PIXEL * box.area for box in boxes)
        self._pending.append(self._writer.submit(self._write, canvas, boxes))

    def settle(self) -> None:
        """Wait until all that was added is on the disk. Raises OSError."""
        waiting, self._pending = self._pending, []
        for future in waiting:
            future.result()

    def close(self) -> None:
        """End it; the file stays."""
        self._writer.shutdown()
        self._file.close()

    def _write(self, canvas: Canvas, boxes: Sequence[Box]) -> None:
        for box in boxes:
            parts = [view.numpy() for view in _views(canvas, box)]
            content = b"".join(np.ascontiguousarray(part).tobytes() for part in parts)
            where = WHERE.pack(box.top, box.left, box.height, box.width, len(content))
            self._chain = zlib.crc32(content, zlib.crc32(where, self._chain))
            _write_all(self._file, where + struct.pack("<I", self._chain))
            _write_all(self._file, content)
        synchronise(self._file.fileno(), self.path, data_only=True)


@dataclass(frozen=True)
class Record:
    """One part of a canvas as it was."""

    start: int  # of its content in the file
    box: Box


def records(file: BinaryIO, nonce: bytes, height: int, width: int) -> list[Record]:
    """All records of a journal that are whole, in order, of a canvas of this height and width.

    What was being written down when the machine stopped had not been changed yet: it is left out. A journal
    with another nonce has no records.
    """
    file.seek(0)
    if file.read(len(MAGIC) + NONCE) != MAGIC + nonce:
        return []
    found: list[Record] = []
    chain, size = zlib.crc32(nonce), os.fstat(file.fileno()).st_size
    while len(header := file.read(HEADER.size)) == HEADER.size:
        top, left, rows, columns, count, checksum = HEADER.unpack(header)
        box, start = Box(top, left, rows, columns), file.tell()
        fits = 0 <= rows <= height and 0 <= columns <= width and count == PIXEL * box.area
        if not fits or start + count > size:
            break
        chain = zlib.crc32(header[: WHERE.size], chain)
        for done in range(0, count, READ):
            chain = zlib.crc32(file.read(min(READ, count - done)), chain)
        if chain != checksum:
            break
        if box.area:
            found.append(Record(start, box))
    return found


def undo(file: BinaryIO, found: Sequence[Record], canvas: Canvas) -> None:
    """Put everything back as it was when the journal began, the last change first."""
    for record in reversed(found):
        file.seek(record.start)
        for view in _views(canvas, record.box):
            values = np.frombuffer(file.read(4 * view.numel()), np.float32)
            view.copy_(torch.from_numpy(values.copy()).view(view.shape))
            touched(view)


def restoring(
    file: BinaryIO, found: Sequence[Record], canvas: Canvas
) -> Callable[[int, dict[str, Tensor]], None]:
    """A function that makes copies of a band's rows (checksums.py) what `undo` would make them."""
    parts = _by_band(found, canvas)

    def restore(band: int, rows: dict[str, Tensor]) -> None:
        for part in reversed(parts.get(band, [])):
            part.read(file, band * BAND, rows)

    return restore


@dataclass(frozen=True)
class _Part:
    """A piece of a record that crosses no edge of the torus."""

    start: int  # of its content in the file
    box: Box

    def read(self, file: BinaryIO, first: int, rows: dict[str, Tensor]) -> None:
        """Copy what it has of the rows from `first` on."""
        start, box = self.start, self.box
        count = next(iter(rows.values())).shape[1]
        top, bottom = max(first, box.top), min(first + count, box.top + box.height)
        for plane in rows.values():
            for channel in plane:
                file.seek(start + 4 * (top - box.top) * box.width)
                values = np.frombuffer(file.read(4 * (bottom - top) * box.width), np.float32)
                into = channel[top - first : bottom - first, box.left : box.left + box.width]
                into.copy_(torch.from_numpy(values.copy()).view(into.shape))
                start += 4 * box.area


def _by_band(found: Sequence[Record], canvas: Canvas) -> dict[int, list[_Part]]:
    """The pieces of records that have rows of a band, in order."""
    bands: dict[int, list[_Part]] = {}
    for record in found:
        start = record.start
        for box, _, _ in pieces(record.box, canvas.extent.height, canvas.extent.width):
            for band in range(box.top // BAND, -(-(box.top + box.height) // BAND)):
                bands.setdefault(band, []).append(_Part(start, box))
            start += PIXEL * box.area
    return bands


def _views(canvas: Canvas, box: Box) -> Iterator[Tensor]:
    for views, _, _ in canvas.views(box):
        yield from views.values()


def _write_all(file: BinaryIO, content: bytes) -> None:
    rest = memoryview(content)
    while rest:
        rest = rest[file.write(rest) :]
