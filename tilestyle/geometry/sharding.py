"""How the patches of a sweep are distributed to processes."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

from tilestyle.geometry.boxes import Patch


def balanced_runs(costs: Sequence[int], count: int) -> list[slice]:
    """Cut a list into `count` consecutive runs of about the same cost; runs may be empty."""
    total, cost_before, cuts = sum(costs), 0, [0]
    for index, cost in enumerate(costs):
        # The run is chosen by the middle of an item, so that a single item goes to rank 0.
        while len(cuts) < count and (2 * cost_before + cost) * count > 2 * total * len(cuts):
            cuts.append(index)
        cost_before += cost
    cuts += [len(costs)] * (count + 1 - len(cuts))
    runs = [slice(start, stop) for start, stop in pairwise(cuts)]
    return sorted(runs, key=lambda run: run.start == run.stop) if len(costs) < count else runs


def shard_patches(patches: Sequence[Patch], height: int, world_size: int) -> list[list[Patch]]:
    """Assign the patches of a sweep to processes: runs of about as many pixels, from the top down.

    Patches are ordered by their centers, wherever the sweep's grid begins, so that a process has nearly the
    same part of the canvas in every sweep. A single process keeps their order.

    Args:
        patches: Patches of the sweep.
        height: Rows of the canvas.
        world_size: Number of processes.

    Returns:
        The patches of each process, by rank.
    """
    if world_size == 1:
        return [list(patches)]

    def place(patch: Patch) -> tuple[int, int]:
        return (patch.owned.top + patch.owned.height // 2) % height, patch.owned.left

    ordered = sorted(patches, key=place)
    return [ordered[run] for run in balanced_runs([patch.read.area for patch in ordered], world_size)]
