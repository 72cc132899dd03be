"""Checksums of a canvas by bands of rows: only bands that have changed are computed again."""

from __future__ import annotations

import zlib
from collections.abc import Callable, Iterable, Sequence

import numpy as np
from torch import Tensor

from tilestyle.canvas.canvas import Canvas
from tilestyle.canvas.mapped_pages import note_mapped_access
from tilestyle.geometry.boxes import Box

BAND_ROWS = 64  # rows per checksum


class BandChecksums:
    """Keeps the checksums of one canvas: the CRC-32 of each band of rows, over all planes."""

    def __init__(self, height: int, known: Sequence[int] | None = None) -> None:
        """Start with known checksums, or with none.

        Args:
            height: Rows of the canvas.
            known: Checksum of every band, if they are known.
        """
        self._height = height
        self._checksums: list[int | None] = [None] * band_count(height) if known is None else list(known)

    def invalidate(self, *boxes: Box) -> None:
        """Note that the pixels in these boxes of the torus are about to change."""
        for box in boxes:
            for top, bottom in _row_spans(box, self._height):
                for band in range(top // BAND_ROWS, -(-bottom // BAND_ROWS)):
                    self._checksums[band] = None

    def checksums(self, canvas: Canvas) -> list[int]:
        """Return the checksum of every band, computing those that were marked."""
        for band, known in enumerate(self._checksums):
            if known is None:
                self._checksums[band] = _crc(band_rows(canvas, band).values())
        return [value for value in self._checksums if value is not None]


def band_count(height: int) -> int:
    """Return the number of bands."""
    return -(-height // BAND_ROWS)


def band_rows(canvas: Canvas, band: int) -> dict[str, Tensor]:
    """Return views of the rows of a band in all planes, each [C, rows, W]."""
    rows = slice(band * BAND_ROWS, min((band + 1) * BAND_ROWS, canvas.extent.height))
    return {name: plane[:, rows] for name, plane in canvas.planes.items()}


def first_mismatch(
    canvas: Canvas, sums: Sequence[int], restored: Callable[[int, dict[str, Tensor]], None]
) -> int | None:
    """Find the first band that would not have its checksum after a restore; None if all match.

    Args:
        canvas: The canvas, which is only read.
        sums: Expected checksum of every band.
        restored: Called with a band and copies of its rows; changes the copies to their restored values.
    """
    for band, expected in enumerate(sums):
        rows = {name: view.clone() for name, view in band_rows(canvas, band).items()}
        note_mapped_access(*band_rows(canvas, band).values())
        restored(band, rows)
        if _crc(rows.values()) != expected:
            return band
    return None


def _crc(rows: Iterable[Tensor]) -> int:
    """Return the CRC-32 of views of float32 rows."""
    checksum = 0
    for view in rows:
        for channel in view:
            checksum = zlib.crc32(np.ascontiguousarray(channel.numpy()).data, checksum)
        note_mapped_access(view)
    return checksum


def _row_spans(box: Box, height: int) -> list[tuple[int, int]]:
    """Return the row ranges (start, end) of a box of the torus."""
    if not box.area:
        return []
    top, bottom = box.top % height, box.top % height + box.height
    return [(top, min(bottom, height)), (0, max(0, min(bottom - height, height)))]
