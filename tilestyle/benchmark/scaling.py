"""Cost and memory of a sweep against megapixels: is the one linear, is the other constant?"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from math import log
from typing import Any

from tilestyle.benchmark.point import Point, measured
from tilestyle.benchmark.record import Result, Row
from tilestyle.benchmark.scene import Scene, square

SMALLEST = 4.0  # megapixels from which on growth is told: below, a canvas has few patches


def scaling(
    scene: Scene, megapixels: Sequence[float], patch: int, sweeps: int, told: Callable[[Row], None]
) -> Result:
    """Sweeps at every size, each in a process of its own; `told` hears every row as it comes."""
    rows: list[dict[str, Any]] = []
    for size in sorted(megapixels):
        rows.append(measured(scene, Point(square(size), sweeps, patch)))
        told(rows[-1])
    alive = [row for row in rows if "died" not in row]
    large = [row for row in alive if row["megapixels"] >= SMALLEST * 0.9]
    figures: dict[str, Any] = scene.described()
    figures["exponent of all"] = exponent(alive)
    figures[f"exponent from {SMALLEST:g} MP"] = exponent(large)
    if len(large) > 1:
        figures["growth of memory beyond the canvas"] = large[-1]["beyond"] / max(large[0]["beyond"], 1) - 1
    return Result(f"cost of a sweep against resolution, {scene.network}", rows, figures)


def exponent(rows: Sequence[Row]) -> float | None:
    """Slope of log seconds over log megapixels, by least squares; None of less than two sizes."""
    points = [(log(row["megapixels"]), log(row["seconds"])) for row in rows]
    if len(points) < 2:
        return None
    x, y = (sum(values) / len(points) for values in zip(*points, strict=True))
    spread = sum((a - x) ** 2 for a, _ in points)
    return sum((a - x) * (b - y) for a, b in points) / spread if spread else None
