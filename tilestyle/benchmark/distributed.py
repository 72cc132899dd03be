"""Measure the speedup and the communication of several ranks, and predict both for other machines."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from math import ceil, log2, sqrt
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from tilestyle.benchmark.communication import count_communication
from tilestyle.benchmark.environment import (
    REFUSED,
    OnRow,
    Progress,
    ProgressCounter,
    Result,
    Row,
    no_progress,
)
from tilestyle.benchmark.workload import Workload, square_side
from tilestyle.errors import TilestyleError
from tilestyle.geometry.boxes import canvas_extent
from tilestyle.planning.job import Job
from tilestyle.planning.memory_model import CANVAS_BYTES, PIXEL_BYTES

ERROR_LINE = re.compile(r"(\[rank\d+\]: *)?[\w.]*(Error|Exception)\b")  # of a traceback, its last
COUNTED_RANKS = 8  # ranks for which communication is counted
COUNTED_SWEEPS = 3  # sweeps over which it is averaged: each starts its patches at another corner


@dataclass(frozen=True)
class Machine:
    """A model of a machine: what determines the time of a sweep.

    Attributes:
        name: Name for the report.
        ranks: Number of ranks.
        seconds_per_megapixel: Seconds that a rank needs for a megapixel.
        distance_seconds: Seconds for the distances, which every rank computes alike.
        latency: Seconds per message.
        sum_bandwidth: Bytes per second and rank, for sums.
        file_bandwidth: Bytes per second and rank, for pixels that another rank has written.
    """

    name: str
    ranks: int
    seconds_per_megapixel: float
    distance_seconds: float
    latency: float
    sum_bandwidth: float
    file_bandwidth: float

    def seconds(self, megapixels: float, sums: float, messages: float, width: float) -> float:
        """Predict the seconds of a sweep.

        Args:
            megapixels: Size of the canvas.
            sums: Bytes of sums of each rank.
            messages: Number of messages of each rank.
            width: Width of a rank's border, in widths of the canvas.
        """
        if self.ranks == 1:
            return self.seconds_per_megapixel * megapixels + self.distance_seconds
        # A ring all-reduce sends everything twice, except a rank's own share; a border crosses the canvas once.
        sum_seconds = 2 * (
            self.ranks - 1
        ) / self.ranks * sums / self.sum_bandwidth + messages * self.latency * log2(self.ranks)
        border_seconds = width * sqrt(megapixels * 1e6) * (PIXEL_BYTES + CANVAS_BYTES) / self.file_bandwidth
        return (
            self.seconds_per_megapixel * megapixels / self.ranks
            + self.distance_seconds
            + sum_seconds
            + border_seconds
        )

    def efficiency(self, megapixels: float, sums: float, messages: float, width: float) -> float:
        """Predict the parallel efficiency: the speedup divided by the ranks; arguments as for `seconds`."""
        facts = (megapixels, sums, messages, width)
        return replace(self, ranks=1).seconds(*facts) / (self.ranks * self.seconds(*facts))


# Machines to predict for, in addition to this one. These are assumptions, not measurements: a GPU that renders
# 10 megapixels per second, NVLink or InfiniBand, and a parallel file system whose bandwidth all ranks share.
ASSUMED_MACHINES = (
    Machine("8 GPUs, one machine", 8, 0.1, 0.0, 30e-6, 50e9, 8e9),
    Machine("64 machines of 8 GPUs", 512, 0.1, 0.0, 60e-6, 12e9, 0.5e9),
)
PREDICTED_SIZES = (64.0, 1000.0, 1e6)  # megapixels; the last is a terapixel


@dataclass(frozen=True)
class DistributedSpec:
    """What to measure.

    Attributes:
        ranks: Numbers of ranks to measure with.
        megapixels: Size of the canvas that is rendered.
        counted_sizes: Sizes in megapixels for which communication is only counted.
        patch: Side of a patch, in pixels.
        sweeps: Sweeps of each measurement.
    """

    ranks: Sequence[int]
    megapixels: float
    counted_sizes: Sequence[float]
    patch: int
    sweeps: int


def measure_distributed(
    workload: Workload,
    spec: DistributedSpec,
    on_row: OnRow,
    on_progress: Progress = no_progress,
) -> Result:
    """Measure with every number of ranks, count communication at every size, and predict other machines.

    Args:
        workload: Network, weights, precision and device.
        spec: What to measure.
        on_row: Called with every row when it is ready, and the result so far.
        on_progress: Called with the fraction that is done, after every measurement.

    Raises:
        TilestyleError: A measurement failed.
    """
    rows: list[dict[str, Any]] = []
    figures = workload.report_fields()
    result = Result(f"many ranks, {workload.network}", rows, figures)

    def tell() -> None:
        on_row(rows[-1], replace(result, unfinished=True))

    counter = ProgressCounter(len(spec.ranks) + 1, on_progress)  # counting all takes about as long as one
    for ranks in spec.ranks:
        rows.append({"what": "measured", "ranks": ranks, "megapixels": spec.megapixels})
        rows[-1] |= run_ranks(workload, spec, ranks)
        baseline = rows[0]
        rows[-1]["efficiency"] = baseline["seconds"] * baseline["ranks"] / (ranks * rows[-1]["seconds"])
        rows[-1]["efficiency by cost"] = baseline["cost"] / rows[-1]["cost"]
        tell()
        counter.end_part(1)
    measured = list(rows)
    job = workload.job(2 * spec.patch, 2 * spec.patch, 1, patch=spec.patch)
    for size in spec.counted_sizes:
        rows.append({"what": "counted", "ranks": COUNTED_RANKS, "megapixels": size} | count_sweep(job, size))
        tell()
        counter.add(1 / len(spec.counted_sizes))
    facts = model_inputs(measured, rows[len(measured) :])
    figures |= facts
    for machine in [
        this_machine(measured),
        *(replace(assumed, distance_seconds=facts["distances"]) for assumed in ASSUMED_MACHINES),
    ]:
        for size in PREDICTED_SIZES:
            rows.append(predict(machine, size, facts))
            tell()
    return result


def run_ranks(workload: Workload, spec: DistributedSpec, ranks: int) -> dict[str, Any]:
    """Measure with a number of ranks, each in its own process; return what the first one prints."""
    side = square_side(spec.megapixels)
    with TemporaryDirectory() as folder:
        settings = {"workload": workload.to_json(), "side": side, "patch": spec.patch, "sweeps": spec.sweeps}
        words = json.dumps(settings | {"folder": str(Path(folder) / "work")})
        launcher = (
            ["-m", "torch.distributed.run", "--standalone", "--nproc-per-node", str(ranks)] if ranks > 1 else []
        )
        with subprocess.Popen(
            [sys.executable, *launcher, "-m", "tilestyle.benchmark.rank_worker", words],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env=os.environ | {"OMP_NUM_THREADS": os.environ.get("OMP_NUM_THREADS", "1")},
        ) as process:
            try:
                output, errors = process.communicate()
            except BaseException:
                process.terminate()  # not kill: torchrun has to end its own processes
                raise
    if process.returncode:
        lines = errors.splitlines()
        refusals = [line.removeprefix(REFUSED) for line in lines if line.startswith(REFUSED)]
        if refusals:
            raise TilestyleError(refusals[0])
        failures = [line for line in lines if ERROR_LINE.match(line)]
        raise TilestyleError(
            f"a measurement failed, number of ranks {ranks}: {(failures or ['killed'])[0]}",
            hint="try fewer ranks, or --device cpu",
        )
    row: dict[str, Any] = json.loads(output.strip().splitlines()[-1])
    return row


def count_sweep(job: Job, megapixels: float) -> dict[str, Any]:
    """Count the communication of a sweep of a square canvas, without allocating the canvas.

    Args:
        job: A job with the same patches.
        megapixels: Size of the canvas.
    """
    side = square_side(megapixels, job.unit)
    large = replace(job, levels=(replace(job.levels[-1], extent=canvas_extent(side, side, 0, job.unit)),))
    costs = [count_communication(large, COUNTED_RANKS, sweep) for sweep in range(COUNTED_SWEEPS)]
    border = sum(cost.border for cost in costs) / COUNTED_SWEEPS
    return {
        "sums": costs[0].sums,
        "border pixels": round(border),
        "border bytes": round(sum(cost.border_bytes for cost in costs) / COUNTED_SWEEPS),
        "share of canvas": border / side**2,
        "border width": border / (COUNTED_RANKS * side),  # of a rank, in pixels along the canvas's width
        "most patches over mean": costs[0].patches * COUNTED_RANKS / ceil(side / job.patch_side) ** 2,
    }


def model_inputs(measured: Sequence[Row], counts: Sequence[Row]) -> dict[str, float]:
    """Return the inputs of the predictions.

    Args:
        measured: Rows that were measured, in increasing number of ranks.
        counts: Rows that were counted, in increasing size.
    """
    largest = measured[-1]
    return {
        "distances": measured[0]["distances"],
        "sums": float(counts[-1]["sums"]),
        "meetings": largest["meetings"],
        "width": counts[-1]["border width"],
    }


def this_machine(measured: Sequence[Row]) -> Machine:
    """Fit the model to this machine's measurements, in increasing number of ranks."""
    single, largest = measured[0], measured[-1]
    megapixel = max(single["cost"] - single["distances"], 1e-9) / single["megapixels"]
    sending = max(largest["sending"] - largest["meeting"], 1e-6)
    link = max(largest["sums"], 1.0) / sending
    return Machine("this", largest["ranks"], megapixel, single["distances"], largest["meeting"], link, 1e9)


def predict(machine: Machine, megapixels: float, facts: dict[str, float]) -> dict[str, Any]:
    """Predict a sweep, and the greatest number of ranks with at least half of the ideal speedup.

    Args:
        machine: The machine.
        megapixels: Size of the canvas.
        facts: What `model_inputs` returns.
    """
    inputs = (megapixels, facts["sums"], facts["meetings"], facts["width"])
    most = 1
    while most < 2**19 and replace(machine, ranks=2 * most).efficiency(*inputs) >= 1 / 2:
        most *= 2
    return {
        "what": "predicted",
        **{key: value for key, value in asdict(machine).items() if key in ("name", "ranks")},
        "megapixels": megapixels,
        "seconds": machine.seconds(*inputs),
        "efficiency": machine.efficiency(*inputs),
        "half efficient up to ranks": most,
    }
