"""What a small render spends outside its sweeps: `python -m benchmarks.startup [--size 512] [--keep FILE]`.

Of a whole `tilestyle render`, from its first line to the written file, in a process that has its libraries
loaded. Sweeps are from the drawing of their patches to their last step, exact moments included; what a level
prepares before its first (moments of the style, energy of the content) is not of them.
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
from tilestyle.cli.job import Output
from tilestyle.losses.level import Sight
from tilestyle.optim import initial, loop
from tilestyle.pictures import path_of
from tilestyle.pipeline import estimate, run
from tilestyle.planning.job import Job


def main() -> None:
    """Print the parts."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--size", type=int, default=512, help="long side, pixels")
    parser.add_argument("--network", default="compact")
    parser.add_argument("--weights", type=Path)
    parser.add_argument("--keep", type=Path, help="JSON file for the result")
    options = parser.parse_args()
    spent: dict[str, float] = {}

    def timed(part: str, work: Callable[..., Any]) -> Callable[..., Any]:
        def wrapped(*arguments: Any, **named: Any) -> Any:
            began = time.perf_counter()
            try:
                return work(*arguments, **named)
            finally:
                spent[part] = spent.get(part, 0.0) + time.perf_counter() - began

        return wrapped

    def estimated(job: Job) -> float | None:
        """The estimate renders a little itself: all of that is its own time."""
        before, began = dict(spent), time.perf_counter()
        found = estimate.seconds_for(job)
        spent.clear()
        spent.update(before, estimate=time.perf_counter() - began)
        return found

    words = ["render", str(path_of("coffee")), "--style", str(path_of("swirls"))]
    words += ["--size", str(options.size), "--network", options.network, "--quality", "draft"]
    words += ["--weights", str(options.weights)] if options.weights else []
    with (
        tempfile.TemporaryDirectory() as folder,
        mock.patch.object(sys, "argv", ["tilestyle", *words, "-o", str(Path(folder) / "out.png")]),
        mock.patch.object(loop, "refine", timed("levels", loop.refine)),
        mock.patch.object(Sight, "__init__", timed("before a level's sweeps", Sight.__init__)),
        mock.patch.object(loop, "started", timed("canvases", initial.started)),
        mock.patch.object(run, "seconds_for", estimated),
        mock.patch.object(Output, "write", timed("writing", Output.write)),
    ):
        began = time.perf_counter()
        try:
            tilestyle()
        except SystemExit as ended:
            if ended.code:
                raise
        whole = time.perf_counter() - began
    sweeps = spent.pop("levels") - spent["before a level's sweeps"]
    spent["pictures, settings, network"] = whole - sweeps - sum(spent.values())
    rows = [{"part": part, "seconds": seconds} for part, seconds in spent.items()]
    outside = whole - sweeps
    report(rows, f"{outside:.2f} s of {whole:.1f} s outside the sweeps, {options.size} pixels", options.keep)


if __name__ == "__main__":
    main()
