"""Measure memory and time against resolution, of the tiled and the untiled method, until memory runs out."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial
from typing import Any

from tilestyle.benchmark.environment import Progress, ProgressCounter, Result, Row, no_progress
from tilestyle.benchmark.single_run import RunSpec, measure_in_subprocess
from tilestyle.benchmark.workload import Workload, square_side
from tilestyle.config.byte_size import format_gib

RowCallback = Callable[[Row], None]


def measure_memory(
    workload: Workload,
    megapixels: Sequence[float],
    tiled: RunSpec,
    on_row: RowCallback,
    on_progress: Progress = no_progress,
) -> Result:
    """Measure both methods at every size.

    Args:
        workload: Network, weights, precision and device.
        megapixels: Sizes of the canvas.
        tiled: What to measure of the tiled method; its side is replaced by each size.
        on_row: Called with every row when it is ready.
        on_progress: Called with the fraction that is done, after every sweep.

    Raises:
        TilestyleError: A measurement failed for another reason than memory.
    """
    rows: list[dict[str, Any]] = []
    counter = ProgressCounter(2 * sum(megapixels) * tiled.sweeps, on_progress)
    for method in (tiled, replace(tiled, patch=None, memory=None)):
        for size in sorted(megapixels):
            spec = replace(method, side=square_side(size))
            row = measure_in_subprocess(workload, spec, partial(counter.add, size))
            counter.end_part(size * tiled.sweeps)
            rows.append(row)
            on_row(row)
            if "died" in row:
                break
    return Result(
        f"memory against resolution, {workload.network}", rows, {**workload.report_fields(), **_figures(rows)}
    )


def _figures(rows: Sequence[Row]) -> dict[str, Any]:
    """The largest size that each method completed, and its memory."""
    figures: dict[str, Any] = {}
    for method in ("tiled", "untiled"):
        completed = [row for row in rows if row["method"] == method and "died" not in row]
        if completed:
            figures[f"{method}: largest megapixels"] = completed[-1]["megapixels"]
            figures[f"{method}: GiB there"] = format_gib(completed[-1]["peak"])
    return figures
