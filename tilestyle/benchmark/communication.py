"""Count the communication between ranks in a sweep: sums exchanged, and pixels of other ranks read."""

from __future__ import annotations

from dataclasses import dataclass
from math import ceil

import numpy as np

from tilestyle.geometry.boxes import Box, CanvasExtent, Patch, split_on_torus
from tilestyle.geometry.sharding import shard_patches
from tilestyle.losses.level import measurement_interval
from tilestyle.optim.loop import sweep_patches
from tilestyle.planning.job import Job
from tilestyle.planning.memory_model import CANVAS_BYTES, PIXEL_BYTES


@dataclass(frozen=True)
class CommunicationCost:
    """The communication of one sweep at scale 1.

    Attributes:
        sums: Bytes of sums of each rank, which it gets back added up over all ranks.
        border: Pixels that a rank reads and another owns, over all ranks.
        patches: Number of patches of the rank that has most.
    """

    sums: int
    border: int
    patches: int

    @property
    def border_bytes(self) -> int:
        """Bytes moved for the border: pixels to their readers, and pixels with their state to their owners."""
        return self.border * (PIXEL_BYTES + CANVAS_BYTES)


def count_communication(job: Job, count: int, sweep: int = 0) -> CommunicationCost:
    """Count the communication of one sweep of a job's last level.

    Args:
        job: The job.
        count: Number of ranks.
        sweep: Number of the sweep, which decides where its patches lie.
    """
    level = job.levels[-1]
    shares = shard_patches(sweep_patches(job, level, sweep), level.extent.height, count)
    return CommunicationCost(sum_bytes(job), border_pixels(shares, level.extent), max(map(len, shares)))


def sum_bytes(job: Job) -> int:
    """Count the bytes of the sums of a sweep and of the measurements before it: C (C + 1) numbers per layer."""
    level = job.levels[-1]
    scale_groups = job.scale_groups(level)
    sums = 0.0
    for factor, names in scale_groups.items():
        layers = [
            job.network.layers[name] for layer, name in names.items() if layer in job.weights.style_layers
        ]
        field = max(job.network.layers[name].receptive_field for name in names.values())
        # Layers at coarser scales are measured before every sweep, the others once in several sweeps.
        times = 2.0 if factor > 1 else 1 + 1 / measurement_interval(job.patch_side, field, late=False)
        sums += times * sum(layer.channels * (layer.channels + 1) for layer in layers)
    item = 24 if job.config.deterministic else 4
    return ceil(item * sums)


def border_pixels(shares: list[list[Patch]], extent: CanvasExtent) -> int:
    """Count the pixels that a rank reads and another owns, once for every rank that reads them.

    Only the pixels that a patch reads beyond its own are checked: no others can belong to another rank.

    Args:
        shares: The patches of each rank.
        extent: Size of the canvas.
    """
    owner = np.full((extent.height, extent.width), -1, np.int32)
    for index, share in enumerate(shares):
        for patch in share:
            for part in _box_slices(patch.owned, extent):
                owner[part] = index
    total = 0
    for index, share in enumerate(shares):
        for patch in share:
            total += sum(
                int((owner[part] != index).sum())
                for ring in _read_only_boxes(patch)
                for part in _box_slices(ring, extent)
            )
    return total


def _read_only_boxes(patch: Patch) -> list[Box]:
    """The boxes that a patch reads and does not own: above, below, to the left and to the right."""
    own, read = patch.owned, patch.read
    above, left = own.top - read.top, own.left - read.left
    below = read.height - own.height - above
    right = read.width - own.width - left
    return [
        Box(read.top, read.left, above, read.width),
        Box(own.top + own.height, read.left, below, read.width),
        Box(own.top, read.left, own.height, left),
        Box(own.top, own.left + own.width, own.height, right),
    ]


def _box_slices(box: Box, extent: CanvasExtent) -> list[tuple[slice, slice]]:
    """Index slices of a box on the canvas's torus: several where it wraps around."""
    if not box.area:
        return []
    return [
        (slice(part.top, part.top + part.height), slice(part.left, part.left + part.width))
        for part, _, _ in split_on_torus(box, extent.height, extent.width)
    ]
