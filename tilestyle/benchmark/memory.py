"""Measure memory and time against resolution, of the tiled and the untiled method, until memory runs out."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from typing import Any

from tilestyle.benchmark.environment import OnRow, Progress, ProgressCounter, Result, Row, no_progress
from tilestyle.benchmark.single_run import RunSpec, measure_in_subprocess
from tilestyle.benchmark.workload import Workload, square_side
from tilestyle.config.byte_size import format_gib


def measure_memory(
    workload: Workload,
    megapixels: Sequence[float],
    tiled: RunSpec,
    on_row: OnRow,
    on_progress: Progress = no_progress,
) -> Result:
    """Measure both methods at every size.

    Args:
        workload: Network, weights, precision and device.
        megapixels: Sizes of the canvas.
        tiled: What to measure of the tiled method; its side is replaced by each size.
        on_row: Called with every row when it is ready, and the result so far.
        on_progress: Called with the fraction that is done, after every sweep.

    Raises:
        TilestyleError: A measurement failed for another reason than memory.
    """
    rows: list[dict[str, Any]] = []

    def so_far(*, unfinished: bool = True) -> Result:
        title = f"memory against resolution, {workload.network}"
        return Result(title, rows, {**workload.report_fields(), **_figures(rows)}, unfinished)

    counter = ProgressCounter(2 * sum(megapixels) * tiled.sweeps, on_progress)
    for method in (tiled, replace(tiled, patch=None, memory=None)):
        for size in sorted(megapixels):
            spec = replace(method, side=square_side(size))
            row = measure_in_subprocess(workload, spec, partial(counter.add, size))
            counter.end_part(size * tiled.sweeps)
            rows.append(row)
            on_row(row, so_far())
            if "died" in row:
                break
    return so_far(unfinished=False)


def _figures(rows: Sequence[Row]) -> dict[str, Any]:
    """The largest size that each method completed, and its memory."""
    figures: dict[str, Any] = {}
    for method in ("tiled", "untiled"):
        completed = [row for row in rows if row["method"] == method and "died" not in row]
        if completed:
            figures[f"{method}: largest megapixels"] = completed[-1]["megapixels"]
            figures[f"{method}: GiB there"] = format_gib(completed[-1]["peak"])
    return figures
