"""Memory and time against resolution: the renderer, and the untiled method until it dies."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from tilestyle.benchmark.point import Point, measured
from tilestyle.benchmark.record import Result, Row
from tilestyle.benchmark.scene import Scene, square
from tilestyle.memory_size import gib

Told = Callable[[Row], None]


def memory(
    scene: Scene, megapixels: Sequence[float], patch: int, sweeps: int, wall: int | None, told: Told
) -> Result:
    """Both methods at every size; `wall`: bytes that either may take; `told` hears every row as it comes."""
    rows: list[dict[str, Any]] = []
    for method_patch in (patch, None):
        for size in sorted(megapixels):
            row = measured(scene, Point(square(size), sweeps, method_patch, wall=wall))
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
