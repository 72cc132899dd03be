"""One measurement in its own process: the time and the peak memory of sweeps of one level.

    python -m tilestyle.benchmark.single_run '{"workload": {"network": "wavelet", ...}, "spec": {...}}'

It prints an empty line after every sweep, and then the result as JSON. The tiled and the untiled method are the
same program: the untiled method is one patch as large as the canvas.
"""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from itertools import pairwise
from statistics import median
from tempfile import TemporaryFile
from typing import Any

from tilestyle.benchmark.environment import REFUSED
from tilestyle.benchmark.memory_cap import cap_memory
from tilestyle.benchmark.workload import Workload
from tilestyle.devices.failures import is_out_of_memory, may_be_out_of_memory
from tilestyle.devices.peak_memory import PeakMemory
from tilestyle.devices.torch_state import with_torch_state
from tilestyle.errors import TilestyleError
from tilestyle.geometry.boxes import round_up
from tilestyle.optim.loop import optimize
from tilestyle.planning.device_choice import find_device
from tilestyle.planning.memory_model import CANVAS_BYTES


@dataclass(frozen=True)
class RunSpec:
    """What to measure.

    Attributes:
        side: Side of the square canvas, in pixels.
        sweeps: Number of sweeps; the first is not timed.
        patch: Side of a patch, in pixels; None: untiled.
        memory: Memory limit such as 2GiB, which chooses the patch instead.
        memory_cap: Bytes that the process may allocate; None: no cap.
    """

    side: int
    sweeps: int
    patch: int | None
    memory: str | None = None
    memory_cap: int | None = None

    @property
    def megapixels(self) -> float:
        """Size of the canvas."""
        return self.side**2 / 1e6


def measure_in_subprocess(
    workload: Workload, spec: RunSpec, on_sweep: Callable[[], object] = lambda: None
) -> dict[str, Any]:
    """Measure in a new process.

    Args:
        workload: Network, weights, precision and device.
        spec: What to measure.
        on_sweep: Called after every sweep.

    Returns:
        The row of `measure`; if memory ran out, `died` with the reason instead of measurements.

    Raises:
        TilestyleError: The measurement failed for another reason.
    """
    arguments = json.dumps({"workload": workload.to_json(), "spec": asdict(spec)})
    command = [sys.executable, "-m", "tilestyle.benchmark.single_run", arguments]
    output = ""
    with TemporaryFile("w+", encoding="utf-8", errors="replace") as errors:
        with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=errors, text=True) as process:
            assert process.stdout is not None, "it is a pipe"
            try:
                for line in process.stdout:
                    if line == "\n":
                        on_sweep()
                    else:
                        output += line
            except BaseException:
                process.kill()  # leaving the block waits for it, and a sweep may take minutes
                raise
        errors.seek(0)
        reasons = errors.read().strip().splitlines()
    row = {"megapixels": round(spec.megapixels, 3), "method": "untiled" if spec.patch is None else "tiled"}
    if process.returncode == 0:
        result: dict[str, Any] = json.loads(output)
        return row | result
    # The kernel kills a process that uses up the machine's memory; it prints nothing then.
    reason = (reasons or ["killed"])[-1]
    if reason.startswith(REFUSED):
        raise TilestyleError(reason.removeprefix(REFUSED))
    if process.returncode > 0 and not reason.startswith("memory: "):
        raise TilestyleError(f"a measurement failed: {reason}", hint="try a smaller picture")
    return row | {"died": reason.removeprefix("memory: ")[:200]}


@with_torch_state
def measure(workload: Workload, spec: RunSpec, on_sweep: Callable[[], object] = lambda: None) -> dict[str, Any]:
    """Measure in this process, which should not have done anything before.

    Args:
        workload: Network, weights, precision and device.
        spec: What to measure.
        on_sweep: Called after every sweep.

    Returns:
        Median seconds of a sweep, bytes of memory, and the predicted memory, by name.
    """
    device = find_device(workload.device)
    peak = PeakMemory(device)
    if spec.memory_cap is not None:
        cap_memory(device, spec.memory_cap)
    untiled = round_up(spec.side, 64)
    patch = untiled if spec.patch is None else spec.patch
    settings = {"memory": spec.memory} if spec.memory else {"patch": patch}
    job = workload.job(spec.side, spec.side, spec.sweeps, **settings)
    ends: list[tuple[float, float]] = []

    # A sweep reads its losses from the device at the end, so the device has finished by then.
    def observe(*sweep: object) -> None:
        ends.append(_read_clocks())
        on_sweep()

    optimize(job, lambda level: None, observe, lambda: False)
    seconds, processor = (median(b - a for a, b in pairwise(clock)) for clock in zip(*ends, strict=True))
    extent = job.levels[-1].extent
    peak_bytes = peak.bytes()
    return {
        "patch": job.patch_side,
        "seconds": seconds,
        "seconds_per_megapixel": seconds / (extent.area / 1e6),
        "processor_seconds": processor,
        "peak": peak_bytes,
        "canvas": CANVAS_BYTES * extent.area,
        "beyond": peak_bytes - job.memory_estimate.resident if job.canvas_device == device else peak_bytes,
        "predicted": job.device_bytes,
    }


def _read_clocks() -> tuple[float, float]:
    """Wall-clock seconds, and processor seconds of this process."""
    return time.perf_counter(), time.process_time()


def _print_sweep() -> None:
    """Let the process that waits for the result know that it is one sweep nearer."""
    sys.stdout.write("\n")
    sys.stdout.flush()


def main() -> None:
    """Measure what the command line specifies, and print the result."""
    arguments = json.loads(sys.argv[1])
    try:
        workload, spec = Workload.from_json(arguments["workload"]), RunSpec(**arguments["spec"])
        row = measure(workload, spec, _print_sweep)
    except (RuntimeError, MemoryError, TilestyleError) as error:
        if isinstance(error, MemoryError) or is_out_of_memory(error) or may_be_out_of_memory(error):
            sys.exit("memory: " + (str(error).splitlines() or ["refused"])[0])
        if not isinstance(error, TilestyleError):
            raise
        sys.exit(f"{REFUSED}{error}")
    sys.stdout.write(json.dumps(row))


if __name__ == "__main__":
    main()
