"""How close is the estimated time of a render to the time that it takes?

Runs six kinds of renders twice each, as commands of their own, with a cache folder that is empty at first.
Before each, `--dry-run` estimates the time of the whole command. The first estimate of a kind comes from a
brief measurement, the second from what the first render took. Also follows the time left that the render shows:
how far off it is a third of the way, and by how much it rises at most.

    python -m benchmarks.estimates [--quick] [--only small,lbfgs] [--keep estimates.json]
"""

from __future__ import annotations

import argparse
import os
import re
import subprocess
import sys
import tempfile
import time
from itertools import pairwise
from pathlib import Path
from typing import Any

from benchmarks.record import report
from tilestyle.cli.times import duration
from tilestyle.pictures import picture_path

COFFEE, SWIRLS, MOSAIC, FACETS = (str(picture_path(name)) for name in ("coffee", "swirls", "mosaic", "facets"))
# By kind: the command, its size, and its size with --quick.
KINDS: dict[str, tuple[list[str], int, int]] = {
    "small draft": (["render", COFFEE, "--style", SWIRLS, "--quality", "draft"], 256, 96),
    "medium": (["render", COFFEE, "--style", SWIRLS], 1024, 192),
    "large print": (["render", COFFEE, "--style", SWIRLS, "--print", "12x8in"], 3600, 256),
    "best texture": (["texture", MOSAIC, "--quality", "best"], 512, 128),
    "two styles": (["render", COFFEE, "--style", SWIRLS, "--style", FACETS, "--turn-style"], 768, 128),
    "lbfgs": (["render", COFFEE, "--style", SWIRLS, "--optimizer", "lbfgs", "--sweeps", "60"], 384, 96),
}
VGG = "vgg", (["render", COFFEE, "--style", SWIRLS, "--network", "vgg19", "--quality", "draft"], 512, 128)
WITHIN = 0.25


def words_of(kind: str, *, quick: bool) -> list[str]:
    """Return the words of the command of a kind, without its output."""
    words, size, quick_size = KINDS[kind]
    if "--print" in words:
        return [*words, "--dpi", f"{(quick_size if quick else size) / 12:.6g}"]
    if quick and "--quality" not in words and "--sweeps" not in words:
        words = [*words, "--quality", "draft"]
    return [*words, "--size", str(quick_size if quick else size)]


def estimated(words: list[str], environment: dict[str, str]) -> float:
    """Return the seconds that --dry-run says."""
    command = [sys.executable, "-m", "tilestyle", *words, "--dry-run"]
    said = subprocess.run(command, env=environment, capture_output=True, text=True, check=True).stdout
    line = next(line for line in said.splitlines() if line.startswith("time "))
    units = {"s": 1, "min": 60, "h": 3600, "d": 86400}
    parts = re.findall(r"([\d.]+) (s|min|h|d)\b", line)
    if not parts:
        raise SystemExit(f"no time in: {line}")
    return sum(float(number) * units[unit] for number, unit in parts)


def taken(words: list[str], environment: dict[str, str], folder: Path) -> dict[str, Any]:
    """Run a command, and return the seconds that it took and how the time left went."""
    import json

    file = folder / "left.json"
    start = time.monotonic()
    command = [sys.executable, "-m", "benchmarks.following", str(file), *words]
    subprocess.run(command, env=environment, capture_output=True, check=True)
    seconds = time.monotonic() - start
    followed = json.loads(file.read_text())
    third = next((row for row in followed["left"] if row[0] >= followed["seconds"] / 3), followed["left"][-1])
    rest = max(followed["seconds"] - third[0], 1e-9)
    rises = [after[1] - before[1] for before, after in pairwise(followed["left"])]
    return {
        "seconds": seconds,
        "left at a third": third[1] / rest,
        "largest rise": max([0.0, *rises]) / followed["seconds"],
    }


def main() -> None:
    """Run every kind twice, and print a table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="small pictures: about five minutes on two cores")
    parser.add_argument("--only", help=f"kinds, separated by commas: {', '.join(KINDS)}")
    parser.add_argument("--vgg", action="store_true", help="also VGG-19, whose weights are downloaded once")
    parser.add_argument("--keep", type=Path, help="JSON file for the result")
    options = parser.parse_args()
    if options.vgg:
        KINDS[VGG[0]] = VGG[1]
    chosen = options.only.split(",") if options.only else list(KINDS)
    if unknown := sorted(set(chosen) - set(KINDS)):
        parser.error(f"unknown kinds: {', '.join(unknown)}")
    rows = []
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        hub = os.environ.get("XDG_CACHE_HOME", str(Path.home() / ".cache"))
        environment = {"TORCH_HOME": f"{hub}/torch", **os.environ, "XDG_CACHE_HOME": str(folder / "cache")}
        for kind in chosen:
            words = [*words_of(kind, quick=options.quick), "--overwrite", "-o", str(folder / "out.png")]
            for run in (1, 2):
                said = estimated(words, environment)
                measured = taken(words, environment, folder)
                rows.append(
                    {"kind": kind, "run": run, "estimated": said, "taken": measured["seconds"]}
                    | {"ratio": said / measured["seconds"], **measured}
                )
                del rows[-1]["seconds"]
                print(
                    f"{kind}, run {run}: about {duration(said)}, took {duration(measured['seconds'])}",
                    flush=True,
                )
    second = [row["ratio"] for row in rows if row["run"] == 2]
    close = sum(1 - WITHIN <= ratio <= 1 + WITHIN for ratio in second)
    title = f"estimated over taken time: {close} of {len(second)} second runs within {100 * WITHIN:.0f} %"
    report(rows, title, options.keep, {"second runs": len(second), "close": close})


if __name__ == "__main__":
    main()
