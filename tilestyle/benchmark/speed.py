"""Compare the speed of a sweep with the bare network, the untiled step and the machine's matrix products."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from operator import truediv
from statistics import median
from typing import Any

import torch
from torch import Tensor

from tilestyle.benchmark.breakdown import time_parts
from tilestyle.benchmark.environment import OnRow, Progress, ProgressCounter, Result, no_progress
from tilestyle.benchmark.timing import LapTimer, time_call
from tilestyle.benchmark.workload import Workload, square_side
from tilestyle.canvas.canvas import Canvas
from tilestyle.config.readable import format_number
from tilestyle.devices.failures import is_out_of_memory, may_be_out_of_memory
from tilestyle.devices.timer import synchronized_time
from tilestyle.devices.torch_state import with_torch_state
from tilestyle.devices.transfer import to_device
from tilestyle.geometry.boxes import Patch, round_up
from tilestyle.optim.loop import optimize, sweep_patches
from tilestyle.planning.job import Job

# Sides of the matrices that measure the peak: large enough for full speed, small enough for a second.
MATRIX = {"cpu": 2048, "cuda": 8192, "mps": 4096}


@with_torch_state
def measure_speed(
    workloads: Sequence[Workload],
    patches: Sequence[int],
    megapixels: float,
    sweeps: int,
    on_row: OnRow,
    on_progress: Progress = no_progress,
) -> Result:
    """Measure every workload with every size of patches.

    Args:
        workloads: Networks, weights, precisions and devices.
        patches: Sides of the patches, in pixels.
        megapixels: Size of the canvas.
        sweeps: Sweeps of each measurement.
        on_row: Called with every row when it is ready, and the result so far.
        on_progress: Called with the fraction that is done, after every sweep.
    """
    counter = ProgressCounter(len(workloads) * (1 + len(patches)) * sweeps, on_progress)
    rows: list[dict[str, Any]] = []
    fields = workloads[0].report_fields()
    figures = {name: fields[name] for name in ("weights", "device")}
    result = Result(f"speed on {format_number(megapixels)} MP", rows, figures)
    for workload in workloads:
        side = square_side(megapixels)
        untiled = _untiled_sweep(workload, side, sweeps, counter)
        counter.end_part(sweeps)
        for patch in patches:
            timed = TimedJob(workload.job(side, side, sweeps, patch=patch), counter)
            rows.append(_row(workload, timed, untiled))
            counter.end_part(sweeps)
            on_row(rows[-1], replace(result, unfinished=True))
    return result


@dataclass
class TimedJob:
    """Times each sweep of a job, and next to it the bare network on the same patches.

    Being adjacent in time, both are affected alike by other programs.

    Attributes:
        job: The job; it runs when this object is made.
        counter: Counts the sweeps.
        sweeps: Seconds of each sweep except the first.
        forwards: Seconds of the network's forward passes for each sweep.
        backwards: Seconds of its backward passes for each sweep.
    """

    job: Job
    counter: ProgressCounter
    sweeps: list[float] = field(default_factory=list)
    forwards: list[float] = field(default_factory=list)
    backwards: list[float] = field(default_factory=list)

    def __post_init__(self) -> None:
        """Run and time the job."""
        self._last = synchronized_time(self.job.network.device)
        self.canvas, _ = optimize(self.job, lambda level: None, self._observe, lambda: False)
        # The first sweep includes one-time work of the libraries.
        del self.sweeps[0], self.forwards[0], self.backwards[0]

    @property
    def sweep(self) -> float:
        """Median time of a sweep, in seconds."""
        return median(self.sweeps)

    def patches(self, sweep: int = 0) -> list[Patch]:
        """Return the patches of a sweep."""
        return sweep_patches(self.job, self.job.levels[-1], sweep)

    def _observe(self, level: object, sweep: int, terms: object, canvas: Canvas) -> None:
        self.sweeps.append(synchronized_time(self.job.network.device) - self._last)
        forward, backward = network_seconds(self.job, canvas, self.patches(sweep))
        self.forwards.append(forward)
        self.backwards.append(backward)
        self.counter.add(1)
        self._last = synchronized_time(self.job.network.device)


def network_seconds(job: Job, canvas: Canvas, patches: list[Patch]) -> tuple[float, float]:
    """Time the network's passes alone, without reading the patches.

    The device is synchronized once, at the end, as in a sweep.

    Args:
        job: The job.
        canvas: Its canvas.
        patches: Patches to run the network on.

    Returns:
        Seconds of all forward and of all backward passes.
    """
    network, layers = job.network, job.weights.layer_names
    laps = LapTimer(network.device)
    for patch in patches:
        window = canvas.read(patch.read, patch.scale)[None]
        pixels = to_device(window, network.device, network.dtype).clone().requires_grad_()
        laps.mark()
        features = list(network.features(pixels, layers).values())
        laps.mark()
        torch.autograd.backward(features, [torch.ones_like(cells) for cells in features], inputs=[pixels])
        laps.mark()
    times = laps.seconds()  # in turn: forward, backward, the time until the next patch
    return sum(times[0::3]), sum(times[1::3])


def matrix_peak(device: torch.device, dtype: torch.dtype) -> float:
    """Measure the floating-point operations per second of matrix products, the best of five."""
    side = MATRIX[device.type]
    left, right = (torch.randn(side, side, device=device).to(dtype) for _ in range(2))

    def product() -> Tensor:
        return left @ right

    product()
    return 2 * side**3 / min(time_call(product, device) for _ in range(5))


def _untiled_sweep(workload: Workload, side: int, sweeps: int, counter: ProgressCounter) -> float | None:
    """Median seconds of a sweep with one patch as large as the canvas; None if memory is too small."""
    try:
        return TimedJob(workload.job(side, side, sweeps, patch=round_up(side, 64)), counter).sweep
    except (RuntimeError, MemoryError) as error:
        if not (is_out_of_memory(error) or may_be_out_of_memory(error)):
            raise
        return None


def _row(workload: Workload, timed: TimedJob, untiled: float | None) -> dict[str, Any]:
    """The row of one measurement; `untiled` is the seconds of an untiled sweep."""
    job, extent = timed.job, timed.job.levels[-1].extent
    network, layers = job.network, job.weights.layer_names
    megapixels = extent.area / 1e6
    bare_sweeps = [sum(passes) for passes in zip(timed.forwards, timed.backwards, strict=True)]
    # Forward, and backward to the pixels; weights need no gradient. A multiply-add is two operations.
    operations = 2 * 2 * network.multiply_adds_per_pixel(layers) * extent.area
    peak = matrix_peak(network.device, network.dtype)
    items = {"network forward": median(timed.forwards), "network backward": median(timed.backwards)}
    items |= time_parts(job, timed.canvas, timed.patches())
    items["the rest"] = timed.sweep - sum(items.values())
    return {
        "network": str(workload.network),
        "precision": str(network.dtype).removeprefix("torch."),
        "patch": job.patch_side,
        "megapixels per second": megapixels / timed.sweep,
        "share of matrix peak": operations / timed.sweep / peak,
        "matrix Gflop/s": peak / 1e9,
        # Some sweeps start with a measurement of the moments, or compute content features for later sweeps.
        "over bare network": sum(timed.sweeps) / sum(bare_sweeps),
        "median sweep over bare network": median(map(truediv, timed.sweeps, bare_sweeps)),
        "over untiled": None if untiled is None else timed.sweep / untiled,
        "seconds per megapixel": {name: seconds / megapixels for name, seconds in items.items()},
    }
