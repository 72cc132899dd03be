"""The canvas: pixels and optimizer state of one level.

All planes are float32 [C, H, W]: in host memory, on the device where it has room, or in memory-mapped files
(storage.py). Patches read and write them through boxes on the torus (boxes.py), so nothing else depends on
how they are stored. Operations on a whole plane process a few rows at a time.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from itertools import accumulate

import torch
import torch.nn.functional as F
from torch import Tensor

from tilestyle.canvas.margin import with_margin
from tilestyle.canvas.resample import Filter
from tilestyle.canvas.storage import MemoryStore, PlaneStore
from tilestyle.devices.bus_copies import bus_copies
from tilestyle.devices.transfer import to_device
from tilestyle.devices.zero_copy import zero_copy
from tilestyle.geometry.boxes import Box, CanvasExtent, split_on_torus

# How a patch reads a plane [C, H, W]: (plane, box, scale) -> [C, height / scale, width / scale].
Reader = Callable[[Tensor, Box, int], Tensor]

# Channels of each plane, and the filter that resamples it. The spline removes detail that alternates from pixel
# to pixel. A sharper filter keeps such detail where new pixels fall on old ones, and loses it between them:
# after a level of few sweeps, lines across the picture remain. The spline also keeps second moments positive.
PLANES = {
    "pixels": (3, Filter.SPLINE),
    "first": (3, Filter.SPLINE),
    "second": (3, Filter.SPLINE),
    "steps": (1, Filter.NEAREST),
}
REDUCED_STRIP_ROWS = 64  # rows of a reduced window that are computed at once


class Canvas:
    """Pixels in [0, 1] with Adam's first and second moments and step count of each pixel."""

    def __init__(
        self,
        extent: CanvasExtent,
        pixels: Tensor,
        state: tuple[Tensor, Tensor, Tensor] | None = None,
        store: PlaneStore | None = None,
        *,
        beyond_bus: bool = False,
    ) -> None:
        """Take the pixels, and the optimizer's state if there is one.

        Args:
            extent: Size of the canvas and its picture.
            pixels: [3, H, W], margin included.
            state: First moments [3, H, W], second moments [3, H, W] and steps [1, H, W]; None: zeros.
            store: Where the planes of a new state are allocated; None: on the device of the pixels.
            beyond_bus: Whether the planes are host memory that a device reads over the bus
                (devices/zero_copy.py).
        """
        self.beyond_bus = beyond_bus
        if pixels.shape != (3, extent.height, extent.width):
            raise ValueError(f"pixels {tuple(pixels.shape)} do not fill {extent}")
        self.extent = extent
        self.pixels = pixels.float().contiguous()
        store = store or MemoryStore(pixels.device)
        self.first, self.second, self.steps = state or (
            store.zeros(PLANES[name][0], extent.height, extent.width, name)
            for name in ("first", "second", "steps")
        )

    @property
    def planes(self) -> dict[str, Tensor]:
        """Every plane by its name."""
        return {"pixels": self.pixels, "first": self.first, "second": self.second, "steps": self.steps}

    def seen_by(self, device: torch.device) -> Canvas | None:
        """Return a canvas in host memory as a device sees it, in the same place; None if it cannot."""
        pixels, *state = (zero_copy(plane, device) for plane in self.planes.values())
        first, second, steps = state
        if pixels is None or first is None or second is None or steps is None:
            return None
        return Canvas(self.extent, pixels, (first, second, steps), beyond_bus=True)

    def read(self, box: Box, scale: int = 1) -> Tensor:
        """Return the pixels of a box averaged over scale x scale: [3, height / scale, width / scale]."""
        return read_box(self.pixels, box, scale)

    def views(self, box: Box) -> Iterator[tuple[dict[str, Tensor], int, int]]:
        """Yield writable views of all planes under the box, part by part.

        Yields:
            (views by name of the plane, row and column of the part in the box).
        """
        for part, row, column in split_on_torus(box, self.extent.height, self.extent.width):
            yield {name: _view(plane, part) for name, plane in self.planes.items()}, row, column

    def gather(self, indices: Tensor) -> dict[str, Tensor]:
        """Return the values [C, n] of all planes at pixel indices (row x width + column), by name."""
        return {name: plane.flatten(1).index_select(1, indices) for name, plane in self.planes.items()}

    def scatter(self, indices: Tensor, values: Mapping[str, Tensor]) -> None:
        """Write the values [C, n] of all planes at pixel indices, as `gather` returns them."""
        for name, plane in self.planes.items():
            plane.view(len(plane), -1).index_copy_(1, indices, values[name])

    def picture(self) -> Tensor:
        """Return the picture without its margin: a view [3, h, w]."""
        return _view(self.pixels, self.extent.picture)

    def upsampled(self, extent: CanvasExtent, store: PlaneStore | None = None) -> Canvas:
        """Return the canvas resampled to the next level, with the optimizer's state and a new margin."""
        store = store or MemoryStore(self.pixels.device)
        pixels, first, second, steps = (
            with_margin(
                _view(plane, self.extent.picture),
                extent,
                store,
                PLANES[name][1],
                clamped=name == "pixels",
                name=name,
            )
            for name, plane in self.planes.items()
        )
        return Canvas(extent, pixels, (first, second, steps))


def read_box(plane: Tensor, box: Box, scale: int = 1) -> Tensor:
    """Return a box of a [C, H, W] torus averaged over scale x scale pixels.

    Returns:
        [C, height / scale, width / scale]; a view at scale 1 if the box crosses no edge.
    """
    window = _read_window(plane, box)
    return window if scale == 1 else F.avg_pool2d(window.float(), scale)


def fetch_box(plane: Tensor, box: Box) -> Tensor:
    """Return a copy of a box of a [C, H, W] torus beyond the bus, in the device's own memory."""
    channels, height, width = plane.shape
    if box.height > height or box.width > width:
        return _read_window(plane, box)
    parts = [(_view(plane, part), row, column) for part, row, column in split_on_torus(box, height, width)]
    return bus_copies(plane.device).fetch((channels, box.height, box.width), parts)


def average_adjoint(patch: Tensor, scale: int) -> Tensor:
    """Distribute each value of [C, h, w] evenly over scale x scale pixels: the adjoint of averaging."""
    if scale == 1:
        return patch
    return patch.repeat_interleave(scale, 1).repeat_interleave(scale, 2) / scale**2


def pyramid_reduce(plane: Tensor, box: Box, factor: int) -> Tensor:
    """Return a box of a [C, H, W] torus, reduced by a binomial pyramid.

    Each step halves both axes with the taps (1, 3, 3, 1) / 8.

    Args:
        plane: The torus [C, H, W].
        box: The box, in pixels of the torus.
        factor: A power of 2.

    Returns:
        [C, height / factor, width / factor].
    """
    if factor == 1:
        return _read_window(plane, box)
    small = plane.new_empty(plane.shape[0], box.height // factor, box.width // factor)
    # A few rows at a time: the window at full size may be many times as large as a patch.
    for top in range(0, small.shape[1], REDUCED_STRIP_ROWS):
        rows = min(REDUCED_STRIP_ROWS, small.shape[1] - top)
        part = Box(box.top + factor * top, box.left, factor * rows, box.width)
        small[:, top : top + rows] = _pyramid_halve(_read_window(plane, part.padded(factor - 1)), factor)
    return small


def _pyramid_halve(window: Tensor, factor: int) -> Tensor:
    """Halve both axes of [C, h, w] until `factor` is reached."""
    for _ in range(factor.bit_length() - 1):
        for axis in (1, 2):
            count = window.shape[axis] // 2 - 1
            taps = [_every_other(window, axis, tap, count) for tap in range(4)]
            window = (taps[0] + taps[3]).add_(taps[1] + taps[2], alpha=3).div_(8)
    return window


def pyramid_expand(plane: Tensor, box: Box, factor: int, device: torch.device | None = None) -> Tensor:
    """Apply the adjoint of `pyramid_reduce` to a torus; return a box of the larger torus that results.

    Args:
        plane: The torus [C, h, w]: one cell for every factor x factor pixels, the first at pixel (0, 0).
        box: The box, in pixels of the larger torus.
        factor: A power of 2.
        device: Where to compute; None: where the plane is.

    Returns:
        [C, height, width].
    """
    reach = factor - 1
    top, left = ((start - 2 * reach) // factor for start in (box.top, box.left))
    bottom, right = ((end - 1 + reach) // factor for end in (box.top + box.height, box.left + box.width))
    window = _read_window(plane, Box(top, left, bottom + 1 - top, right + 1 - left))
    if device is not None and device != plane.device:
        window = to_device(window, device, plane.dtype)
    for _ in range(factor.bit_length() - 1):
        for axis in (2, 1):
            count = window.shape[axis]
            shape = [2 * count + 2 if k == axis else side for k, side in enumerate(window.shape)]
            finer = window.new_zeros(shape)
            for tap, weight in enumerate((1, 3, 3, 1)):
                _every_other(finer, axis, tap, count).add_(window, alpha=weight / 8)
            window = finer
    row, column = box.top - factor * top + reach, box.left - factor * left + reach
    return window[:, row : row + box.height, column : column + box.width]


def pixel_indices(boxes: Sequence[Box], extent: CanvasExtent, device: torch.device) -> Tensor:
    """Return the indices of the pixels under boxes on the torus, computed on the device from the corners alone.

    Args:
        boxes: The boxes.
        extent: The canvas.
        device: Where the indices are needed.

    Returns:
        [n], box by box and row by row: row x width + column.
    """
    areas = [box.area for box in boxes]
    corners = [
        (box.top, box.left, box.width, end - box.area)
        for box, end in zip(boxes, accumulate(areas), strict=True)
    ]
    table = to_device(torch.tensor([*zip(*corners, strict=True), areas]), device, torch.int64)
    count = sum(areas)
    box_index = torch.repeat_interleave(table[4], output_size=count)
    top, left, width, start = table[:4].index_select(1, box_index)
    offset = torch.arange(count, device=device).sub_(start)
    row = offset.div(width, rounding_mode="floor")
    column = offset.sub_(row * width).add_(left).remainder_(extent.width)
    return row.add_(top).remainder_(extent.height).mul_(extent.width).add_(column)


def add_to_box(plane: Tensor, box: Box, window: Tensor) -> None:
    """Add a window [C, height, width] to a box of a [C, H, W] torus: the adjoint of `read_box` at scale 1."""
    for part, row, column in split_on_torus(box, plane.shape[1], plane.shape[2]):
        _view(plane, part).add_(window[:, row : row + part.height, column : column + part.width])


def write_box(plane: Tensor, box: Box, window: Tensor) -> None:
    """Write a window [C, height, width] to a box of a [C, H, W] torus."""
    for part, row, column in split_on_torus(box, plane.shape[1], plane.shape[2]):
        _view(plane, part).copy_(window[:, row : row + part.height, column : column + part.width])


def _view(plane: Tensor, box: Box) -> Tensor:
    """Return a view of the part of a plane under a box that does not cross its edges."""
    return plane[:, box.top : box.top + box.height, box.left : box.left + box.width]


def _read_window(plane: Tensor, box: Box) -> Tensor:
    """Return a box of a [C, H, W] torus as [C, height, width]; a view where it crosses no edge."""
    _, height, width = plane.shape
    if box.height > height or box.width > width:  # the box overlaps itself
        rows = torch.arange(box.top, box.top + box.height, device=plane.device) % height
        columns = torch.arange(box.left, box.left + box.width, device=plane.device) % width
        return plane.index_select(1, rows).index_select(2, columns)
    parts = list(split_on_torus(box, height, width))
    if len(parts) == 1:
        return _view(plane, parts[0][0])
    window = plane.new_empty(plane.shape[0], box.height, box.width)
    for part, row, column in parts:
        window[:, row : row + part.height, column : column + part.width] = _view(plane, part)
    return window


def _every_other(plane: Tensor, axis: int, first: int, count: int) -> Tensor:
    """Return a view of every second row (axis 1) or column (axis 2), `count` of them from `first` on."""
    return (
        plane[:, first : first + 2 * count - 1 : 2]
        if axis == 1
        else plane[:, :, first : first + 2 * count - 1 : 2]
    )
