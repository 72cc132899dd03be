"""Cost and memory of a sweep against megapixels: is the one linear, is the other constant?"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from math import log
from statistics import median_low
from typing import Any

from tilestyle.benchmark.environment import Result, Row
from tilestyle.benchmark.single_run import Point, measured
from tilestyle.benchmark.workload import Scene, square

SMALLEST = 4.0  # megapixels from which on growth is told: below, a canvas has few patches


def scaling(
    scene: Scene, megapixels: Sequence[float], point: Point, repeats: int, told: Callable[[Row], None]
) -> Result:
    """`point` at every size, each in a process of its own; `told` hears every row as it comes.

    Its sweeps are those of the largest; smaller ones take as many more as make up for their size. So all are
    measured as long, and their heaps have seen as many patches: over the first hundred these grow. With
    `repeats` all sizes are measured so often in turn, and rows are the medians: what a heap grows to differs
    from process to process by more than from size to size, and so does what else a machine has to do.
    """
    sizes = sorted(megapixels)
    runs: list[list[dict[str, Any]]] = [[] for _ in sizes]
    for _ in range(repeats):
        for size, found in zip(sizes, runs, strict=True):
            sweeps = round(point.sweeps * sizes[-1] / size)
            found.append(measured(scene, replace(point, side=square(size), sweeps=sweeps)))
            told(found[-1])
    rows = [_typical(found) for found in runs]
    alive = [row for row in rows if "died" not in row]
    large = [row for row in alive if row["megapixels"] >= SMALLEST * 0.9]
    figures: dict[str, Any] = scene.described() | {"repeats": repeats}
    for clock in ("seconds", "processor_seconds"):
        name = clock.replace("_", " ")
        figures[f"exponent of {name}, of all"] = exponent(alive, clock)
        figures[f"exponent of {name}, from {SMALLEST:g} MP"] = exponent(large, clock)
    if len(large) > 1:
        figures["growth of memory beyond the canvas"] = large[-1]["beyond"] / max(large[0]["beyond"], 1) - 1
    return Result(f"cost of a sweep against resolution, {scene.network}", rows, figures)


def _typical(runs: Sequence[Row]) -> dict[str, Any]:
    """Medians of one size's runs; one that died where any did."""
    died = [row for row in runs if "died" in row]
    if died:
        return dict(died[0])
    measured_by_run = ("seconds", "seconds_per_megapixel", "processor_seconds", "peak", "beyond")
    return dict(runs[0]) | {name: median_low(row[name] for row in runs) for name in measured_by_run}


def exponent(rows: Sequence[Row], clock: str = "seconds") -> float | None:
    """Slope of log seconds over log megapixels, by least squares; None of less than two sizes."""
    points = [(log(row["megapixels"]), log(row[clock])) for row in rows]
    if len(points) < 2:
        return None
    x, y = (sum(values) / len(points) for values in zip(*points, strict=True))
    spread = sum((a - x) ** 2 for a, _ in points)
    return sum((a - x) * (b - y) for a, b in points) / spread if spread else None
