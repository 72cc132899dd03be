"""Many ranks: how much sooner, what they send each other, and a model of both for other machines."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, replace
from math import ceil, log2, sqrt
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from tilestyle.benchmark.communication import counted
from tilestyle.benchmark.environment import Result, Row
from tilestyle.benchmark.workload import Scene, square
from tilestyle.errors import TilestyleError
from tilestyle.geometry.boxes import extent
from tilestyle.planning.job import Job
from tilestyle.planning.memory_model import CANVAS, PIXEL

COUNTED = 8  # ranks that borders are counted for
SWEEPS = 3  # that they are counted in: each begins at another corner


@dataclass(frozen=True)
class Machine:
    """What decides how long a sweep takes."""

    name: str
    ranks: int
    megapixel: float  # seconds of a rank for a megapixel
    distances: float  # seconds of every rank for what all compute alike
    latency: float  # seconds of a message
    link: float  # bytes a second, of a rank, for sums
    files: float  # bytes a second, of a rank, for pixels that another rank has written

    def seconds(self, megapixels: float, sums: float, meetings: float, width: float) -> float:
        """Of a sweep: `sums` bytes are added up in `meetings` messages, borders are `width` pixels wide."""
        if self.ranks == 1:
            return self.megapixel * megapixels + self.distances
        # A ring sends everything twice, less what a rank has itself; a border goes once across the canvas.
        sent = 2 * (self.ranks - 1) / self.ranks * sums / self.link + meetings * self.latency * log2(self.ranks)
        border = width * sqrt(megapixels * 1e6) * (PIXEL + CANVAS) / self.files
        return self.megapixel * megapixels / self.ranks + self.distances + sent + border

    def efficiency(self, megapixels: float, sums: float, meetings: float, width: float) -> float:
        """Seconds of one rank over those of all together."""
        facts = (megapixels, sums, meetings, width)
        return replace(self, ranks=1).seconds(*facts) / (self.ranks * self.seconds(*facts))


# What is predicted for, besides the machine at hand. Assumptions, not measurements: a GPU that renders 10
# megapixels a second, NVLink or InfiniBand, a parallel file system that gives every rank a share of its band.
ASSUMED = (
    Machine("8 GPUs, one machine", 8, 0.1, 0.0, 30e-6, 50e9, 8e9),
    Machine("64 machines of 8 GPUs", 512, 0.1, 0.0, 60e-6, 12e9, 0.5e9),
)
PREDICTED = (64.0, 1000.0, 1e6)  # megapixels; the last is a terapixel


@dataclass(frozen=True)
class Asked:
    """What to measure."""

    ranks: Sequence[int]
    megapixels: float  # of the canvas that is rendered
    counted: Sequence[float]  # megapixels of those that are counted
    patch: int
    sweeps: int


def distributed(scene: Scene, asked: Asked, told: Callable[[Row], None]) -> Result:
    """Measure at every number of ranks, count at every size, predict; `told` hears every row as it comes."""
    rows: list[dict[str, Any]] = []
    for ranks in asked.ranks:
        rows.append({"what": "measured", "ranks": ranks, "megapixels": asked.megapixels})
        rows[-1] |= run(scene, asked, ranks)
        one = rows[0]
        rows[-1]["efficiency"] = one["seconds"] * one["ranks"] / (ranks * rows[-1]["seconds"])
        rows[-1]["efficiency by cost"] = one["cost"] / rows[-1]["cost"]
        told(rows[-1])
    measured = list(rows)
    job = scene.job(2 * asked.patch, 2 * asked.patch, 1, patch=asked.patch)
    for size in asked.counted:
        rows.append({"what": "counted", "ranks": COUNTED, "megapixels": size} | count(job, size))
        told(rows[-1])
    facts = known_of(measured, rows[len(measured) :])
    for machine in [here(measured), *(replace(each, distances=facts["distances"]) for each in ASSUMED)]:
        for size in PREDICTED:
            rows.append(predicted(machine, size, facts))
            told(rows[-1])
    return Result(f"many ranks, {scene.network}", rows, {**scene.described(), **facts})


def run(scene: Scene, asked: Asked, ranks: int) -> dict[str, Any]:
    """Measure with so many ranks, each a process."""
    side = square(asked.megapixels)
    with TemporaryDirectory() as folder:
        plain = {"scene": scene.plain(), "side": side, "patch": asked.patch, "sweeps": asked.sweeps}
        words = json.dumps(plain | {"folder": str(Path(folder) / "work")})
        start = (
            ["-m", "torch.distributed.run", "--standalone", "--nproc-per-node", str(ranks)] if ranks > 1 else []
        )
        done = subprocess.run(
            [sys.executable, *start, "-m", "tilestyle.benchmark.rank_worker", words],
            capture_output=True,
            text=True,
            check=False,
            env=os.environ | {"OMP_NUM_THREADS": os.environ.get("OMP_NUM_THREADS", "1")},
        )
    if done.returncode:
        lines = [line for line in done.stderr.splitlines() if "Error" in line or line.startswith("tilestyle")]
        raise TilestyleError(
            f"{ranks} ranks failed: {(lines or ['killed'])[0]}", hint="try fewer, or --device cpu"
        )
    found: dict[str, Any] = json.loads(done.stdout.strip().splitlines()[-1])
    return found


def count(job: Job, megapixels: float) -> dict[str, Any]:
    """Bytes and borders of a sweep of a canvas of this size, which is never made."""
    side = square(megapixels, job.unit)
    large = replace(job, levels=(replace(job.levels[-1], extent=extent(side, side, 0, job.unit)),))
    found = [counted(large, COUNTED, sweep) for sweep in range(SWEEPS)]
    border = sum(each.border for each in found) / SWEEPS
    return {
        "sums": found[0].sums,
        "border pixels": round(border),
        "border bytes": round(sum(each.border_bytes for each in found) / SWEEPS),
        "share of canvas": border / side**2,
        "border width": border / (COUNTED * side),  # of a rank, of its canvas's width
        "most patches over mean": found[0].patches * COUNTED / ceil(side / job.side) ** 2,
    }


def known_of(measured: Sequence[Row], counts: Sequence[Row]) -> dict[str, float]:
    """What predictions are made from."""
    many = measured[-1]
    return {
        "distances": measured[0]["distances"],
        "sums": float(counts[-1]["sums"]),
        "meetings": many["meetings"],
        "width": counts[-1]["border width"],
    }


def here(measured: Sequence[Row]) -> Machine:
    """The machine at hand, as measured."""
    one, many = measured[0], measured[-1]
    megapixel = max(one["cost"] - one["distances"], 1e-9) / one["megapixels"]
    sending = max(many["sending"] - many["meeting"], 1e-6)
    link = max(many["sums"], 1.0) / sending
    return Machine("this", many["ranks"], megapixel, one["distances"], many["meeting"], link, 1e9)


def predicted(machine: Machine, megapixels: float, facts: dict[str, float]) -> dict[str, Any]:
    """A sweep as the model has it, and the ranks up to which half of them are worth it."""
    known = (megapixels, facts["sums"], facts["meetings"], facts["width"])
    most = 1
    while most < 2**19 and replace(machine, ranks=2 * most).efficiency(*known) >= 1 / 2:
        most *= 2
    return {
        "what": "predicted",
        **{key: value for key, value in asdict(machine).items() if key in ("name", "ranks")},
        "megapixels": megapixels,
        "seconds": machine.seconds(*known),
        "efficiency": machine.efficiency(*known),
        "half efficient up to ranks": most,
    }
