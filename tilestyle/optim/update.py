"""From gradients of patches to Adam steps of the canvas.

All patches of a sweep must read the canvas as it was when the sweep began. So a patch steps only its interior
at once. Its borders, a few pixels wide, are stepped when no patch is left that still has to read them. Patches
with a halo and independent windows overlap by more: there the weighted mean of their gradients is stepped at
the end of the sweep.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import cached_property

import numpy as np
import torch
from torch import Tensor

from tilestyle.canvas.canvas import Canvas, pixel_indices
from tilestyle.canvas.mapped_pages import MAX_RESIDENT_BYTES, note_mapped_access
from tilestyle.canvas.regions import RegionWeights
from tilestyle.canvas.storage import STRIP_ROWS, MappedStore
from tilestyle.config.enums import Sampler
from tilestyle.devices.bus_copies import BusCopies, bus_copies
from tilestyle.devices.staging import is_staged
from tilestyle.geometry.boxes import Box, Patch, any_overlap, boxes_as_array
from tilestyle.optim.adam import Adam, AdamBuffers
from tilestyle.optim.device_update import DeviceUpdate, window_at
from tilestyle.optim.overlap import GradientAccumulator
from tilestyle.optim.state import RenderState
from tilestyle.planning.job import Job
from tilestyle.planning.memory_model import CANVAS_BYTES

# Below so many bytes of deferred gradients it is not worth looking for borders that can be stepped.
MIN_DEFERRED_BYTES = 16 * 2**20
# Borders, or rows of mean gradients, are stepped in bands of so many bytes of the canvas.
BAND_BYTES = MAX_RESIDENT_BYTES // 4
# On a device, so many pixels of borders are stepped at once.
BATCH_PIXELS = 2**18


class CanvasUpdater:
    """Applies the gradients of one sweep's patches to the canvas.

    Patches of a grid step their interior at once; their borders wait until the neighbors have read them. Where
    patches overlap by more, their gradients are averaged and stepped once at the end of the sweep, so the
    result does not depend on which patch comes last.
    """

    def __init__(
        self,
        job: Job,
        canvas: Canvas,
        learning_rate: float,
        render_state: RenderState,
        regions: RegionWeights | None = None,
    ) -> None:
        """Prepare the steps of one sweep.

        Args:
            job: The render.
            canvas: Its canvas, changed in place.
            learning_rate: Step size of the sweep, in units of the full range of brightness.
            render_state: Its state, which counts the patches and holds the gradients of the borders.
            regions: Weights of the regions. Pixels outside all of them are not stepped.
        """
        self._adam = Adam()
        self._bus = bus_copies(canvas.pixels.device) if canvas.beyond_bus else None
        self._regions = regions if regions and regions.has_unstyled else None
        self._checkpointer = render_state.checkpointer
        self._canvas = canvas
        self._learning_rate = learning_rate
        self._render_state = render_state
        self._comm = job.comm
        self._shared_gradients: list[tuple[Patch, Tensor]] = []  # of patches that overlap those of other ranks
        self._deferred_limit = (
            MIN_DEFERRED_BYTES  # bytes of deferred gradients at which to step what can be stepped
        )
        self._accumulator = None if updates_immediately(job) else GradientAccumulator(canvas.extent, job.store)
        self._band_height = max(1, BAND_BYTES // (CANVAS_BYTES * canvas.extent.width))  # rows per band
        self.device_update = self._make_device_update(job)
        on_device = canvas.pixels.device.type != "cpu"
        in_memory = not isinstance(job.store, MappedStore)
        self._gathers_borders = on_device or (self.device_update is not None and in_memory)

    @property
    def immediate(self) -> bool:
        """Whether patches step the canvas when they are applied, rather than at the end of the sweep."""
        return self._accumulator is None

    def _make_device_update(self, job: Job) -> DeviceUpdate | None:
        """Return the update on the network's device, for a canvas that is not there; None to step in place."""
        device, styled = job.network.device, self._regions.coverage if self._regions else None
        is_elsewhere = device != self._canvas.pixels.device and is_staged(device)
        # The gradient of an anchor is computed where the canvas is.
        if not is_elsewhere or not self.immediate or job.anchor is not None:
            return None
        return DeviceUpdate(self._canvas, device, self._adam, self._learning_rate, styled)

    def reserve(self, patches: Iterable[Patch]) -> Iterator[Patch]:
        """Iterate over patches, announcing each to the checkpointer before it is computed and applied."""
        for patch in patches:
            if self._accumulator is None:
                self._checkpointer.before_write(self._canvas, patch.interior_and_borders[0])
            yield patch

    def apply(self, patch: Patch, gradient: Tensor) -> None:
        """Apply the gradient of a patch.

        Args:
            patch: The patch.
            gradient: Gradient in the pixels that it reads, [3, height, width]; with a `device_update`, what
                its `start` has sent back.
        """
        if self._accumulator:
            if any_overlap(
                patch.read, self._read_by_others, self._canvas.extent.height, self._canvas.extent.width
            ):
                self._shared_gradients.append((patch, gradient.clone()))
            else:
                self._accumulator.add(patch, gradient)
            return
        self._checkpointer.flush()
        interior, borders = patch.interior_and_borders
        render_state, device_update = self._render_state, self.device_update
        planes = dict[str, Tensor]()
        if device_update:
            planes, gradients = device_update.unpack(patch, gradient)
        else:
            gradients = {border: window_at(border, patch, gradient) for border in borders}
        try:  # allocate first: a patch is applied completely or not at all
            for border in borders:
                render_state.deferred[border] = gradients[border]
            if device_update:
                device_update.write_back(patch, planes)
            else:
                self._step(interior, window_at(interior, patch, gradient))
        except BaseException:
            for border in borders:
                render_state.deferred.pop(border, None)
            raise
        render_state.done_in_shard += 1
        if render_state.deferred.nbytes > self._deferred_limit:
            self._step_deferred()
            self._deferred_limit = MIN_DEFERRED_BYTES + 2 * render_state.deferred.nbytes

    def _step(self, box: Box, gradient: Tensor) -> None:
        """Step the pixels of a box.

        Args:
            box: Pixels of the canvas; may reach over an edge of the torus.
            gradient: Gradient in them, [3, height, width].
        """
        if not box.area:
            return
        if self._bus:
            self._step_beyond_bus(self._bus, box, gradient)
            return
        styled = self._regions.coverage(box) if self._regions else None
        parts = [(*view, AdamBuffers.allocate(view[0])) for view in self._canvas.views(box)]
        for views, row, column, buffers in parts:
            height, width = views["pixels"].shape[1:]
            part = slice(None), slice(row, row + height), slice(column, column + width)
            self._adam.update(
                views, gradient[part], self._learning_rate, None if styled is None else styled[part], buffers
            )
            note_mapped_access(*views.values())

    def _step_beyond_bus(self, bus: BusCopies, box: Box, gradient: Tensor) -> None:
        """Step the pixels of a box in host memory on the device: copied there, stepped, and copied back."""
        stored: list[tuple[Tensor, Tensor]] = []
        for views, row, column in self._canvas.views(box):
            window = {name: bus.fetch(view.shape, [(view, 0, 0)]) for name, view in views.items()}
            height, width = window["pixels"].shape[1:]
            part = gradient[:, row : row + height, column : column + width]
            self._adam.update(window, part, self._learning_rate, None, AdamBuffers.allocate(window))
            stored += [(view, window[name]) for name, view in views.items()]
        bus.store(stored)

    def _step_deferred(self) -> None:
        """Step the borders that no remaining patch has to read."""
        extent, render_state = self._canvas.extent, self._render_state
        waiting = boxes_as_array(patch.read for patch in render_state.remaining + render_state.other_shards)
        free = [
            border
            for border in render_state.deferred
            if not any_overlap(border, waiting, extent.height, extent.width)
        ]
        if self._gathers_borders:
            self._step_gathered(free)
            return
        # Borders are all over the canvas. Stepped in any order, they would load all of a mapped canvas into
        # memory; so they are stepped in bands of rows.
        bands = group_by_rows({border: render_state.deferred[border] for border in free}, self._band_height)
        for band in bands:  # borders cut by a band's edge wait as pieces
            for box, gradient in band.items():
                if box not in render_state.deferred:
                    render_state.deferred[box] = gradient
        for border in set(free).difference(*bands):
            del render_state.deferred[border]
        for band in bands:
            self._checkpointer.before_write(self._canvas, *band)
            self._checkpointer.flush()
            for box, gradient in band.items():
                self._step(box, gradient)
                del render_state.deferred[box]  # only after the step, which may run out of memory

    def _step_gathered(self, borders: Sequence[Box]) -> None:
        """Step many borders at once, where there is a device: gather their pixels, step them, scatter them.

        So the number of kernels does not grow with the number of patches. Beside a device, a host has many
        threads, which each small operation would have to wake. (Where it computes all by itself, one border
        after the other is faster, because it stays in the cache.)
        """
        render_state, canvas = self._render_state, self._canvas
        for part in batches(borders, BATCH_PIXELS):
            place = pixel_indices(part, canvas.extent, canvas.pixels.device)
            window = canvas.gather(place)
            # [3, pixels]; gradients from a checkpoint may be on the host.
            gradient = torch.cat(
                [render_state.deferred[border].flatten(1).to(place.device) for border in part], 1
            )
            styled = None if self._regions is None else self._regions.coverage_at(place)
            buffers = AdamBuffers.allocate(window)
            self._checkpointer.before_write(canvas, *part)
            self._checkpointer.flush()
            self._adam.update(window, gradient, self._learning_rate, styled, buffers)
            canvas.scatter(place, window)
            for border in part:
                del render_state.deferred[border]

    @cached_property
    def _read_by_others(self) -> np.ndarray:
        """What the patches of other ranks read, as an array of boxes."""
        return boxes_as_array(patch.read for patch in self._render_state.other_shards)

    def _add_shared_gradients(self) -> None:
        """Add the gradients of patches that overlap those of other ranks."""
        for patch, gradient in self._shared_gradients:
            if self._accumulator:
                self._accumulator.add(patch, gradient)
        self._shared_gradients = []

    def wait(self) -> None:
        """Wait until all steps so far have been taken, where the host reads what a device steps."""
        if self._bus:
            self._bus.wait()

    def end_sweep(self) -> None:
        """Step the rest of the sweep: the remaining borders, or the mean gradients of overlapping patches."""
        if self._accumulator is None:
            self._step_deferred()
            return
        self._comm.one_by_one(self._add_shared_gradients)
        extent = self._canvas.extent
        # In bands of rows, so that Adam's temporary tensors stay small.
        high = min(STRIP_ROWS, self._band_height)
        first, last = self._comm.row_share(extent.height, high)
        for top in range(first, last, high):
            rows = slice(top, min(top + high, last))
            self._checkpointer.before_write(self._canvas, Box(top, 0, rows.stop - top, extent.width))
            self._checkpointer.flush()
            gradient, step_share = self._accumulator.mean(rows)
            if self._regions:
                step_share = step_share * self._regions.coverage(Box(top, 0, rows.stop - top, extent.width))
            views = {name: plane[:, rows] for name, plane in self._canvas.planes.items()}
            self._adam.update(views, gradient, self._learning_rate, step_share)
            note_mapped_access(gradient, step_share, *views.values())


def canvas_for_device(job: Job, canvas: Canvas, regions: RegionWeights | None) -> Canvas:
    """Return the canvas as the network's device accesses it: if it is in RAM, over the bus (zero copy).

    A canvas in files goes through buffers (device_update.py), as does one of which some terms are computed on
    the host, or whose patches overlap.
    """
    device = job.network.device
    if (
        job.canvas_device == device
        or job.anchor is not None
        or isinstance(job.store, MappedStore)
        or not updates_immediately(job)
        or (regions is not None and regions.has_unstyled)
    ):
        return canvas
    return canvas.seen_by(device) or canvas


def updates_immediately(job: Job) -> bool:
    """Return whether patches step the canvas when applied; overlapping ones step at the end of the sweep."""
    return not job.halo and job.config.sampler is not Sampler.WINDOWS


def group_by_rows(borders: Mapping[Box, Tensor], height: int) -> list[dict[Box, Tensor]]:
    """Sort boxes into bands of rows, cutting those that reach over the edge of a band.

    Args:
        borders: Gradients by box, [3, h, w].
        height: Rows per band.

    Returns:
        The bands that have boxes, from top to bottom, each with gradients (views) by box.
    """
    bands: defaultdict[int, dict[Box, Tensor]] = defaultdict(dict)
    for border, gradient in borders.items():
        bottom = border.top + border.height
        for band in range(border.top // height, -(-bottom // height)):
            top, end = max(border.top, band * height), min(bottom, (band + 1) * height)
            piece = Box(top, border.left, end - top, border.width)
            bands[band][piece] = gradient[:, top - border.top : end - border.top]
    return [bands[band] for band in sorted(bands)]


def batches(boxes: Iterable[Box], pixels: int) -> Iterator[list[Box]]:
    """Group boxes, in their order, into batches of at least so many pixels (the last may have fewer)."""
    batch, area = list[Box](), 0
    for box in boxes:
        batch.append(box)
        area += box.area
        if area >= pixels:
            yield batch
            batch, area = [], 0
    if batch:
        yield batch
