"""The numbers of Deep Zoom: which part of a picture a tile shows, and the files of tiles that are written.

Level 0 is one pixel, and the last level the picture at full size. Tiles of a canvas that changes have the same
numbers and sizes as those of the finished picture, so a viewer need not notice when one becomes the other.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from math import ceil
from pathlib import Path

TILE, OVERLAP = 254, 1  # as images/deepzoom.py writes them
_NUMBERS = re.compile(r'(Height|Width)="(\d{1,9})"')
_MAX_BYTES = 2**16


@dataclass(frozen=True)
class TileBox:
    """A part of a picture at a size.

    Attributes:
        top: First row, pixels of the picture at full size; may be a fraction.
        left: First column.
        height: Height, pixels of the picture at full size.
        width: Width.
        rows: Height of the tile, pixels.
        columns: Width of the tile.
    """

    top: float
    left: float
    height: float
    width: float
    rows: int
    columns: int


@dataclass(frozen=True)
class StoredTiles:
    """The size of a picture that is written as tiles."""

    width: int
    height: int


def level_count(width: int, height: int) -> int:
    """Return the number of levels of a picture."""
    return (max(width, height) - 1).bit_length() + 1


def tile_box(width: int, height: int, level: int, x: int, y: int) -> TileBox | None:
    """Return what a tile shows; None if there is no such tile.

    Args:
        width: Width of the picture, pixels.
        height: Its height.
        level: Level of the tile.
        x: Its column.
        y: Its row.
    """
    levels = level_count(width, height)
    if not 0 <= level < levels or x < 0 or y < 0:
        return None
    factor = 2 ** (levels - 1 - level)
    columns, rows = ceil(width / factor), ceil(height / factor)  # of the picture at this level
    if x * TILE >= columns or y * TILE >= rows:
        return None
    left, top = max(0, x * TILE - OVERLAP), max(0, y * TILE - OVERLAP)
    right, bottom = min(columns, (x + 1) * TILE + OVERLAP), min(rows, (y + 1) * TILE + OVERLAP)
    across, down = width / columns, height / rows  # nearly the factor
    return TileBox(
        top * down, left * across, (bottom - top) * down, (right - left) * across, bottom - top, right - left
    )


def stored_tiles(descriptor: Path) -> StoredTiles | None:
    """Return the size of a picture that was written as tiles; None if it was not."""
    try:
        with descriptor.open("r", encoding="utf-8") as file:
            sides = dict(_NUMBERS.findall(file.read(_MAX_BYTES)))
        return StoredTiles(int(sides["Width"]), int(sides["Height"]))
    except (OSError, KeyError, ValueError):
        return None


def stored_tile(descriptor: Path, level: int, x: int, y: int) -> Path | None:
    """Return the file of a tile; None if there is none."""
    folder = descriptor.with_name(f"{descriptor.stem}_files") / f"{int(level)}"
    for suffix in (".jpg", ".png"):
        file = folder / f"{int(x)}_{int(y)}{suffix}"
        if file.is_file():
            return file
    return None
