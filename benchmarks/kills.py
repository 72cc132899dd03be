"""Does a render that is killed at any moment end in the same file?

Renders once in peace. Then again and again, each time killed (SIGKILL) at a random moment, gone on with by
`tilestyle resume`, and the file compared byte for byte. With a checkpoint at every patch most moments lie
inside the writing of one; they are drawn over the whole time, the writing of the picture included.

    python -m benchmarks.kills [--kills 20] [--mapped]
"""

from __future__ import annotations

import argparse
import random
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from benchmarks.record import report
from tilestyle.pictures import path_of

# What makes small planes go to files, too, so that mapped canvases can be killed in seconds.
MAPPED = """
import sys
from tilestyle import planes, resolved
planes.SMALL = 0
resolved.belongs_in_files = lambda *facts: True
from tilestyle.cli.app import main
main()
"""


def program(*, mapped: bool) -> list[str]:
    """The command line, as words to run."""
    return [sys.executable, "-c", MAPPED] if mapped else [sys.executable, "-m", "tilestyle"]


def main() -> None:
    """Kill and go on."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--kills", type=int, default=20)
    parser.add_argument("--every", type=float, default=0.0, help="minutes between checkpoints")
    parser.add_argument("--mapped", action="store_true", help="canvases in files")
    parser.add_argument("--keep", type=Path, help="JSON file for the result")
    options = parser.parse_args()
    tilestyle = program(mapped=options.mapped)
    render = [
        "render",
        str(path_of("coffee")),
        "--style",
        str(path_of("swirls")),
        "--size",
        "256",
        "--patch",
        "128",
    ]
    render += ["--sweeps", "3", "-o", "out.tif", "--checkpoint-every", str(options.every), "--quiet"]
    draw = random.Random(1)
    with tempfile.TemporaryDirectory() as folder:
        out, work = Path(folder, "out.tif"), Path(folder, "out.tif.work")
        subprocess.run([*tilestyle, *render], cwd=folder, check=True)
        begun = time.monotonic()
        subprocess.run([*tilestyle, *render], cwd=folder, check=True)
        whole, expected = time.monotonic() - begun, out.read_bytes()
        rows: list[dict[str, Any]] = []
        while len(rows) < options.kills:
            out.unlink()
            seconds = whole * draw.uniform(0.2, 1.02)  # before that, nothing but imports
            killed, kept = _kill([*tilestyle, *render], Path(folder), seconds)
            again = [*tilestyle, "resume", work.name] if kept else [*tilestyle, *render]
            subprocess.run(again, cwd=folder, check=True)
            same = out.read_bytes() == expected and not work.exists()
            if killed:
                rows.append({"killed after, s": seconds, "had a checkpoint": kept, "same file": same})
                print(rows[-1], flush=True)
            if not same:
                raise SystemExit("the file is another one")
    report(rows, f"killed and gone on with, of {whole:.1f} s", options.keep)


def _kill(words: list[str], folder: Path, seconds: float) -> tuple[bool, bool]:
    """Run and kill; whether it was alive to be killed, and whether a checkpoint was there."""
    process = subprocess.Popen(words, cwd=folder)
    try:
        process.wait(seconds)
    except subprocess.TimeoutExpired:
        process.send_signal(signal.SIGKILL)
        process.wait()
    return process.returncode < 0, (folder / "out.tif.work" / "manifest.json").exists()


if __name__ == "__main__":
    main()
