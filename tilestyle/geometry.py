"""Boxes, the torus they live on, and the patches that cover it: integers only, no torch.

The canvas is a torus: a box may reach over the bottom or right edge and goes on at the top or left.
So a covering may start anywhere, and all its patches keep their full size; the seam where opposite
edges meet lies in the margin, which is cropped from the finished picture.

Random choices are a function of (seed, level, sweep) through a counter-based generator (Philox,
Salmon et al. 2011): resuming a job or sharing it out does not change them.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import astuple, dataclass, replace
from math import ceil

import numpy as np
from numpy.random import Philox

ROWS = 64  # of random numbers drawn at once
# By how much patches see more than they step, patch pixels. Without any, nothing acts across a border in the
# sweep that has it, and the last sweeps' borders come out 1 to 4 % smoother than the pixels beside them.
LAP = 2
SMALLEST = 16  # laps that a patch is long, to have any


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


@dataclass(frozen=True, slots=True)
class Draw:
    """Random numbers of one sweep, keyed by (seed, level, sweep): the same wherever they are drawn."""

    seed: int
    level: int
    sweep: int
    lane: int = 0
    stride: int = 1  # of the grid that corners of coverings lie on
    phase: tuple[int, int] = (0, 0)  # of that grid: row, column

    def other(self) -> Draw:
        """Numbers of the same sweep that are independent of these."""
        return replace(self, lane=self.lane + 1)

    def integers(self, count: int, stream: int = 0) -> np.ndarray:
        """`count` uniform 64-bit integers of the given stream, uint64."""
        return np.atleast_1d(self._generator(stream).random_raw(count))

    def rows(self, height: int, width: int, stream: int) -> Iterator[tuple[int, np.ndarray]]:
        """The integers of `height` x `width` places, uint64, as (top, [n, width]) from top to bottom."""
        generator = self._generator(stream)
        for top in range(0, height, ROWS):
            count = min(ROWS, height - top)
            yield top, generator.random_raw(count * width).reshape(count, width)

    def _generator(self, stream: int) -> Philox:
        key = np.array([self.seed, (self.lane << 56) | (self.level << 32) | self.sweep], dtype=np.uint64)
        return Philox(key=key, counter=np.array([0, 0, stream, 0], dtype=np.uint64))

    def aligned(self, stride: int, period: int) -> Draw:
        """The same with corners on a grid of `stride` pixels, whose random phase lasts for `period` sweeps."""
        first = replace(self, sweep=self.sweep - self.sweep % period, lane=self.lane + 2)
        row, column = (first.integers(2, stream=1) % stride).tolist()
        return replace(self, stride=stride, phase=(row, column))

    def start(self, axis: int, low: int, count: int) -> int:
        """A random position in [low, low + count) that is on the grid, for the rows (0) or columns (1)."""
        random = int(self.integers(2, stream=1)[axis])
        first = low + (self.phase[axis] - low) % self.stride
        return first + self.stride * (random % max(1, -((first - low - count) // self.stride)))

    def choice(self, odds: Sequence[float], stream: int) -> int:
        """An index drawn with probabilities proportional to `odds`."""
        point = int(self.integers(1, stream)[0]) / 2**64 * sum(odds)
        for index, share in enumerate(odds):
            point -= share
            if point < 0:
                return index
        return len(odds) - 1


@dataclass(frozen=True, slots=True)
class Around:
    """By how much patches see more than they answer for, patch pixels on either side.

    A `halo` is a multiple of the deepest stride and the same for all. A `lap` is the least there is, however
    small: patches overlap by two laps, and a few pixels more where that makes their sides come out even.
    """

    halo: int = 0
    lap: int = 0


NOTHING = Around()


def covering(
    canvas: Extent, side: int, unit: int, draw: Draw, scale: int = 1, around: Around = NOTHING
) -> list[Patch]:
    """One sweep: a grid of patches from a random corner that owns every pixel of the torus exactly once.

    `side` is the largest patch side read and `unit` the deepest stride, both patch pixels; canvas
    sides must be multiples of `unit` x `scale`. An axis that fits one patch is taken whole, with nothing around
    it, and begins anywhere in the margin, or all over where it repeats: there the patch is the untiled method.

    The corner is any pixel, or on the draw's own grid. Were it always a multiple of `unit`, borders would come
    back to the same few lines sweep after sweep, and cells of layers to the same places: both leave a grid that
    can be seen.
    """

    def axis(index: int, length: int, slack: int) -> list[tuple[int, int, int, int]]:
        """(start, length, more before, more after) of every part; `slack` is the margin on either side."""
        if length // scale <= side:
            reach = min(slack, unit * scale // 2)
            low, count = (0, length) if canvas.repeats[index] else (-reach, 2 * reach + 1)
            return [(draw.start(index, low, count), length, 0, 0)]
        start = draw.start(index, 0, length)
        if around.halo:
            parts = _haloed(length // scale, side, unit, around.halo)
        else:
            parts = _lapped(length // scale, side, unit, around.lap, draw.stride)
        return [(start + a * scale, b * scale, c * scale, d * scale) for a, b, c, d in parts]

    box = canvas.picture
    rows = axis(0, canvas.height, min(box.top, canvas.height - box.top - box.height))
    columns = axis(1, canvas.width, min(box.left, canvas.width - box.left - box.width))
    return [
        Patch(
            Box(top, left, height, width),
            Box(top - above, left - before, height + above + below, width + before + after),
            scale,
        )
        for top, height, above, below in rows
        for left, width, before, after in columns
    ]


def _haloed(length: int, side: int, unit: int, halo: int) -> Iterator[tuple[int, int, int, int]]:
    """(start, length, halo, halo) of parts that are multiples of `unit`, as is `length`."""
    start = 0
    for part in partition(length, side - 2 * halo, unit):
        yield start, part, halo, halo
        start += part


def _lapped(length: int, side: int, unit: int, lap: int, grid: int) -> Iterator[tuple[int, int, int, int]]:
    """(start, length, more before, more after) of parts that are read in multiples of `unit`.

    Reading begins on multiples of `grid`. Patches too small for their laps have none.
    """
    least = rounded_up(2 * lap, grid) if side >= SMALLEST * lap else 0
    count = ceil(length / (side - least))
    reads = partition(rounded_up(length + least * count, unit), side, unit)
    spare = (sum(reads) - length) // grid
    overlaps = [grid * (spare * (k + 1) // count - spare * k // count) for k in range(count)]
    start = 0
    for read, overlap, last in zip(reads, overlaps, overlaps[-1:] + overlaps[:-1], strict=True):
        before, after = last - last // 2, overlap // 2
        yield start + before, read - before - after, before, after
        start += read - overlap


def overlapping(canvas: Extent, side: int, unit: int, halo: int, scale: int = 1) -> list[Patch]:
    """A fixed grid of patches that owns every pixel once, each with a halo that ends at the canvas's edges.

    `side`, `unit` and `halo` as in `covering`: with a halo of half the receptive field, cells are those of the
    whole canvas, its own edges and padding included. An axis that fits one patch is taken whole.
    """

    def axis(length: int) -> list[tuple[int, int, int, int]]:
        """(start, length) of what every part owns and of what it reads."""
        if length <= side:
            return [(0, length, 0, length)]
        found, start = [], 0
        for part in partition(length, side - 2 * halo, unit):
            first, last = max(start - halo, 0), min(start + part + halo, length)
            found.append((start, part, first, last - first))
            start += part
        return found

    return [
        Patch(Box(top, left, height, width).times(scale), Box(above, before, rows, columns).times(scale), scale)
        for top, height, above, rows in axis(canvas.height // scale)
        for left, width, before, columns in axis(canvas.width // scale)
    ]


def scattered(canvas: Extent, side: int, odds: Sequence[float], draw: Draw) -> list[Patch]:
    """Independent windows at uniformly random places and scales 2^k, k drawn by `odds`.

    As many as it takes for their areas to sum to the canvas's: some pixels are seen twice, some not at all.
    """
    patches: list[Patch] = []
    remaining = canvas.area
    while remaining > 0:
        stream = 2 + 2 * len(patches)
        scale = 2 ** draw.choice(odds, stream)
        rows, columns = draw.integers(2, stream + 1).tolist()
        height = min(side * scale, canvas.height)
        width = min(side * scale, canvas.width)
        top = rows % canvas.height if height < canvas.height or canvas.repeats[0] else 0
        left = columns % canvas.width if width < canvas.width or canvas.repeats[1] else 0
        box = Box(top, left, height, width)
        patches.append(Patch(box, box, scale))
        remaining -= box.area
    return patches
