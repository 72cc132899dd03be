"""What ranks have to do with each other in a sweep, counted: sums sent, pixels of others read."""

from __future__ import annotations

from dataclasses import dataclass
from math import ceil

import numpy as np

from tilestyle.geometry.boxes import Box, Extent, Patch, pieces
from tilestyle.geometry.sharding import dealt
from tilestyle.losses.level import measured_every
from tilestyle.optim.loop import sampled
from tilestyle.planning.job import Job
from tilestyle.planning.memory_model import CANVAS, PIXEL


@dataclass(frozen=True)
class Counted:
    """Of one sweep at scale 1, all ranks together."""

    sums: int  # bytes of sums that each rank has, and gets back added up
    border: int  # pixels of others that ranks read, or leave until the others have read them
    patches: int  # of the rank that has most

    @property
    def border_bytes(self) -> int:
        """What moves of them: pixels to who reads them, and to who steps them with their state."""
        return self.border * (PIXEL + CANVAS)


def counted(job: Job, count: int, sweep: int = 0) -> Counted:
    """Count one sweep of a job's last level, shared out to so many ranks."""
    level = job.levels[-1]
    shares = dealt(sampled(job, level, sweep), level.extent.height, count)
    return Counted(sum_bytes(job), border_pixels(shares, level.extent), max(map(len, shares)))


def sum_bytes(job: Job) -> int:
    """Bytes of the sums of a sweep, and of the measurements before it: C (C + 1) numbers for every layer."""
    level = job.levels[-1]
    octaves = job.octaves(level)
    sums = 0.0
    for factor, names in octaves.items():
        layers = [
            job.network.layers[name] for layer, name in names.items() if layer in job.weights.style_layers
        ]
        field = max(job.network.layers[name].receptive_field for name in names.values())
        # What is seen from afar is measured before every sweep, the rest now and then.
        times = 2.0 if factor > 1 else 1 + 1 / measured_every(job.side, field, late=False)
        sums += times * sum(layer.channels * (layer.channels + 1) for layer in layers)
    item = 24 if job.config.deterministic else 4
    return ceil(item * sums)


def border_pixels(shares: list[list[Patch]], extent: Extent) -> int:
    """Pixels that a rank reads and another steps, once for every rank that does.

    Only those of a patch's lap can be: so only they are looked at.
    """
    owner = np.full((extent.height, extent.width), -1, np.int32)
    for index, share in enumerate(shares):
        for patch in share:
            for part in _parts(patch.owned, extent):
                owner[part] = index
    total = 0
    for index, share in enumerate(shares):
        for patch in share:
            total += sum(
                int((owner[part] != index).sum()) for ring in _ring(patch) for part in _parts(ring, extent)
            )
    return total


def _ring(patch: Patch) -> list[Box]:
    """What a patch reads and does not own: above, below, before and after."""
    own, seen = patch.owned, patch.read
    above, before = own.top - seen.top, own.left - seen.left
    below = seen.height - own.height - above
    after = seen.width - own.width - before
    return [
        Box(seen.top, seen.left, above, seen.width),
        Box(own.top + own.height, seen.left, below, seen.width),
        Box(own.top, seen.left, own.height, before),
        Box(own.top, own.left + own.width, own.height, after),
    ]


def _parts(box: Box, extent: Extent) -> list[tuple[slice, slice]]:
    if not box.area:
        return []
    return [
        (slice(part.top, part.top + part.height), slice(part.left, part.left + part.width))
        for part, _, _ in pieces(box, extent.height, extent.width)
    ]
