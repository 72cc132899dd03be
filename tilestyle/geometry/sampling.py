"""How patches cover a canvas: grids of a sweep, fixed grids with halos, independent windows."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from math import ceil

from tilestyle.geometry.boxes import Box, CanvasExtent, Patch, even_partition, round_up
from tilestyle.geometry.rng import SweepRng

# Apron: how far a patch sees beyond the pixels that it updates, patch pixels. Without one, nothing acts across
# a border during a sweep, and the last sweeps' borders come out 1 to 4 % smoother than the pixels beside them.
APRON = 2
MIN_SIDE_IN_APRONS = 16  # a patch whose side is fewer aprons than this has none


@dataclass(frozen=True, slots=True)
class PatchContext:
    """How far patches see beyond the pixels that they update, in patch pixels on every side.

    Attributes:
        halo: A multiple of the deepest stride, the same for all patches.
        apron: The least overlap. Patches overlap by two aprons, and a few pixels more where their sides need
            it.
    """

    halo: int = 0
    apron: int = 0


NO_CONTEXT = PatchContext()


def grid_patches(
    extent: CanvasExtent,
    side: int,
    unit: int,
    rng: SweepRng,
    scale: int = 1,
    context: PatchContext = NO_CONTEXT,
) -> list[Patch]:
    """Return the patches of one sweep: a grid from a random corner that owns every pixel of the torus once.

    An axis that fits into one patch is not cut and has no context around it. It begins anywhere in the margin,
    or anywhere at all where it repeats. If both axes fit, the one patch is the canvas itself, untiled.

    The corner may be any pixel, or lies on the grid of `rng`. If it were always a multiple of `unit`, borders
    would return to the same few lines and cells to the same places in every sweep, and both leave a visible
    grid.

    Args:
        extent: The canvas; its sides are multiples of `unit` x `scale`.
        side: Largest side of a patch with its context, patch pixels.
        unit: Deepest stride of the network, patch pixels.
        rng: Random numbers of the sweep.
        scale: Canvas pixels per patch pixel.
        context: How far patches see beyond what they own.
    """

    def split_axis(index: int, length: int, slack: int) -> list[tuple[int, int, int, int]]:
        """Return (start, length, context before and after) of every part; `slack` is the margin's width."""
        if length // scale <= side:
            reach = min(slack, unit * scale // 2)
            low, count = (0, length) if extent.repeats[index] else (-reach, 2 * reach + 1)
            return [(rng.random_offset(index, low, count), length, 0, 0)]
        start = rng.random_offset(index, 0, length)
        if context.halo:
            parts = _with_halo(length // scale, side, unit, context.halo)
        else:
            parts = _with_apron(length // scale, side, unit, context.apron, rng.stride)
        return [
            (start + offset * scale, owned * scale, context_before * scale, context_after * scale)
            for offset, owned, context_before, context_after in parts
        ]

    box = extent.picture
    rows = split_axis(0, extent.height, min(box.top, extent.height - box.top - box.height))
    columns = split_axis(1, extent.width, min(box.left, extent.width - box.left - box.width))
    return [
        Patch(
            Box(top, left, height, width),
            Box(
                top - context_above,
                left - context_left,
                height + context_above + context_below,
                width + context_left + context_right,
            ),
            scale,
        )
        for top, height, context_above, context_below in rows
        for left, width, context_left, context_right in columns
    ]


def _with_halo(length: int, side: int, unit: int, halo: int) -> Iterator[tuple[int, int, int, int]]:
    """Yield (start, length, halo, halo) of parts that are multiples of `unit`, as is `length`."""
    start = 0
    for part in even_partition(length, side - 2 * halo, unit):
        yield start, part, halo, halo
        start += part


def _with_apron(
    length: int, side: int, unit: int, apron: int, grid: int
) -> Iterator[tuple[int, int, int, int]]:
    """Yield (start, length, context before, context after) of parts that are read in multiples of `unit`.

    Reading begins on multiples of `grid`. Patches that are too small for aprons have none.
    """
    min_overlap = round_up(2 * apron, grid) if side >= MIN_SIDE_IN_APRONS * apron else 0
    count = ceil(length / (side - min_overlap))
    reads = even_partition(round_up(length + min_overlap * count, unit), side, unit)
    spare = (sum(reads) - length) // grid
    overlaps = [grid * (spare * (k + 1) // count - spare * k // count) for k in range(count)]
    start = 0
    for read, overlap, overlap_before in zip(reads, overlaps, overlaps[-1:] + overlaps[:-1], strict=True):
        context_before, context_after = overlap_before - overlap_before // 2, overlap // 2
        yield start + context_before, read - context_before - context_after, context_before, context_after
        start += read - overlap


def halo_tiles(extent: CanvasExtent, side: int, unit: int, halo: int, scale: int = 1) -> list[Patch]:
    """Return a fixed grid of patches that owns every pixel once, with halos that end at the canvas edges.

    With a halo of half the receptive field the cells equal those of the whole canvas, padding at the canvas
    edges included. An axis that fits into one patch is not cut. The arguments are those of `grid_patches`.
    """

    def split_axis(length: int) -> list[tuple[int, int, int, int]]:
        """Return (start, length) of what every part owns and of what it reads."""
        if length <= side:
            return [(0, length, 0, length)]
        parts, owned_start = [], 0
        for owned_length in even_partition(length, side - 2 * halo, unit):
            read_start, read_end = max(owned_start - halo, 0), min(owned_start + owned_length + halo, length)
            parts.append((owned_start, owned_length, read_start, read_end - read_start))
            owned_start += owned_length
        return parts

    return [
        Patch(
            Box(top, left, height, width).scaled(scale),
            Box(read_top, read_left, rows, columns).scaled(scale),
            scale,
        )
        for top, height, read_top, rows in split_axis(extent.height // scale)
        for left, width, read_left, columns in split_axis(extent.width // scale)
    ]


def random_windows(extent: CanvasExtent, side: int, scale_odds: Sequence[float], rng: SweepRng) -> list[Patch]:
    """Return independent windows at uniformly random places and scales.

    There are as many as it takes for their areas to sum to the area of the canvas: some pixels are covered
    twice, some not at all.

    Args:
        extent: The canvas.
        side: Side of a window, patch pixels.
        scale_odds: Relative frequency of each scale 2^k.
        rng: Random numbers of the sweep.
    """
    patches: list[Patch] = []
    remaining = extent.area
    while remaining > 0:
        stream = 2 + 2 * len(patches)
        scale = 2 ** rng.weighted_choice(scale_odds, stream)
        random_row, random_column = rng.integers(2, stream + 1).tolist()
        height = min(side * scale, extent.height)
        width = min(side * scale, extent.width)
        top = random_row % extent.height if height < extent.height or extent.repeats[0] else 0
        left = random_column % extent.width if width < extent.width or extent.repeats[1] else 0
        box = Box(top, left, height, width)
        patches.append(Patch(box, box, scale))
        remaining -= box.area
    return patches
