"""How much time, memory, disk and I/O does a command take, and how close is its own estimate?

Runs `tilestyle` with the arguments after `--` in its own process and observes it: memory and I/O as counted by
the operating system, disk as the size of its work folder. Then checks the file that it wrote: its pages, as
tifffile and libvips open them, and its thumbnail against that of another picture.

    python -m benchmarks.poster [--like preview.png] -- texture style.jpg -o out.tif --size 32768x32768
"""

from __future__ import annotations

import argparse
import os
import re
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import psutil
import pyvips
import tifffile
from PIL import Image

from benchmarks.record import report
from tilestyle.config.byte_size import parse_bytes

UNITS = {"s": 1, "min": 60, "h": 3600}
THUMBNAIL = 64


def run_watched(words: list[str]) -> dict[str, Any]:
    """Run a command, and return the time, memory, disk and I/O that it took, with its own estimates."""
    out = Path(words[words.index("-o") + 1])
    work = out.with_name(f"{out.name}.work")
    start = time.monotonic()
    process = psutil.Popen(
        [sys.executable, "-m", "tilestyle", *words], stderr=subprocess.PIPE, text=True, bufsize=1
    )
    lines: list[str] = []
    sweeps: list[dict[str, float]] = []
    disk = resident = 0
    transferred = (0, 0)  # bytes read and written
    for line in process.stderr:
        lines.append(line.rstrip())
        print(lines[-1], flush=True)
        try:
            memory, counters = process.memory_info(), process.io_counters()
        except psutil.Error:
            break
        resident = max(resident, memory.rss)
        disk = max(disk, sum(file.stat().st_blocks * 512 for file in work.glob("*")))
        total = counters.read_bytes, counters.write_bytes
        if " sweep " in line:
            sweeps.append({"read": total[0] - transferred[0], "written": total[1] - transferred[1]})
        transferred = total
    _, status, usage = os.wait4(process.pid, 0)
    if status:
        raise SystemExit(f"the command failed with status {status}")
    row: dict[str, Any] = {
        "command": "tilestyle " + " ".join(Path(word).name if "/" in word else word for word in words),
        "seconds": time.monotonic() - start,
        "peak resident": usage.ru_maxrss * 1024,
        "disk": disk,
        "file": out.stat().st_size,
        "read": transferred[0],
        "written": transferred[1],
    }
    if sweeps:
        row |= {f"last sweep {name}": count for name, count in sweeps[-1].items()}
    return row | compare_prediction(lines)


def compare_prediction(said: list[str]) -> dict[str, Any]:
    """Return the estimate in the command's first line, and the result in its last line."""
    plan = next((line for line in said if line.startswith("patch ")), "")
    time_found = re.search(r"about (\d+) (s|min|h)$", plan)
    memory = re.search(r"patch \d+, (?:about )?([\d.]+) (?:of [\d.]+ )?GiB", plan)
    last = re.search(r"(?:(\d+):)?(\d+):(\d+) (?:min|h), peak ([\d.]+) GiB", said[-1] if said else "")
    row: dict[str, Any] = {}
    if time_found and last:
        seconds = 3600 * int(last[1] or 0) + 60 * int(last[2]) + int(last[3])
        row["seconds foretold"] = int(time_found[1]) * UNITS[time_found[2]]
        row["seconds rendering"] = seconds
    if memory and last:
        row["memory foretold"] = parse_bytes(f"{memory[1]}GiB")
        row["memory at most"] = parse_bytes(f"{last[4]}GiB")
    return row


def pages(path: Path) -> dict[str, Any]:
    """Count the pages of a TIFF with tifffile, and read the far corner of each with libvips."""
    with tifffile.TiffFile(path) as file:
        shapes = [page.shape for page in file.pages]
        for page in file.pages:
            next(page.segments())
    for number in range(len(shapes)):
        image = pyvips.Image.new_from_file(str(path), page=number)
        image.crop(image.width - 8, image.height - 8, 8, 8).avg()
    return {"pages": len(shapes), "smallest page": str(shapes[-1])}


def likeness(path: Path, other: Path) -> dict[str, Any]:
    """Measure the correlation of two pictures' thumbnails, and the distance of their mean colors."""
    first, second = (
        np.asarray(thumbnail(file).resize((THUMBNAIL, THUMBNAIL)), dtype=float) / 255 for file in (path, other)
    )
    correlation = float(np.corrcoef(first.ravel(), second.ravel())[0, 1])
    distance = float(np.abs(first.mean((0, 1)) - second.mean((0, 1))).max())
    return {"correlation": correlation, "color": distance}


def thumbnail(path: Path) -> Image.Image:
    """Read a picture of any size, shrunk to 1024 pixels."""
    return Image.fromarray(pyvips.Image.thumbnail(str(path), 1024).numpy()[..., :3])


def main() -> None:
    """Run and measure one command."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--keep", type=Path, help="JSON file for the result")
    parser.add_argument("--like", type=Path, help="picture to compare the result with")
    parser.add_argument("--thumbnail", type=Path, help="PNG to write: the result, shrunk")
    parser.add_argument("words", nargs="+", help="arguments of tilestyle")
    options = parser.parse_args()
    row = run_watched(options.words)
    out = Path(options.words[options.words.index("-o") + 1])
    if out.suffix in (".tif", ".tiff"):
        row |= pages(out)
    if options.like:
        row |= likeness(out, options.like)
    if options.thumbnail:
        thumbnail(out).save(options.thumbnail)
    report([row], "what a command takes", options.keep)


if __name__ == "__main__":
    main()
