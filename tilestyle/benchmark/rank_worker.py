"""One rank of a measurement, started by torchrun or alone: sweeps of one level, and what they waited for.

    python -m tilestyle.benchmark.rank_worker '{"scene": ..., "side": 1024, "patch": 256, "sweeps": 4, ...}'

The first rank prints what was found as JSON.
"""

from __future__ import annotations

import json
import resource
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
from tilestyle.benchmark.workload import Scene
from tilestyle.devices.timer import now
from tilestyle.devices.torch_state import isolated
from tilestyle.distributed import Ranks, joined
from tilestyle.losses.style_statistics import style_moments
from tilestyle.losses.style_targets import cotangents, target
from tilestyle.optim.loop import optimise
from tilestyle.optim.state import Standing
from tilestyle.pipeline.api import working
from tilestyle.pipeline.workdir import Work
from tilestyle.planning.job import Job

REPEATS = 5


@isolated
def measured(ranks: Ranks, asked: dict[str, Any]) -> dict[str, Any]:
    """Run the sweeps; all ranks together."""
    scene, side = Scene.read(asked["scene"]), int(asked["side"])
    work = Work(Path(asked["folder"]), every=float("inf"), ranks=ranks)
    # Alone there is no folder: that is what several ranks are compared with.
    with working(work if ranks.count > 1 else None, lambda: asked) as checkpoints:
        job = scene.job(side, side, asked["sweeps"], checkpoints, patch=asked["patch"])
        ends: list[tuple[float, float]] = []
        at = checkpoints.standing(job) if checkpoints else Standing()

        def observe(*sweep: object) -> None:
            ends.append((time.perf_counter(), time.process_time()))

        optimise(job, lambda level: None, observe, lambda: False, at)
        before, meetings = ranks.traffic.sums, ranks.traffic.meetings
        device = job.network.device  # where sums are: by NCCL, on GPUs
        sums = torch.zeros(sum_bytes(job) // 4, device=device)
        sending = _typical(lambda: ranks.add(sums), partial(now, device))
        ranks.traffic.sums = before
        seconds = median(after[0] - before[0] for before, after in pairwise(ends))
        processor = median(after[1] - before[1] for before, after in pairwise(ends))
        cpu = job.network.device.type == "cpu"
        return {
            "seconds": seconds,
            # What other programs do not disturb: on a CPU, the time that it was at work.
            "cost": sum(ranks.counts(round(1e6 * (processor if cpu else seconds)))) / 1e6,
            "distances": _distances(job),
            "sending": sending,
            "meeting": _typical(ranks.meet),
            "meetings": meetings / asked["sweeps"],
            "sums": ranks.traffic.sums / asked["sweeps"],
            "peak": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024,
        }


def _distances(job: Job) -> float:
    """Seconds of what every rank computes alike in a sweep, however many there are."""
    (found,) = style_moments(job, job.levels[0])  # of one region
    goals = {layer: target(moments, job.config) for layer, moments in found.items()}
    return _typical(lambda: cotangents(goals, found), time.process_time)


def _typical(run: Callable[[], object], clock: Callable[[], float] = time.perf_counter) -> float:
    """Median seconds."""
    taken = []
    for _ in range(REPEATS):
        start = clock()
        run()
        taken.append(clock() - start)
    return median(taken)


def main() -> None:
    """Measure what the command line says."""
    asked = json.loads(sys.argv[1])
    with joined() as ranks:
        found = measured(ranks, asked)
    if ranks.first:
        sys.stdout.write(json.dumps(found))


if __name__ == "__main__":
    main()
