"""Less of what takes long in a test of a few pixels, and is not what it tests. Loading it does that.

Processes that tests start load it, too, where their pictures are compared with those of the tests.
"""

from __future__ import annotations

import os

from tilestyle.devices import malloc
from tilestyle.optim import content_weight

# With --strength, pictures are enlarged to 384 pixels and shown to a trained network, twice or more in every
# render: of small pictures that costs more than the render itself. The fixture `comparison_at_full_size` is for
# tests of what a strength means.
content_weight.SIDE = 48  # type: ignore[attr-defined]

# Of oneDNN's kernels as many as it keeps by itself: tests have many shapes, and the next ones want them again.
malloc.MAX_KERNELS = 1024


def confirmed(descriptor: int) -> None:
    """The file is on the disk: a test ends processes, but does not cut the power."""


for name in {"fsync", "fdatasync"} & set(dir(os)):
    setattr(os, name, confirmed)
