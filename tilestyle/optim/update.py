"""What becomes of the patches' gradients: steps of the canvas."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import cached_property

import numpy as np
import torch
from torch import Tensor

from tilestyle.canvas.canvas import ROWS, Canvas, places
from tilestyle.canvas.regions import Regions
from tilestyle.canvas.storage import RESIDENT, touched
from tilestyle.config.enums import Sampler
from tilestyle.devices.staging import is_staged
from tilestyle.geometry.boxes import Box, Patch, corners, meeting
from tilestyle.optim.adam import Adam, Room
from tilestyle.optim.device_update import Visits, under
from tilestyle.optim.overlap import Blend
from tilestyle.optim.state import Standing
from tilestyle.planning.job import Job
from tilestyle.planning.memory_model import CANVAS

# Bytes of rims that are no matter.
MANY = 16 * 2**20
# Bytes of a canvas whose rims, or blends, are stepped together.
BAND = RESIDENT // 4
# Pixels of rims that are stepped together where the canvas is on a device.
TOGETHER = 2**18


class Stepper:
    """Turns the patches' gradients of one sweep into steps of the canvas.

    Patches of a grid step what they own at once, but for the rims that their neighbours see: those wait until
    they have been seen as they were. Where patches overlap by more, one step is taken from their blend at the
    end of the sweep, so that no patch is the last to write.
    """

    def __init__(
        self, job: Job, canvas: Canvas, rate: float, at: Standing, regions: Regions | None = None
    ) -> None:
        """What is of none of the `regions` is left as it is."""
        self._adam = Adam()
        self._regions = regions if regions and regions.partial else None
        self._keeper = at.keeper
        self._canvas = canvas
        self._rate = rate
        self._at = at
        self._ranks = job.ranks
        self._late: list[tuple[Patch, Tensor]] = []  # of a blend, that other ranks write to as well
        self._limit = MANY  # bytes of rims that are looked through for those that can be stepped
        self._blend = None if steps_at_once(job) else Blend(canvas.extent, job.store)
        self._high = max(1, BAND // (CANVAS * canvas.extent.width))  # rows that are stepped together
        self.visits = self._visits(job)

    @property
    def at_once(self) -> bool:
        """Whether patches step when they are taken, rather than together at the end."""
        return self._blend is None

    def _visits(self, job: Job) -> Visits | None:
        """How pixels are stepped on another device than the canvas is on; None where they are stepped here."""
        device, styled = job.network.device, self._regions.styled if self._regions else None
        away = device != self._canvas.pixels.device and is_staged(device)
        if not away or not self.at_once or job.anchor is not None:  # a term that is computed here
            return None
        return Visits(self._canvas, device, self._adam, self._rate, styled)

    def announced(self, patches: Iterable[Patch]) -> Iterator[Patch]:
        """Iterate over patches that are going to be taken; the checkpointer hears of each before."""
        for patch in patches:
            if self._blend is None:
                self._keeper.guard(self._canvas, patch.parts[0])
            yield patch

    def take(self, patch: Patch, gradient: Tensor) -> None:
        """Take in the gradient [3, height, width] of a patch's read box, or with `visits` what has landed."""
        if self._blend:
            if meeting(patch.read, self._theirs, self._canvas.extent.height, self._canvas.extent.width):
                self._late.append((patch, gradient.clone()))
            else:
                self._blend.add(patch, gradient)
            return
        self._keeper.settle()
        inner, rims = patch.parts
        at, visits = self._at, self.visits
        planes = dict[str, Tensor]()
        if visits:
            planes, late = visits.landed(patch, gradient)
        else:
            late = {rim: under(rim, patch, gradient) for rim in rims}
        try:  # what takes memory comes first: a patch is taken wholly or not at all
            for rim in rims:
                at.rims[rim] = late[rim]
            if visits:
                visits.end(patch, planes)
            else:
                self._step(inner, under(inner, patch, gradient))
        except BaseException:
            for rim in rims:
                at.rims.pop(rim, None)
            raise
        at.taken += 1
        if at.rims.nbytes > self._limit:
            self._step_rims()
            self._limit = MANY + 2 * at.rims.nbytes

    def _step(self, box: Box, gradient: Tensor) -> None:
        """Step what is under a box."""
        if not box.area:
            return
        styled = self._regions.styled(box) if self._regions else None
        parts = [(*part, Room.of(part[0])) for part in self._canvas.views(box)]
        for views, row, column, room in parts:
            height, width = views["pixels"].shape[1:]
            under = slice(None), slice(row, row + height), slice(column, column + width)
            self._adam.update(
                views, gradient[under], self._rate, None if styled is None else styled[under], room
            )
            touched(*views.values())

    def _step_rims(self) -> None:
        """Step the rims that no patch is still to see."""
        extent, at = self._canvas.extent, self._at
        waiting = corners(patch.read for patch in at.left + at.others)
        free = [rim for rim in at.rims if not meeting(rim, waiting, extent.height, extent.width)]
        if self._canvas.pixels.device.type != "cpu":
            self._step_together(free)
            return
        # Rims are everywhere: of a mapped canvas, all together would bring all of it into memory.
        bands = banded({rim: at.rims[rim] for rim in free}, self._high)
        for band in bands:  # those that were cut wait as pieces
            for box, gradient in band.items():
                if box not in at.rims:
                    at.rims[box] = gradient
        for rim in set(free).difference(*bands):
            del at.rims[rim]
        for band in bands:
            self._keeper.guard(self._canvas, *band)
            self._keeper.settle()
            for box, gradient in band.items():
                self._step(box, gradient)
                del at.rims[box]  # only now: memory may run out before

    def _step_together(self, rims: Sequence[Box]) -> None:
        """Step rims of a canvas on a device: what is under many of them is gathered, stepped and put back.

        So it takes no more kernels where the canvas is wide, or patches are many. (Of a canvas in memory one
        rim after the other is faster: it stays in a cache.)
        """
        at, canvas = self._at, self._canvas
        for part in batches(rims, TOGETHER):
            place = places(part, canvas.extent, canvas.pixels.device)
            window = canvas.gathered(place)
            gradient = torch.cat([at.rims[rim].flatten(1) for rim in part], 1)
            styled = None if self._regions is None else self._regions.styled_at(place)
            room = Room.of(window)
            self._keeper.guard(canvas, *part)
            self._keeper.settle()
            self._adam.update(window, gradient, self._rate, styled, room)
            canvas.scatter(place, window)
            for rim in part:
                del at.rims[rim]

    @cached_property
    def _theirs(self) -> np.ndarray:
        """What patches of other ranks see."""
        return corners(patch.read for patch in self._at.others)

    def _add_late(self) -> None:
        for patch, gradient in self._late:
            if self._blend:
                self._blend.add(patch, gradient)
        self._late = []

    def finish(self) -> None:
        """Step what is left of the sweep: rims, or the blend."""
        if self._blend is None:
            self._step_rims()
            return
        self._ranks.in_turn(self._add_late)
        extent = self._canvas.extent
        # By rows: the optimiser's temporaries stay small.
        high = min(ROWS, self._high)
        first, last = self._ranks.rows(extent.height, high)
        for top in range(first, last, high):
            rows = slice(top, min(top + high, last))
            self._keeper.guard(self._canvas, Box(top, 0, rows.stop - top, extent.width))
            self._keeper.settle()
            gradient, seen = self._blend.mean(rows)
            if self._regions:
                seen = seen * self._regions.styled(Box(top, 0, rows.stop - top, extent.width))
            views = {name: plane[:, rows] for name, plane in self._canvas.planes.items()}
            self._adam.update(views, gradient, self._rate, seen)
            touched(gradient, seen, *views.values())


def steps_at_once(job: Job) -> bool:
    """Whether patches step the canvas when they are taken; where they overlap, they step at the sweep's end."""
    return not job.halo and job.config.sampler is not Sampler.WINDOWS


def banded(rims: Mapping[Box, Tensor], high: int) -> list[dict[Box, Tensor]]:
    """Rims with their gradients [3, h, w], cut where bands of so many rows end: the bands, downwards."""
    bands: defaultdict[int, dict[Box, Tensor]] = defaultdict(dict)
    for rim, gradient in rims.items():
        bottom = rim.top + rim.height
        for band in range(rim.top // high, -(-bottom // high)):
            top, end = max(rim.top, band * high), min(bottom, (band + 1) * high)
            piece = Box(top, rim.left, end - top, rim.width)
            bands[band][piece] = gradient[:, top - rim.top : end - rim.top]
    return [bands[band] for band in sorted(bands)]


def batches(boxes: Iterable[Box], pixels: int) -> Iterator[list[Box]]:
    """Boxes in runs of about so many pixels."""
    run, area = list[Box](), 0
    for box in boxes:
        run.append(box)
        area += box.area
        if area >= pixels:
            yield run
            run, area = [], 0
    if run:
        yield run
