"""How the patches of a sweep are shared out to processes."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

from tilestyle.geometry.boxes import Patch


def split(costs: Sequence[int], count: int) -> list[slice]:
    """Cut a list into `count` runs of about the same cost, in order; runs may be empty."""
    total, done, cuts = sum(costs), 0, [0]
    for place, cost in enumerate(costs):
        # Where the middle of an item lies decides whose it is: so a single one is the first rank's.
        while len(cuts) < count and (2 * done + cost) * count > 2 * total * len(cuts):
            cuts.append(place)
        done += cost
    cuts += [len(costs)] * (count + 1 - len(cuts))
    runs = [slice(start, stop) for start, stop in pairwise(cuts)]
    return sorted(runs, key=lambda run: run.start == run.stop) if len(costs) < count else runs


def dealt(patches: Sequence[Patch], height: int, count: int) -> list[list[Patch]]:
    """Patches of a sweep for every rank: runs of about as many pixels, down a canvas of this height.

    By where their middles lie, whatever corner the sweep begins at: so a rank has nearly the same part of the
    canvas in every sweep. Alone, they are left in their order.
    """
    if count == 1:
        return [list(patches)]

    def place(patch: Patch) -> tuple[int, int]:
        return (patch.owned.top + patch.owned.height // 2) % height, patch.owned.left

    placed = sorted(patches, key=place)
    return [placed[run] for run in split([patch.read.area for patch in placed], count)]
