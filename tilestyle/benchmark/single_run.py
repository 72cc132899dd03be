"""One measurement in a process of its own: sweeps of one level, with their time and their peak of memory.

    python -m tilestyle.benchmark.single_run '{"network": "wavelet", ...}'

prints what was found as JSON. The renderer and the untiled method are the same program: one patch as large as
the canvas is the untiled method.
"""

from __future__ import annotations

import json
import subprocess
import sys
import time
from dataclasses import asdict, dataclass
from itertools import pairwise
from statistics import median
from typing import Any

from tilestyle.benchmark.memory_cap import put_wall
from tilestyle.benchmark.workload import Scene
from tilestyle.devices.failures import is_out_of_memory, may_be_out_of_memory
from tilestyle.devices.peak_memory import Peak
from tilestyle.devices.torch_state import isolated
from tilestyle.errors import TilestyleError
from tilestyle.geometry.boxes import rounded_up
from tilestyle.optim.loop import optimise
from tilestyle.planning.memory_budget import find_device, needed
from tilestyle.planning.memory_model import CANVAS


@dataclass(frozen=True)
class Point:
    """What to measure."""

    side: int  # of the square canvas, pixels
    sweeps: int  # the first is not timed
    patch: int | None  # side, pixels; None: untiled
    memory: str | None = None  # limit to choose the patch by, instead
    wall: int | None = None  # bytes after which the process is refused more

    @property
    def megapixels(self) -> float:
        """Of the canvas."""
        return self.side**2 / 1e6


def measured(scene: Scene, point: Point) -> dict[str, Any]:
    """Measure in a fresh process; without `seconds` and `peak` where memory ran out."""
    plain = json.dumps({"scene": scene.plain(), "point": asdict(point)})
    command = [sys.executable, "-m", "tilestyle.benchmark.single_run", plain]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    row = {"megapixels": round(point.megapixels, 3), "method": "untiled" if point.patch is None else "tiled"}
    if done.returncode == 0:
        found: dict[str, Any] = json.loads(done.stdout)
        return row | found
    # The kernel kills what takes all of a machine's memory; then there is no last word.
    last = (done.stderr.strip().splitlines() or ["killed"])[-1]
    if done.returncode > 0 and not last.startswith("memory: "):
        raise TilestyleError(f"a measurement failed: {last}", hint="try a smaller one to see why")
    return row | {"died": last.removeprefix("memory: ")[:200]}


@isolated
def measure(scene: Scene, point: Point) -> dict[str, Any]:
    """Measure in this process, which should have done nothing before."""
    device = find_device(scene.device)
    peak = Peak(device)
    if point.wall is not None:
        put_wall(device, point.wall)
    untiled = rounded_up(point.side, 64)
    patch = untiled if point.patch is None else point.patch
    chosen = {"memory": point.memory} if point.memory else {"patch": patch}
    job = scene.job(point.side, point.side, point.sweeps, **chosen)
    ends: list[tuple[float, float]] = []
    # A sweep ends with numbers that come from the device: it has been waited for.
    optimise(job, lambda level: None, lambda *sweep: ends.append(_clocks()), lambda: False)
    seconds, processor = (median(b - a for a, b in pairwise(clock)) for clock in zip(*ends, strict=True))
    extent = job.levels[-1].extent
    found = peak.bytes()
    return {
        "patch": job.side,
        "seconds": seconds,
        "seconds_per_megapixel": seconds / (extent.area / 1e6),
        "processor_seconds": processor,
        "peak": found,
        "canvas": CANVAS * extent.area,
        "beyond": found - job.need.held if job.home == device else found,
        "predicted": needed(job.need, device, job.home),
    }


def _clocks() -> tuple[float, float]:
    """Seconds by the clock, and those that processors were at work for this process."""
    return time.perf_counter(), time.process_time()


def main() -> None:
    """Measure what the command line says."""
    plain = json.loads(sys.argv[1])
    try:
        found = measure(Scene.read(plain["scene"]), Point(**plain["point"]))
    except (RuntimeError, MemoryError) as error:
        if not (isinstance(error, MemoryError) or is_out_of_memory(error) or may_be_out_of_memory(error)):
            raise
        sys.exit("memory: " + (str(error).splitlines() or ["refused"])[0])
    sys.stdout.write(json.dumps(found))


if __name__ == "__main__":
    main()
