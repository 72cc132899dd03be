"""An undo journal of memory-mapped pixels, which leads back to a checkpoint.

A canvas too large to be copied is its own checkpoint, together with a record of every part that has changed
since. A part is recorded on disk before it changes. Records are chained: the checksum of each covers its
content, its box, and all records before it. Reading ends at the first incomplete record. Before anything is
rolled back, the checksums of the canvas (checksums.py) verify that the records lead back to the checkpoint.
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
from tilestyle.canvas.mapped_pages import note_mapped_access
from tilestyle.files import ownership
from tilestyle.files.durable import fsync_file
from tilestyle.geometry.boxes import Box, split_on_torus
from tilestyle.pipeline.checksums import BAND_ROWS

MAGIC = b"tilestyle journal 2\n"
NONCE_BYTES = 16  # bytes
# Header of a record: box, bytes of the content, checksum. The checksum covers the first two.
HEADER, BOX_HEADER = struct.Struct("<4i q I"), struct.Struct("<4i q")
PIXEL_BYTES = 4 * sum(channels for channels, _ in PLANES.values())  # bytes of a pixel in all planes
READ_BYTES = 2**24  # bytes read at a time


class Journal:
    """An open journal. A thread writes it in parallel to the rendering."""

    def __init__(self, path: Path, nonce: bytes) -> None:
        """Create the file of a journal.

        Args:
            path: The file.
            nonce: Random number of NONCE bytes that identifies the journal.

        Raises:
            OSError: The file cannot be written.
        """
        self.path = path
        self.size = 0
        ownership.claim(path)
        self._file = path.open("wb", buffering=0)
        try:
            _write_all(self._file, MAGIC + nonce)
        except BaseException:
            self._file.close()
            raise
        self._writer = ThreadPoolExecutor(1)
        self._pending: list[Future[None]] = []
        self._checksum = zlib.crc32(nonce)

    def record(self, canvas: Canvas, *boxes: Box) -> None:
        """Start to record what is in these boxes."""
        self.size += sum(HEADER.size + PIXEL_BYTES * box.area for box in boxes)
        self._pending.append(self._writer.submit(self._write, canvas, boxes))

    def flush(self) -> None:
        """Wait until everything added is on disk.

        Raises:
            OSError: It cannot be written.
        """
        writes, self._pending = self._pending, []
        for future in writes:
            future.result()

    def close(self) -> None:
        """Close the journal; the file stays."""
        self._writer.shutdown()
        self._file.close()

    def _write(self, canvas: Canvas, boxes: Sequence[Box]) -> None:
        """Write the records of some boxes, in the thread of the journal."""
        for box in boxes:
            parts = [view.numpy() for view in _views(canvas, box)]
            content = b"".join(np.ascontiguousarray(part).tobytes() for part in parts)
            header = BOX_HEADER.pack(box.top, box.left, box.height, box.width, len(content))
            self._checksum = zlib.crc32(content, zlib.crc32(header, self._checksum))
            _write_all(self._file, header + struct.pack("<I", self._checksum))
            _write_all(self._file, content)
        fsync_file(self._file.fileno(), self.path, data_only=True)


@dataclass(frozen=True)
class Record:
    """A part of a canvas as it was."""

    start: int  # offset of the content in the file
    box: Box


def read_records(file: BinaryIO, nonce: bytes, height: int, width: int) -> list[Record]:
    """Read all complete records of a journal.

    A record that was being written when the machine stopped is left out: its part had not changed yet.

    Args:
        file: The journal.
        nonce: Expected nonce; a journal with another one has no valid records.
        height: Rows of the canvas.
        width: Columns of the canvas.

    Returns:
        The records, in the order of writing.
    """
    file.seek(0)
    if file.read(len(MAGIC) + NONCE_BYTES) != MAGIC + nonce:
        return []
    complete: list[Record] = []
    chain, size = zlib.crc32(nonce), os.fstat(file.fileno()).st_size
    while len(header := file.read(HEADER.size)) == HEADER.size:
        top, left, rows, columns, count, checksum = HEADER.unpack(header)
        box, start = Box(top, left, rows, columns), file.tell()
        fits = 0 <= rows <= height and 0 <= columns <= width and count == PIXEL_BYTES * box.area
        if not fits or start + count > size:
            break
        chain = zlib.crc32(header[: BOX_HEADER.size], chain)
        for done in range(0, count, READ_BYTES):
            chain = zlib.crc32(file.read(min(READ_BYTES, count - done)), chain)
        if chain != checksum:
            break
        if box.area:
            complete.append(Record(start, box))
    return complete


def roll_back(file: BinaryIO, records: Sequence[Record], canvas: Canvas) -> None:
    """Restore everything to what it was when the journal began, the last change first."""
    for record in reversed(records):
        file.seek(record.start)
        for view in _views(canvas, record.box):
            values = np.frombuffer(file.read(4 * view.numel()), np.float32)
            view.copy_(torch.from_numpy(values.copy()).view(view.shape))
            note_mapped_access(view)


def row_restorer(
    file: BinaryIO, records: Sequence[Record], canvas: Canvas
) -> Callable[[int, dict[str, Tensor]], None]:
    """Return a function that restores copies of a band's rows, as `roll_back` restores the canvas.

    The function takes the number of the band, and the rows (`checksums.rows_of`), which it changes.
    """
    parts = _parts_by_band(records, canvas)

    def restore(band: int, rows: dict[str, Tensor]) -> None:
        for part in reversed(parts.get(band, [])):
            part.copy_rows(file, band * BAND_ROWS, rows)

    return restore


@dataclass(frozen=True)
class _RecordPart:
    """A part of a record that does not cross an edge of the torus."""

    start: int  # offset of the content in the file
    box: Box

    def copy_rows(self, file: BinaryIO, first: int, rows: dict[str, Tensor]) -> None:
        """Copy the recorded pixels into rows of the canvas.

        Args:
            file: The journal.
            first: The first of these rows.
            rows: The rows of every plane, each [C, rows, W].
        """
        start, box = self.start, self.box
        count = next(iter(rows.values())).shape[1]
        top, bottom = max(first, box.top), min(first + count, box.top + box.height)
        for plane in rows.values():
            for channel in plane:
                file.seek(start + 4 * (top - box.top) * box.width)
                values = np.frombuffer(file.read(4 * (bottom - top) * box.width), np.float32)
                target = channel[top - first : bottom - first, box.left : box.left + box.width]
                target.copy_(torch.from_numpy(values.copy()).view(target.shape))
                start += 4 * box.area


def _parts_by_band(records: Sequence[Record], canvas: Canvas) -> dict[int, list[_RecordPart]]:
    """Return the parts of records that have rows of a band, in order, for every band."""
    bands: dict[int, list[_RecordPart]] = {}
    for record in records:
        start = record.start
        for box, _, _ in split_on_torus(record.box, canvas.extent.height, canvas.extent.width):
            for band in range(box.top // BAND_ROWS, -(-(box.top + box.height) // BAND_ROWS)):
                bands.setdefault(band, []).append(_RecordPart(start, box))
            start += PIXEL_BYTES * box.area
    return bands


def _views(canvas: Canvas, box: Box) -> Iterator[Tensor]:
    """Yield the views of all planes under a box, in the order of the file."""
    for views, _, _ in canvas.views(box):
        yield from views.values()


def _write_all(file: BinaryIO, content: bytes) -> None:
    """Write bytes to an unbuffered file, which may take only some of them at a time."""
    remaining = memoryview(content)
    while remaining:
        remaining = remaining[file.write(remaining) :]
