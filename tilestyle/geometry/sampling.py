"""How patches cover a canvas: grids of a sweep, fixed grids with halos, independent windows."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from math import ceil

from tilestyle.geometry.boxes import Box, Extent, Patch, partition, rounded_up
from tilestyle.geometry.rng import Draw

# By how much patches see more than they step, patch pixels. Without any, nothing acts across a border in the
# sweep that has it, and the last sweeps' borders come out 1 to 4 % smoother than the pixels beside them.
LAP = 2
SMALLEST = 16  # laps that a patch is long, to have any


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
