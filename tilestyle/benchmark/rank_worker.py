"""One rank of a measurement, started by torchrun or alone: time sweeps of one level and their communication.

    python -m tilestyle.benchmark.rank_worker '{"workload": ..., "side": 1024, "patch": 256, "sweeps": 4, ...}'

The first rank prints the result as JSON.
"""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable
from functools import partial
from itertools import pairwise
from pathlib import Path
from statistics import median
from typing import Any

import torch

from tilestyle.benchmark.communication import sum_bytes
from tilestyle.benchmark.environment import REFUSED
from tilestyle.benchmark.workload import Workload
from tilestyle.devices.peak_memory import peak_resident_bytes
from tilestyle.devices.timer import synchronized_time
from tilestyle.devices.torch_state import with_torch_state
from tilestyle.distributed import Communicator, process_group
from tilestyle.errors import TilestyleError
from tilestyle.losses.style_statistics import style_moments
from tilestyle.losses.style_targets import TargetDistances, make_target
from tilestyle.optim.loop import optimize
from tilestyle.optim.state import RenderState
from tilestyle.pipeline.api import open_checkpoints
from tilestyle.pipeline.workdir import Work
from tilestyle.planning.job import Job

REPEATS = 5


@with_torch_state
def measure_rank(ranks: Communicator, spec: dict[str, Any]) -> dict[str, Any]:
    """Run and time the sweeps, together with the other ranks.

    Args:
        ranks: The communicator.
        spec: What to measure, as `run_ranks` passes it.

    Returns:
        Seconds, bytes and numbers of messages, by name.
    """
    workload, side = Workload.from_json(spec["workload"]), int(spec["side"])
    work = Work(Path(spec["folder"]), every=float("inf"), ranks=ranks)
    # A single rank uses no folder: it is the baseline.
    with open_checkpoints(work if ranks.world_size > 1 else None, lambda: spec) as checkpoints:
        job = workload.job(side, side, spec["sweeps"], checkpoints, patch=spec["patch"])
        ends: list[tuple[float, float]] = []
        render_state = checkpoints.load_render_state(job.levels, job.store) if checkpoints else RenderState()

        def observe(*sweep: object) -> None:
            ends.append((time.perf_counter(), time.process_time()))

        optimize(job, lambda level: None, observe, lambda: False, render_state)
        sums_before, meetings = ranks.traffic.reduced_bytes, ranks.traffic.barriers
        device = job.network.device  # sums are on it, so that NCCL adds them up on GPUs
        sums = torch.zeros(sum_bytes(job) // 4, device=device)
        sending = _median_seconds(lambda: ranks.all_reduce(sums), partial(synchronized_time, device))
        ranks.traffic.reduced_bytes = sums_before
        seconds = median(end[0] - start[0] for start, end in pairwise(ends))
        processor = median(end[1] - start[1] for start, end in pairwise(ends))
        cpu = job.network.device.type == "cpu"
        return {
            "seconds": seconds,
            # Insensitive to other programs: on a CPU, processor time.
            "cost": sum(ranks.all_gather_int(round(1e6 * (processor if cpu else seconds)))) / 1e6,
            "distances": _distance_seconds(job),
            "sending": sending,
            "meeting": _median_seconds(ranks.barrier),
            "meetings": meetings / spec["sweeps"],
            "sums": ranks.traffic.reduced_bytes / spec["sweeps"],
            "peak": peak_resident_bytes(),
        }


def _distance_seconds(job: Job) -> float:
    """Seconds per sweep of the distances, which every rank computes alike."""
    (layer_moments,) = style_moments(job, job.levels[0])  # of the only region
    targets = {layer: make_target(moments, job.config) for layer, moments in layer_moments.items()}
    return _median_seconds(lambda: TargetDistances(targets).cotangents(layer_moments), time.process_time)


def _median_seconds(run: Callable[[], object], clock: Callable[[], float] = time.perf_counter) -> float:
    """The median time of a function, in seconds."""
    durations = []
    for _ in range(REPEATS):
        start = clock()
        run()
        durations.append(clock() - start)
    return median(durations)


def main() -> None:
    """Measure what the command line specifies, and print the result."""
    spec = json.loads(sys.argv[1])
    try:
        with process_group() as ranks:
            row = measure_rank(ranks, spec)
    except TilestyleError as error:
        sys.exit(f"{REFUSED}{error}")
    if ranks.is_rank_zero:
        sys.stdout.write(json.dumps(row))


if __name__ == "__main__":
    main()
