"""How much time does a small render spend outside its sweeps?

    python -m benchmarks.startup [--size 512] [--keep FILE]

Times a whole `tilestyle render`, from its first line to the written file, in a process with loaded libraries. A
sweep lasts from the drawing of its patches to its last step, exact moments included. What a level prepares
before its first sweep (moments of the style, energy of the content) does not count as part of the sweeps.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any
from unittest import mock

from benchmarks.record import report
from tilestyle.cli.app import main as tilestyle
from tilestyle.cli.output_options import Output
from tilestyle.losses.level import LevelObjective
from tilestyle.optim import initial, loop
from tilestyle.pictures import picture_path
from tilestyle.pipeline import estimate, run
from tilestyle.planning.job import Job


def main() -> None:
    """Measure and print the time of each part."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--size", type=int, default=512, help="long side, pixels")
    parser.add_argument("--network", default="compact")
    parser.add_argument("--weights", type=Path)
    parser.add_argument("--keep", type=Path, help="JSON file for the result")
    options = parser.parse_args()
    seconds: dict[str, float] = {}  # by part

    def timed(part: str, work: Callable[..., Any]) -> Callable[..., Any]:
        """Wrap a function so that its time is added to a part."""

        def wrapped(*arguments: Any, **named: Any) -> Any:
            start = time.perf_counter()
            try:
                return work(*arguments, **named)
            finally:
                seconds[part] = seconds.get(part, 0.0) + time.perf_counter() - start

        return wrapped

    def estimated(job: Job) -> float | None:
        """Time the estimate; it renders a little, which must not count for the other parts."""
        saved, start = dict(seconds), time.perf_counter()
        estimate_seconds = estimate.estimate_seconds(job)
        seconds.clear()
        seconds.update(saved, estimate=time.perf_counter() - start)
        return estimate_seconds

    words = ["render", str(picture_path("coffee")), "--style", str(picture_path("swirls"))]
    words += ["--size", str(options.size), "--network", options.network, "--quality", "draft"]
    words += ["--weights", str(options.weights)] if options.weights else []
    with (
        tempfile.TemporaryDirectory() as folder,
        mock.patch.object(sys, "argv", ["tilestyle", *words, "-o", str(Path(folder) / "out.png")]),
        mock.patch.object(loop, "run_level", timed("levels", loop.run_level)),
        mock.patch.object(
            LevelObjective, "__init__", timed("before a level's sweeps", LevelObjective.__init__)
        ),
        mock.patch.object(loop, "begin_level", timed("canvases", initial.begin_level)),
        mock.patch.object(run, "estimate_seconds", estimated),
        mock.patch.object(Output, "write", timed("writing", Output.write)),
    ):
        start = time.perf_counter()
        try:
            tilestyle()
        except SystemExit as end:
            if end.code:
                raise
        whole = time.perf_counter() - start
    sweeps = seconds.pop("levels") - seconds["before a level's sweeps"]
    seconds["pictures, settings, network"] = whole - sweeps - sum(seconds.values())
    rows = [{"part": part, "seconds": duration} for part, duration in seconds.items()]
    outside = whole - sweeps
    report(rows, f"{outside:.2f} s of {whole:.1f} s outside the sweeps, {options.size} pixels", options.keep)


if __name__ == "__main__":
    main()
