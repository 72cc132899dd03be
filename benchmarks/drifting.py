"""Plot what a drift or zoom did to colour and style: `python -m benchmarks.drifting FOLDER --plot FILE`."""

from __future__ import annotations

import argparse
import json
from pathlib import Path

import numpy as np
from matplotlib.figure import Figure

from tilestyle.series import STATISTICS


def main() -> None:
    """Draw means, deviations and style loss against the step."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--plot", type=Path, required=True)
    arguments = parser.parse_args()
    rows = json.loads((arguments.folder / STATISTICS).read_text(encoding="utf-8"))
    steps = [row["step"] for row in rows]
    figure = Figure(figsize=(7, 6), layout="constrained")
    colour, deviation, style = figure.subplots(3, 1, sharex=True)
    for axes, key in ((colour, "mean"), (deviation, "deviation")):
        for channel, name in enumerate(("red", "green", "blue")):
            axes.plot(steps, np.array([row[key] for row in rows])[:, channel], color=name)
        axes.set_ylabel(key)
        axes.set_ylim(0, None)
    style.plot(steps, [row["style loss"] for row in rows], color="black")
    style.set_ylabel("style loss")
    style.set_ylim(0, None)
    style.set_xlabel("step")
    figure.savefig(arguments.plot)


if __name__ == "__main__":
    main()
