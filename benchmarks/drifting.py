"""How do color and style change over a long drift or zoom? Runs one, times it, and plots its statistics.

python -m benchmarks.drifting --plot drift.png -- drift start.jpg --style a.jpg --style b.jpg -o FOLDER
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.figure import Figure

from benchmarks.record import report
from tilestyle.motion.series import STATISTICS

ENDS = 12  # first and last steps that are averaged: full cycles of two, three or four styles


def run(words: list[str]) -> float:
    """Run a command in its own process, and return the seconds it takes."""
    start = time.monotonic()
    subprocess.run([sys.executable, "-m", "tilestyle", *words], check=True)
    return time.monotonic() - start


def ends(rows: list[dict[str, Any]]) -> dict[str, float]:
    """Average the mean, deviation and style loss over the first steps, and over the last."""
    averages: dict[str, float] = {}
    for key in ("mean", "deviation", "style loss"):
        values = np.array([row[key] for row in rows]).reshape(len(rows), -1).mean(1)
        averages |= {f"{key}, first": values[:ENDS].mean(), f"{key}, last": values[-ENDS:].mean()}
    return {key: round(float(value), 4) for key, value in averages.items()}


def drawn(rows: list[dict[str, Any]]) -> Figure:
    """Plot means, deviations and style loss against the step."""
    steps = [row["step"] for row in rows]
    figure = Figure(figsize=(7, 6), layout="constrained")
    color, deviation, style = figure.subplots(3, 1, sharex=True)
    for axes, key in ((color, "mean"), (deviation, "deviation")):
        for channel, name in enumerate(("red", "green", "blue")):
            axes.plot(steps, np.array([row[key] for row in rows])[:, channel], color=name)
        axes.set_ylabel(key)
        axes.set_ylim(0, None)
    style.plot(steps, [row["style loss"] for row in rows], color="black")
    style.set_ylabel("style loss")
    style.set_ylim(0, None)
    style.set_xlabel("step")
    return figure


def main() -> None:
    """Run and time the series, and plot its statistics."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--plot", type=Path, help="picture to write")
    parser.add_argument("--keep", type=Path, help="JSON file for the result")
    parser.add_argument(
        "words", nargs="+", help="arguments of tilestyle; a finished folder is not rendered again"
    )
    arguments = parser.parse_args()
    seconds = run(arguments.words)
    folder = Path(arguments.words[arguments.words.index("-o") + 1])
    rows = json.loads((folder / STATISTICS).read_text(encoding="utf-8"))
    command = " ".join(Path(word).name if "/" in word else word for word in arguments.words)
    report(
        [{"command": command, "steps": len(rows), "seconds": round(seconds), **ends(rows)}],
        "a series from its first steps to its last",
        arguments.keep,
    )
    if arguments.plot:
        drawn(rows).savefig(arguments.plot)


if __name__ == "__main__":
    main()
