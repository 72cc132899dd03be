"""All groups, in the order in which they run: what matters most comes first, what takes long comes late."""

from __future__ import annotations

from benchmarks.gpu import (
    cases,
    command,
    environment,
    memory,
    numbers,
    profiling,
    resuming,
    speed,
    switches,
    together,
    transfers,
    whatif,
)
from benchmarks.gpu.core import Group

GROUPS: dict[str, Group] = {
    group.name: group
    for group in (
        environment.GROUP,
        numbers.GROUP,
        cases.PRECISIONS,
        transfers.GROUP,
        speed.THROUGHPUT,
        command.GROUP,
        cases.GRADIENTS,
        memory.BUDGETS,
        memory.SIZES,
        memory.SHORTAGE,
        profiling.GROUP,
        speed.LEVELS,
        switches.GROUP,
        resuming.GROUP,
        memory.LARGEST,
        together.GROUP,
        speed.LOCALITY,
        cases.PICTURE_GROUP,
        whatif.GROUP,
    )
}
