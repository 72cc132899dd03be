"""Checksums of a canvas by bands of rows: what was changed is counted anew, the rest is known."""

from __future__ import annotations

import zlib
from collections.abc import Callable, Iterable, Sequence

import numpy as np
from torch import Tensor

from tilestyle.canvas.canvas import Canvas
from tilestyle.canvas.storage import touched
from tilestyle.geometry.boxes import Box

BAND = 64  # rows


class Sums:
    """The checksums of one canvas, CRC-32 of the rows of all its planes."""

    def __init__(self, height: int, known: Sequence[int] | None = None) -> None:
        self._height = height
        self._known: list[int | None] = [None] * count(height) if known is None else list(known)

    def mark(self, *boxes: Box) -> None:
        """Say that pixels under boxes of the torus are going to be changed."""
        for box in boxes:
            for top, bottom in _spans(box, self._height):
                for band in range(top // BAND, -(-bottom // BAND)):
                    self._known[band] = None

    def of(self, canvas: Canvas) -> list[int]:
        """All of them; those of bands that were marked are counted."""
        for band, known in enumerate(self._known):
            if known is None:
                self._known[band] = _sum(rows_of(canvas, band).values())
        return [value for value in self._known if value is not None]


def count(height: int) -> int:
    """How many bands there are."""
    return -(-height // BAND)


def rows_of(canvas: Canvas, band: int) -> dict[str, Tensor]:
    """Views of the rows of a band in all planes."""
    rows = slice(band * BAND, min((band + 1) * BAND, canvas.extent.height))
    return {name: plane[:, rows] for name, plane in canvas.planes.items()}


def mismatch(
    canvas: Canvas, sums: Sequence[int], restored: Callable[[int, dict[str, Tensor]], None]
) -> int | None:
    """The first band that would not have its checksum; None where all are right.

    `restored` changes copies of a band's rows to what they are going to be. The canvas is only read.
    """
    for band, expected in enumerate(sums):
        rows = {name: view.clone() for name, view in rows_of(canvas, band).items()}
        touched(*rows_of(canvas, band).values())
        restored(band, rows)
        if _sum(rows.values()) != expected:
            return band
    return None


def _sum(rows: Iterable[Tensor]) -> int:
    found = 0
    for view in rows:
        for channel in view:
            found = zlib.crc32(np.ascontiguousarray(channel.numpy()).data, found)
        touched(view)
    return found


def _spans(box: Box, height: int) -> list[tuple[int, int]]:
    """Rows under a box of the torus, first and end."""
    if not box.area:
        return []
    top, bottom = box.top % height, box.top % height + box.height
    return [(top, min(bottom, height)), (0, max(0, min(bottom - height, height)))]
