"""What becomes of the patches' gradients: steps of the canvas."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping
from functools import cached_property

import numpy as np
from torch import Tensor

from tilestyle.adam import Adam, Room
from tilestyle.blend import Blend
from tilestyle.canvas import ROWS, Canvas
from tilestyle.config import Sampler
from tilestyle.footprint import CANVAS
from tilestyle.geometry import Box, Patch, corners, meeting
from tilestyle.job import Job
from tilestyle.planes import RESIDENT, touched
from tilestyle.regions import Regions
from tilestyle.standing import Standing

# Bytes of rims that are no matter.
MANY = 16 * 2**20
# Bytes of a canvas whose rims, or blends, are stepped together.
BAND = RESIDENT // 4


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

    @property
    def at_once(self) -> bool:
        """Whether patches step when they are taken, rather than together at the end."""
        return self._blend is None

    def announced(self, patch: Patch) -> Patch:
        """The patch: it is going to be taken."""
        if self._blend is None:
            self._keeper.guard(self._canvas, patch.parts[0])
        return patch

    def take(self, patch: Patch, gradient: Tensor) -> None:
        """Take in the gradient [3, height, width] of a patch's read box."""
        if self._blend:
            if meeting(patch.read, self._theirs, self._canvas.extent.height, self._canvas.extent.width):
                self._late.append((patch, gradient.clone()))
            else:
                self._blend.add(patch, gradient)
            return
        self._keeper.settle()
        inner, rims = patch.parts
        at = self._at
        try:  # what takes memory comes first: a patch is taken wholly or not at all
            for rim in rims:
                at.rims[rim] = _under(rim, patch, gradient)
            self._step(inner, _under(inner, patch, gradient))
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


def _under(box: Box, patch: Patch, gradient: Tensor) -> Tensor:
    """What a patch's gradient, [3, height, width] of what it reads, says of a box in it: a view."""
    top, left = box.top - patch.read.top, box.left - patch.read.left
    return gradient[:, top : top + box.height, left : left + box.width]
