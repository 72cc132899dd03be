"""Boxes, patches and the torus they live on: integers only, no torch.

The canvas is a torus: a box may reach over the bottom or right edge and goes on at the top or left.
So a covering may start anywhere, and all its patches keep their full size; the seam where opposite
edges meet lies in the margin, which is cropped from the finished picture.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import astuple, dataclass
from math import ceil

import numpy as np


@dataclass(frozen=True, slots=True)
class Box:
    """Half-open rectangle in canvas pixels of one level; may reach over the torus's edges."""

    top: int
    left: int
    height: int
    width: int

    @property
    def area(self) -> int:
        """Pixels inside."""
        return self.height * self.width

    def over(self, stride: int) -> Box:
        """The same place in a plane of cells, `stride` pixels a side; the box begins and ends on cells."""
        return Box(self.top // stride, self.left // stride, self.height // stride, self.width // stride)

    def times(self, factor: int) -> Box:
        """The same place in a plane of pixels `factor` times as fine."""
        return Box(self.top * factor, self.left * factor, self.height * factor, self.width * factor)

    def within(self, other: Box) -> Box:
        """What both have in common; of no area where they do not meet."""
        top, left = max(self.top, other.top), max(self.left, other.left)
        bottom = min(self.top + self.height, other.top + other.height)
        right = min(self.left + self.width, other.left + other.width)
        return Box(top, left, max(0, bottom - top), max(0, right - left))

    def widened(self, halo: int) -> Box:
        """The box grown by `halo` pixels on every side."""
        return Box(self.top - halo, self.left - halo, self.height + 2 * halo, self.width + 2 * halo)


@dataclass(frozen=True, slots=True)
class Patch:
    """What the network is shown at once.

    `owned` is the box this patch answers for, `read` the box it sees: `owned` and what it is widened by. Both
    in canvas pixels and multiples of `scale`, which is canvas pixels per patch pixel.
    """

    owned: Box
    read: Box
    scale: int

    @property
    def inside(self) -> Box:
        """Where `owned` lies in `read`, in patch pixels."""
        return Box(
            (self.owned.top - self.read.top) // self.scale,
            (self.owned.left - self.read.left) // self.scale,
            self.owned.height // self.scale,
            self.owned.width // self.scale,
        )

    def cells(self, stride: int) -> Box:
        """Cells that the patch answers for, in a layer of this stride: those whose middle it owns."""
        box = self.inside
        top, bottom, left, right = (
            (edge + stride // 2) // stride
            for edge in (box.top, box.top + box.height, box.left, box.left + box.width)
        )
        return Box(top, left, bottom - top, right - left)

    @property
    def parts(self) -> tuple[Box, list[Box]]:
        """What is owned, cut: the inner part that no other patch reads, and rims that others may read.

        Neighbours see each other's pixels as far as each is widened, but for one patch pixel where an overlap
        is odd. Rims and inner part may be empty.
        """
        own, seen, one = self.owned, self.read, self.scale
        laps = (
            own.top - seen.top,
            seen.top + seen.height - own.top - own.height,
            own.left - seen.left,
            seen.left + seen.width - own.left - own.width,
        )
        above, below, before, after = (lap + one if lap else 0 for lap in laps)
        rows, above = max(0, own.height - above - below), min(above, own.height)
        columns, before = max(0, own.width - before - after), min(before, own.width)
        inner = Box(own.top + above, own.left + before, rows, columns)
        under, beside = inner.top + rows, inner.left + columns
        rims = [
            Box(own.top, own.left, above, own.width),
            Box(under, own.left, own.top + own.height - under, own.width),
            Box(inner.top, own.left, rows, before),
            Box(inner.top, beside, rows, own.left + own.width - beside),
        ]
        return inner, [rim for rim in rims if rim.area]


@dataclass(frozen=True, slots=True)
class Extent:
    """Size of a canvas and where the picture lies in it, canvas pixels of one level.

    Along an axis that `repeats`, (down, across), the picture is all of the torus, and has no margin.
    """

    height: int
    width: int
    picture: Box
    repeats: tuple[bool, bool] = (False, False)

    @property
    def area(self) -> int:
        """Pixels of the whole canvas, margin included."""
        return self.height * self.width


def extent(
    height: int, width: int, margin: int, unit: int, repeats: tuple[bool, bool] = (False, False)
) -> Extent:
    """Canvas for a picture of `height` x `width` with at least `margin` around, sides multiples of `unit`.

    Along an axis that repeats there is no margin, and the picture's side is rounded up itself.
    """
    height, width = (
        rounded_up(length, unit) if repeat else length
        for length, repeat in zip((height, width), repeats, strict=True)
    )
    full_height = rounded_up(height + 2 * margin * (not repeats[0]), unit)
    full_width = rounded_up(width + 2 * margin * (not repeats[1]), unit)
    picture = Box((full_height - height) // 2, (full_width - width) // 2, height, width)
    return Extent(full_height, full_width, picture, repeats)


def pieces(box: Box, height: int, width: int) -> Iterator[tuple[Box, int, int]]:
    """Cut a box at the edges of a `height` x `width` torus.

    Yields (part, row, column): a box that lies wholly inside the canvas, and where its corner is in the
    given box. The box must not be larger than the torus, or it would meet itself.
    """
    if box.height > height or box.width > width:
        raise ValueError(f"{box} is larger than its {height} x {width} torus")
    for row, top, rows in _spans(box.top, box.height, height):
        for column, left, columns in _spans(box.left, box.width, width):
            yield Box(top, left, rows, columns), row, column


def _spans(start: int, length: int, period: int) -> Iterator[tuple[int, int, int]]:
    """(offset in the span, position on the circle, length) of the parts of a span on a circle."""
    start %= period
    first = min(length, period - start)
    yield 0, start, first
    if first < length:
        yield first, 0, length - first


def meeting(box: Box, others: np.ndarray, height: int, width: int) -> bool:
    """Whether a box shares pixels of the torus with any of the others, [n, 4]: top, left, height, width."""
    top, left, rows, columns = others.T
    one = ((top - box.top) % height < box.height) | ((box.top - top) % height < rows)
    other = ((left - box.left) % width < box.width) | ((box.left - left) % width < columns)
    return bool((one & other).any())


def corners(boxes: Iterable[Box]) -> np.ndarray:
    """Boxes as `meeting` takes them."""
    return np.array([astuple(box) for box in boxes], dtype=np.int64).reshape(-1, 4)


def mirrored(size: int, before: int, after: int) -> np.ndarray:
    """Indices in [0, size) that continue an axis by reflection, edge repeated, as far as asked."""
    position = np.arange(-before, size + after) % (2 * size)
    return np.minimum(position, 2 * size - 1 - position)


def partition(length: int, largest: int, unit: int) -> list[int]:
    """Cut `length` into the fewest parts of at most `largest`, multiples of `unit`, as equal as can be."""
    if length % unit or largest < unit:
        raise ValueError(f"cannot cut {length} into parts of at most {largest} that are multiples of {unit}")
    cells = length // unit
    count = ceil(cells / (largest // unit))
    return [unit * (cells * (k + 1) // count - cells * k // count) for k in range(count)]


def tiling(height: int, width: int, side: int, unit: int) -> list[Box]:
    """Boxes of at most `side` on a fixed grid over a plane whose sides are multiples of `unit`."""
    boxes, top = [], 0
    for rows in partition(height, side, unit):
        left = 0
        for columns in partition(width, side, unit):
            boxes.append(Box(top, left, rows, columns))
            left += columns
        top += rows
    return boxes


def rounded_up(length: int, unit: int) -> int:
    """The least multiple of `unit` that is not less than `length`."""
    return -(-length // unit) * unit


def shrunk(height: int, width: int, long_side: float) -> Box:
    """Height and width of a picture scaled to have this long side, but never above its own."""
    factor = min(1.0, long_side / max(height, width))
    return Box(0, 0, max(1, round(height * factor)), max(1, round(width * factor)))
