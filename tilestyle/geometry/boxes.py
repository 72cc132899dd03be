"""Boxes, patches and the torus that they lie on: integers only, no torch.

The canvas is a torus: a box may cross its bottom or right edge and then continues at the top or left.
So a grid of patches may start anywhere and all its patches keep their full size. The seam where
opposite edges meet lies in the margin, which is cropped from the finished picture.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import astuple, dataclass
from math import ceil

import numpy as np


@dataclass(frozen=True, slots=True)
class Box:
    """Half-open rectangle in pixels of a level's canvas; it may cross the edges of the torus."""

    top: int
    left: int
    height: int
    width: int

    @property
    def area(self) -> int:
        """Number of pixels inside."""
        return self.height * self.width

    def to_cells(self, stride: int) -> Box:
        """Return the same place in a plane of cells of `stride` x `stride` pixels.

        The box must begin and end on cells.
        """
        return Box(self.top // stride, self.left // stride, self.height // stride, self.width // stride)

    def scaled(self, factor: int) -> Box:
        """Return the same place in a plane that is `factor` times as fine."""
        return Box(self.top * factor, self.left * factor, self.height * factor, self.width * factor)

    def intersection(self, other: Box) -> Box:
        """Return the intersection with another box; its area is 0 where they do not meet."""
        top, left = max(self.top, other.top), max(self.left, other.left)
        bottom = min(self.top + self.height, other.top + other.height)
        right = min(self.left + self.width, other.left + other.width)
        return Box(top, left, max(0, bottom - top), max(0, right - left))

    def padded(self, halo: int) -> Box:
        """Return the box grown by `halo` pixels on every side."""
        return Box(self.top - halo, self.left - halo, self.height + 2 * halo, self.width + 2 * halo)


@dataclass(frozen=True, slots=True)
class Patch:
    """A part of the canvas that the network sees at once.

    Both boxes are in canvas pixels and multiples of `scale`.

    Attributes:
        owned: The box whose pixels this patch updates.
        read: The box that it sees: `owned` with its halo or apron.
        scale: Canvas pixels per patch pixel, along an axis.
    """

    owned: Box
    read: Box
    scale: int

    @property
    def owned_in_patch(self) -> Box:
        """Where `owned` lies in `read`, in patch pixels."""
        return Box(
            (self.owned.top - self.read.top) // self.scale,
            (self.owned.left - self.read.left) // self.scale,
            self.owned.height // self.scale,
            self.owned.width // self.scale,
        )

    def owned_cells(self, stride: int) -> Box:
        """Return the cells that the patch owns in a layer of this stride: those whose center it owns."""
        box = self.owned_in_patch
        top, bottom, left, right = (
            (edge + stride // 2) // stride
            for edge in (box.top, box.top + box.height, box.left, box.left + box.width)
        )
        return Box(top, left, bottom - top, right - left)

    @property
    def interior_and_borders(self) -> tuple[Box, list[Box]]:
        """`owned`, cut into an interior that no other patch reads and borders that others may read.

        Neighbors see each other's pixels as far as their halo or apron reaches, and one patch pixel more
        where an overlap is odd. Both the interior and the borders may be empty.
        """
        owned, read, pixel = self.owned, self.read, self.scale
        overlaps = (
            owned.top - read.top,
            read.top + read.height - owned.top - owned.height,
            owned.left - read.left,
            read.left + read.width - owned.left - owned.width,
        )
        top_border, bottom_border, left_border, right_border = (
            overlap + pixel if overlap else 0 for overlap in overlaps
        )
        rows, top_border = max(0, owned.height - top_border - bottom_border), min(top_border, owned.height)
        columns, left_border = max(0, owned.width - left_border - right_border), min(left_border, owned.width)
        interior = Box(owned.top + top_border, owned.left + left_border, rows, columns)
        bottom_row, right_column = interior.top + rows, interior.left + columns
        borders = [
            Box(owned.top, owned.left, top_border, owned.width),
            Box(bottom_row, owned.left, owned.top + owned.height - bottom_row, owned.width),
            Box(interior.top, owned.left, rows, left_border),
            Box(interior.top, right_column, rows, owned.left + owned.width - right_column),
        ]
        return interior, [border for border in borders if border.area]


@dataclass(frozen=True, slots=True)
class CanvasExtent:
    """Size of a canvas and where the picture lies in it, in pixels of one level.

    Attributes:
        height: Rows of the canvas.
        width: Columns of the canvas.
        picture: The picture's box; what lies around it is the margin.
        repeats: Whether the picture tiles (down, across). Along such an axis it fills the torus, without a
            margin.
    """

    height: int
    width: int
    picture: Box
    repeats: tuple[bool, bool] = (False, False)

    @property
    def area(self) -> int:
        """Pixels of the whole canvas, margin included."""
        return self.height * self.width


def canvas_extent(
    height: int, width: int, margin: int, unit: int, repeats: tuple[bool, bool] = (False, False)
) -> CanvasExtent:
    """Return the canvas of a picture, with a margin around it.

    Args:
        height: Rows of the picture. Along an axis that repeats the picture itself is rounded up.
        width: Columns of the picture.
        margin: Least width of the margin, pixels; an axis that repeats has none.
        unit: The sides of the canvas are multiples of this.
        repeats: Whether the picture tiles (down, across).
    """
    height, width = (
        round_up(length, unit) if repeat else length
        for length, repeat in zip((height, width), repeats, strict=True)
    )
    full_height = round_up(height + 2 * margin * (not repeats[0]), unit)
    full_width = round_up(width + 2 * margin * (not repeats[1]), unit)
    picture = Box((full_height - height) // 2, (full_width - width) // 2, height, width)
    return CanvasExtent(full_height, full_width, picture, repeats)


def split_on_torus(box: Box, height: int, width: int) -> Iterator[tuple[Box, int, int]]:
    """Cut a box at the edges of a `height` x `width` torus.

    Yields:
        (part, row, column): a box that lies inside the canvas, and where its corner is in the given box.

    Raises:
        ValueError: The box is larger than the torus, so that it would overlap itself.
    """
    if box.height > height or box.width > width:
        raise ValueError(f"{box} is larger than its {height} x {width} torus")
    for row, top, rows in _split_on_circle(box.top, box.height, height):
        for column, left, columns in _split_on_circle(box.left, box.width, width):
            yield Box(top, left, rows, columns), row, column


def _split_on_circle(start: int, length: int, period: int) -> Iterator[tuple[int, int, int]]:
    """Yield (offset in the span, position on the circle, length) of the parts of a span on a circle."""
    start %= period
    first = min(length, period - start)
    yield 0, start, first
    if first < length:
        yield first, 0, length - first


def any_overlap(box: Box, others: np.ndarray, height: int, width: int) -> bool:
    """Return whether a box shares pixels of the torus with any of the others.

    Args:
        box: The box.
        others: Other boxes [n, 4]: top, left, height, width.
        height: Rows of the torus.
        width: Columns of the torus.
    """
    top, left, rows, columns = others.T
    rows_overlap = ((top - box.top) % height < box.height) | ((box.top - top) % height < rows)
    columns_overlap = ((left - box.left) % width < box.width) | ((box.left - left) % width < columns)
    return bool((rows_overlap & columns_overlap).any())


def boxes_as_array(boxes: Iterable[Box]) -> np.ndarray:
    """Return boxes as an array [n, 4], as `any_overlap` takes them."""
    return np.array([astuple(box) for box in boxes], dtype=np.int64).reshape(-1, 4)


def even_partition(length: int, largest: int, unit: int) -> list[int]:
    """Cut `length` into the fewest parts of at most `largest`, as equal as possible, all multiples of `unit`.

    Raises:
        ValueError: `length` is not a multiple of `unit`, or `largest` is less than it.
    """
    if length % unit or largest < unit:
        raise ValueError(f"cannot cut {length} into parts of at most {largest} that are multiples of {unit}")
    cells = length // unit
    count = ceil(cells / (largest // unit))
    return [unit * (cells * (k + 1) // count - cells * k // count) for k in range(count)]


def tile_grid(height: int, width: int, side: int, unit: int) -> list[Box]:
    """Return a fixed grid of boxes of at most `side` over a plane whose sides are multiples of `unit`."""
    boxes, top = [], 0
    for rows in even_partition(height, side, unit):
        left = 0
        for columns in even_partition(width, side, unit):
            boxes.append(Box(top, left, rows, columns))
            left += columns
        top += rows
    return boxes


def round_up(length: int, unit: int) -> int:
    """Round `length` up to a multiple of `unit`."""
    return -(-length // unit) * unit


def size_within(height: int, width: int, long_side: float) -> Box:
    """Return the size of a picture with its long side reduced to `long_side`; it is never enlarged.

    Returns:
        A box at (0, 0) of that height and width.
    """
    factor = min(1.0, long_side / max(height, width))
    return Box(0, 0, max(1, round(height * factor)), max(1, round(width * factor)))
