"""The picture being made: pixels and optimiser state side by side, one level at a time.

All planes are float32 [C, H, W], on the host, on the device where there is room, or in mapped files
(storage.py). Patches read and write them through boxes on the torus (boxes.py), so nothing else depends on
how they are stored; whatever goes over a whole plane does so a few rows at a time.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from itertools import accumulate

import torch
import torch.nn.functional as F
from torch import Tensor

from tilestyle.canvas.resample import Filter, strips
from tilestyle.canvas.storage import Memory, Store, touched
from tilestyle.devices.transfer import sent
from tilestyle.distributed import ALONE, Ranks
from tilestyle.geometry.boxes import Box, Extent, mirrored, pieces

# How a patch sees a plane [C, H, W]: (plane, box, scale) -> [C, height / scale, width / scale].
Reader = Callable[[Tensor, Box, int], Tensor]

# Channels of a canvas's planes, and how each is resampled. The spline takes away what alternates from pixel to
# pixel: a sharper filter keeps it where new pixels fall on old ones, and loses it between, and levels of a few
# sweeps leave that as lines across the picture. And it keeps second moments positive.
PLANES = {
    "pixels": (3, Filter.SPLINE),
    "first": (3, Filter.SPLINE),
    "second": (3, Filter.SPLINE),
    "steps": (1, Filter.NEAREST),
}
ROWS = 256  # of the canvas that are gone through at once
CELLS = 64  # rows of a reduced window that are made at once


class Canvas:
    """Pixels in [0, 1] with Adam's first and second moments and step counts, pixel for pixel."""

    def __init__(
        self,
        extent: Extent,
        pixels: Tensor,
        state: tuple[Tensor, Tensor, Tensor] | None = None,
        store: Store | None = None,
    ) -> None:
        """`pixels` [3, H, W] of the whole extent; `state`: first, second and steps, else those of a start."""
        if pixels.shape != (3, extent.height, extent.width):
            raise ValueError(f"pixels {tuple(pixels.shape)} do not fill {extent}")
        self.extent = extent
        self.pixels = pixels.float().contiguous()
        store = store or Memory(pixels.device)
        self.first, self.second, self.steps = state or (
            store.zeros(PLANES[name][0], extent.height, extent.width, name)
            for name in ("first", "second", "steps")
        )

    @property
    def planes(self) -> dict[str, Tensor]:
        """Every plane by its name."""
        return {"pixels": self.pixels, "first": self.first, "second": self.second, "steps": self.steps}

    def read(self, box: Box, scale: int = 1) -> Tensor:
        """Pixels of the box averaged over scale x scale: [3, height / scale, width / scale]."""
        return read(self.pixels, box, scale)

    def views(self, box: Box) -> Iterator[tuple[dict[str, Tensor], int, int]]:
        """Writable views of all planes under the box, one for each part of it, with the part's corner."""
        for part, row, column in pieces(box, self.extent.height, self.extent.width):
            yield {name: _view(plane, part) for name, plane in self.planes.items()}, row, column

    def gathered(self, places: Tensor) -> dict[str, Tensor]:
        """Copies [C, n] of all planes at these places: rows times the width, plus columns."""
        return {name: plane.flatten(1).index_select(1, places) for name, plane in self.planes.items()}

    def scatter(self, places: Tensor, values: Mapping[str, Tensor]) -> None:
        """Write such copies back."""
        for name, plane in self.planes.items():
            plane.view(len(plane), -1).index_copy_(1, places, values[name])

    def picture(self) -> Tensor:
        """The picture without its margin: a view [3, h, w]."""
        return _view(self.pixels, self.extent.picture)

    def enlarged(self, extent: Extent, store: Store | None = None) -> Canvas:
        """The canvas at the next level; the optimiser's state travels along, the margin is mirrored anew."""
        store = store or Memory(self.pixels.device)
        larger = {}
        for name, plane in self.planes.items():
            channels, kind = PLANES[name]
            larger[name] = store.zeros(channels, extent.height, extent.width, name)
            before = _view(plane, self.extent.picture)
            fill(larger[name], extent, before, kind, clamped=name == "pixels", ranks=store.ranks)
        pixels, *state = larger.values()
        return Canvas(extent, pixels, (state[0], state[1], state[2]))


def read(plane: Tensor, box: Box, scale: int = 1) -> Tensor:
    """A box of a [C, H, W] torus, averaged over scale x scale pixels: [C, height / scale, width / scale]."""
    window = _window(plane, box)
    return window if scale == 1 else F.avg_pool2d(window.float(), scale)


def spread(patch: Tensor, scale: int) -> Tensor:
    """The adjoint of averaging: [C, h, w] shared out evenly over scale x scale pixels each."""
    if scale == 1:
        return patch
    return patch.repeat_interleave(scale, 1).repeat_interleave(scale, 2) / scale**2


def reduced(plane: Tensor, box: Box, factor: int) -> Tensor:
    """A box of a [C, H, W] torus down a binomial pyramid: [C, height / factor, width / factor].

    Halved with the taps (1, 3, 3, 1)/8 along either axis until `factor`, a power of 2, is reached.
    """
    if factor == 1:
        return _window(plane, box)
    small = plane.new_empty(plane.shape[0], box.height // factor, box.width // factor)
    for top in range(0, small.shape[1], CELLS):  # the window itself may be many times a patch
        rows = min(CELLS, small.shape[1] - top)
        part = Box(box.top + factor * top, box.left, factor * rows, box.width)
        small[:, top : top + rows] = _halved(_window(plane, part.widened(factor - 1)), factor)
    return small


def _halved(window: Tensor, factor: int) -> Tensor:
    for _ in range(factor.bit_length() - 1):
        for axis in (1, 2):
            count = window.shape[axis] // 2 - 1
            taps = [_every_other(window, axis, tap, count) for tap in range(4)]
            window = (taps[0] + taps[3]).add_(taps[1] + taps[2], alpha=3).div_(8)
    return window


def expanded(plane: Tensor, box: Box, factor: int, device: torch.device | None = None) -> Tensor:
    """The adjoint of `reduced`, read through a box of the larger torus: [C, height, width].

    `plane` [C, h, w] holds one cell for every factor x factor pixels; the first begins at pixel (0, 0). It is
    expanded on the `device`, by default where it is.
    """
    reach = factor - 1
    top, left = ((start - 2 * reach) // factor for start in (box.top, box.left))
    bottom, right = ((end - 1 + reach) // factor for end in (box.top + box.height, box.left + box.width))
    window = _window(plane, Box(top, left, bottom + 1 - top, right + 1 - left))
    if device is not None and device != plane.device:
        window = sent(window, device, plane.dtype)
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


def places(boxes: Sequence[Box], extent: Extent, device: torch.device) -> Tensor:
    """Where the pixels under boxes on the torus are, box by box and row by row: rows times width, plus columns.

    Made on the device, of nothing but the corners.
    """
    areas = [box.area for box in boxes]
    corners = [
        (box.top, box.left, box.width, end - box.area)
        for box, end in zip(boxes, accumulate(areas), strict=True)
    ]
    table = sent(torch.tensor([*zip(*corners, strict=True), areas]), device, torch.int64)
    count = sum(areas)
    which = torch.repeat_interleave(table[4], output_size=count)
    top, left, width, start = table[:4].index_select(1, which)
    offset = torch.arange(count, device=device).sub_(start)
    row = offset.div(width, rounding_mode="floor")
    column = offset.sub_(row * width).add_(left).remainder_(extent.width)
    return row.add_(top).remainder_(extent.height).mul_(extent.width).add_(column)


def add(plane: Tensor, box: Box, window: Tensor) -> None:
    """Add a window [C, height, width] to a box of a [C, H, W] torus: the adjoint of `read` at scale 1."""
    for part, row, column in pieces(box, plane.shape[1], plane.shape[2]):
        _view(plane, part).add_(window[:, row : row + part.height, column : column + part.width])


def put(plane: Tensor, box: Box, window: Tensor) -> None:
    """Write a window [C, height, width] to a box of a [C, H, W] torus."""
    for part, row, column in pieces(box, plane.shape[1], plane.shape[2]):
        _view(plane, part).copy_(window[:, row : row + part.height, column : column + part.width])


def resized(picture: Tensor, size: Box, kind: Filter = Filter.CUBIC, store: Store | None = None) -> Tensor:
    """A [C, h, w] picture resampled to the height and width of `size`, without aliasing when it shrinks."""
    if picture.shape[1:] == (size.height, size.width):
        return picture.clone()
    store = store or Memory(picture.device)
    return _resampled(picture, store.empty(picture.shape[0], size.height, size.width), kind)


def fitted(picture: Tensor, size: Box, store: Store, repeats: tuple[bool, bool] = (False, False)) -> Tensor:
    """A [C, h, w] picture at the height and width of `size`, within [0, 1]: a new plane of the store.

    `repeats` (down, across): whether it goes on beyond its edges.
    """
    place = store.empty(picture.shape[0], size.height, size.width)
    return _resampled(picture, place, repeats=repeats, clamped=True)


def framed(picture: Tensor, extent: Extent, store: Store | None = None) -> Tensor:
    """The picture at its place in a plane, with its margin: [C, h, w] -> [C, H, W]."""
    store = store or Memory(picture.device)
    plane = store.empty(picture.shape[0], extent.height, extent.width)
    fill(plane, extent, picture)
    return plane


def fill(
    plane: Tensor,
    extent: Extent,
    picture: Tensor,
    kind: Filter = Filter.CUBIC,
    *,
    clamped: bool = False,
    ranks: Ranks = ALONE,
) -> None:
    """Fill a plane [C, H, W] with a picture [C, h, w], resampled to its place, and with its margin.

    The margin is reflections that fade into one another: going out over one edge and round the torus, the
    reflection at that edge turns into the one at the opposite edge. So the torus has no seam: patches that lie
    over it see nothing that is not in the picture. `clamped` keeps the picture in [0, 1]. Ranks that have the
    plane together fill it together.

    Along an axis that repeats there is no margin: the picture goes on at its opposite edge, as it is.
    """
    box, place = extent.picture, _view(plane, extent.picture)
    _resampled(picture, place, kind, extent.repeats, clamped=clamped, rows=ranks.rows(box.height, ROWS))
    ranks.meet()
    ranks.once(lambda: _continue(plane[:, :, box.left : box.left + box.width], 1, box.top, box.height))
    first, last = ranks.rows(extent.height, ROWS)
    for top in range(first, last, ROWS):
        _continue(plane[:, top : min(top + ROWS, last)], 2, box.left, box.width)
        touched(plane[:, top : min(top + ROWS, last)])
    ranks.meet()


def _resampled(
    picture: Tensor,
    place: Tensor,
    kind: Filter = Filter.CUBIC,
    repeats: tuple[bool, bool] = (False, False),
    *,
    clamped: bool = False,
    rows: tuple[int, int] | None = None,
) -> Tensor:
    """Fill `place` [C, H, W], or from one of its rows to another, with the picture [C, h, w] at its size."""
    _, height, width = place.shape
    first, last = rows or (0, height)
    if picture.shape == place.shape:
        parts: Iterator[tuple[int, Tensor]] = (
            (top, picture[:, top : min(top + ROWS, last)]) for top in range(first, last, ROWS)
        )
    else:
        parts = strips(picture, (height, width), kind, repeats, (first, last))
    for top, strip in parts:
        into = place[:, top : top + strip.shape[1]]
        into.copy_(strip.clamp(0, 1) if clamped else strip)
        touched(into, strip)
    return place


def _continue(plane: Tensor, axis: int, before: int, size: int) -> None:
    """One axis of `fill`, in place: what lies at `before` and is `size` long goes on round the torus.

    Only the margin is computed.
    """
    length = plane.shape[axis]
    beyond = length - size
    picture = plane.narrow(axis, before, size)
    near, far = mirrored(size, 0, beyond), mirrored(size, beyond, 0)
    position = torch.arange(size, length)  # counted from the start of the picture
    share = (position - size + 0.5) / max(beyond, 1)
    share = (share * share * (3 - 2 * share)).reshape([-1 if k == axis else 1 for k in range(3)])
    one = _selected(picture, axis, torch.from_numpy(near)[position])
    # Beyond the end, `far` runs backwards from the other edge.
    other = _selected(picture, axis, torch.from_numpy(far)[position - size])
    margin = torch.lerp(one, other, share.to(plane))
    # The margin goes from the end of the picture to its start, in one piece or round the torus.
    start = (size + before) % length
    first = min(beyond, length - start)
    plane.narrow(axis, start, first).copy_(margin.narrow(axis, 0, first))
    plane.narrow(axis, 0, beyond - first).copy_(margin.narrow(axis, first, beyond - first))


def _selected(plane: Tensor, axis: int, index: Tensor) -> Tensor:
    """Rows (axis 1) or columns (axis 2) of a plane, of which no more is touched than lies between them."""
    if not len(index):
        return plane.narrow(axis, 0, 0)
    low, high = int(index.min()), int(index.max())
    return plane.narrow(axis, low, high + 1 - low).index_select(axis, (index - low).to(plane.device))


def _view(plane: Tensor, box: Box) -> Tensor:
    """The part of a plane under a box that does not cross its edges."""
    return plane[:, box.top : box.top + box.height, box.left : box.left + box.width]


def _window(plane: Tensor, box: Box) -> Tensor:
    """What a box of a [C, H, W] torus shows; a view where it crosses no edge."""
    _, height, width = plane.shape
    if box.height > height or box.width > width:  # the box meets itself
        rows = torch.arange(box.top, box.top + box.height, device=plane.device) % height
        columns = torch.arange(box.left, box.left + box.width, device=plane.device) % width
        return plane.index_select(1, rows).index_select(2, columns)
    parts = list(pieces(box, height, width))
    if len(parts) == 1:
        return _view(plane, parts[0][0])
    window = plane.new_empty(plane.shape[0], box.height, box.width)
    for part, row, column in parts:
        window[:, row : row + part.height, column : column + part.width] = _view(plane, part)
    return window


def _every_other(plane: Tensor, axis: int, first: int, count: int) -> Tensor:
    """Every second row (axis 1) or column (axis 2) of a plane, `count` of them from `first` on: a view."""
    return (
        plane[:, first : first + 2 * count - 1 : 2]
        if axis == 1
        else plane[:, :, first : first + 2 * count - 1 : 2]
    )
