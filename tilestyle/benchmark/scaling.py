"""Measure how the time and the memory of a sweep grow with the canvas: linearly, and not at all?"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from math import log
from statistics import median_low
from typing import Any

from tilestyle.benchmark.environment import OnRow, Progress, ProgressCounter, Result, Row, no_progress
from tilestyle.benchmark.single_run import RunSpec, measure_in_subprocess
from tilestyle.benchmark.workload import Workload, square_side

SMALLEST = 4.0  # megapixels from which growth is measured: smaller canvases have few patches


def measure_scaling(
    workload: Workload,
    megapixels: Sequence[float],
    spec: RunSpec,
    repeats: int,
    on_row: OnRow,
    on_progress: Progress = no_progress,
) -> Result:
    """Measure every size, each in its own process.

    The largest size takes the sweeps of `spec`; smaller ones take proportionally more. So all are measured for
    the same time and process the same number of patches: the heap grows over the first hundred. All sizes are
    measured in turn, `repeats` times, and medians reported: the heap's final size, and the load of the machine,
    differ more between processes than between sizes.

    Args:
        workload: Network, weights, precision and device.
        megapixels: Sizes of the canvas.
        spec: What to measure; its side is replaced by each size.
        repeats: Number of measurements of each size.
        on_row: Called with every single measurement when it is ready, and the result so far.
        on_progress: Called with the fraction that is done, after every sweep.

    Raises:
        TilestyleError: A measurement failed for another reason than memory.
    """
    sizes = sorted(megapixels)
    runs: list[list[dict[str, Any]]] = [[] for _ in sizes]
    counter = ProgressCounter(repeats * len(sizes) * sizes[-1] * spec.sweeps, on_progress)
    for _ in range(repeats):
        for size, size_runs in zip(sizes, runs, strict=True):
            sweeps = round(spec.sweeps * sizes[-1] / size)
            run = replace(spec, side=square_side(size), sweeps=sweeps)
            size_runs.append(measure_in_subprocess(workload, run, partial(counter.add, size)))
            counter.end_part(sizes[-1] * spec.sweeps)
            on_row(size_runs[-1], replace(_result(workload, runs), unfinished=True))
    return _result(workload, runs)


def _result(workload: Workload, runs: Sequence[Sequence[Row]]) -> Result:
    """The medians of the runs of every size that has any, and the exponents of their growth."""
    rows = [_median_row(size_runs) for size_runs in runs if size_runs]
    completed = [row for row in rows if "died" not in row]
    large = [row for row in completed if row["megapixels"] >= SMALLEST * 0.9]
    figures: dict[str, Any] = workload.report_fields() | {"repeats": min(map(len, runs))}
    for clock in ("seconds", "processor_seconds"):
        name = clock.replace("_", " ")
        figures[f"exponent of {name}, of all"] = fit_exponent(completed, clock)
        figures[f"exponent of {name}, from {SMALLEST:g} MP"] = fit_exponent(large, clock)
    if len(large) > 1:
        figures["growth of memory beyond the canvas"] = large[-1]["beyond"] / max(large[0]["beyond"], 1) - 1
    return Result(f"cost of a sweep against resolution, {workload.network}", rows, figures)


def _median_row(runs: Sequence[Row]) -> dict[str, Any]:
    """The medians of the runs of one size; the first run that ran out of memory, if any did."""
    failures = [row for row in runs if "died" in row]
    if failures:
        return dict(failures[0])
    measured_by_run = ("seconds", "seconds_per_megapixel", "processor_seconds", "peak", "beyond")
    return dict(runs[0]) | {name: median_low(row[name] for row in runs) for name in measured_by_run}


def fit_exponent(rows: Sequence[Row], clock: str = "seconds") -> float | None:
    """Fit the exponent of the growth of time: the slope of log seconds over log megapixels, by least squares.

    Args:
        rows: Rows of different sizes.
        clock: Name of the seconds in the rows.

    Returns:
        The exponent; None for fewer than two sizes.
    """
    points = [(log(row["megapixels"]), log(row[clock])) for row in rows]
    if len(points) < 2:
        return None
    x, y = (sum(values) / len(points) for values in zip(*points, strict=True))
    spread = sum((a - x) ** 2 for a, _ in points)
    return sum((a - x) * (b - y) for a, b in points) / spread if spread else None
