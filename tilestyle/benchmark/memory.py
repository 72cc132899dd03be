"""Memory and time against resolution: the renderer, and the untiled method until it dies."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

from tilestyle.benchmark.environment import Result, Row
from tilestyle.benchmark.single_run import Point, measured
from tilestyle.benchmark.workload import Scene, square
from tilestyle.config.byte_size import gib

Told = Callable[[Row], None]


def memory(scene: Scene, megapixels: Sequence[float], tiled: Point, told: Told) -> Result:
    """Both methods at every size, as `tiled` says but for its side; `told` hears every row as it comes."""
    rows: list[dict[str, Any]] = []
    for method in (tiled, replace(tiled, patch=None, memory=None)):
        for size in sorted(megapixels):
            row = measured(scene, replace(method, side=square(size)))
            rows.append(row)
            told(row)
            if "died" in row:
                break
    return Result(f"memory against resolution, {scene.network}", rows, {**scene.described(), **_figures(rows)})


def _figures(rows: Sequence[Row]) -> dict[str, Any]:
    """How far either method came."""
    figures: dict[str, Any] = {}
    for method in ("tiled", "untiled"):
        alive = [row for row in rows if row["method"] == method and "died" not in row]
        if alive:
            figures[f"{method}: largest megapixels"] = alive[-1]["megapixels"]
            figures[f"{method}: GiB there"] = gib(alive[-1]["peak"])
    return figures
