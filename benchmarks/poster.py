"""What does a command take: time and memory against what it said before, disk, bytes read and written?

Runs `tilestyle` with the arguments after `--` in a process of its own and watches it from outside: memory and
bytes by the operating system's account, disk by the size of its work folder. Then looks at what it wrote: its
pages, as tifffile and libvips open them, and its thumbnail against that of another picture.

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
from tilestyle.config.byte_size import bytes_of

UNITS = {"s": 1, "min": 60, "h": 3600}
THUMBNAIL = 64


def watched(words: list[str]) -> dict[str, Any]:
    """Run the command; what it said, took, read and wrote."""
    out = Path(words[words.index("-o") + 1])
    work = out.with_name(f"{out.name}.work")
    begun = time.monotonic()
    process = psutil.Popen(
        [sys.executable, "-m", "tilestyle", *words], stderr=subprocess.PIPE, text=True, bufsize=1
    )
    said: list[str] = []
    sweeps: list[dict[str, float]] = []
    disk = resident = 0
    moved = (0, 0)
    for line in process.stderr:
        said.append(line.rstrip())
        print(said[-1], flush=True)
        try:
            memory, bytes_moved = process.memory_info(), process.io_counters()
        except psutil.Error:
            break
        resident = max(resident, memory.rss)
        disk = max(disk, sum(file.stat().st_blocks * 512 for file in work.glob("*")))
        now = bytes_moved.read_bytes, bytes_moved.write_bytes
        if " sweep " in line:
            sweeps.append({"read": now[0] - moved[0], "written": now[1] - moved[1]})
        moved = now
    _, status, usage = os.wait4(process.pid, 0)
    if status:
        raise SystemExit(f"it ended with {status}")
    row: dict[str, Any] = {
        "command": "tilestyle " + " ".join(Path(word).name if "/" in word else word for word in words),
        "seconds": time.monotonic() - begun,
        "peak resident": usage.ru_maxrss * 1024,
        "disk": disk,
        "file": out.stat().st_size,
        "read": moved[0],
        "written": moved[1],
    }
    if sweeps:
        row |= {f"last sweep {name}": count for name, count in sweeps[-1].items()}
    return row | foretold(said)


def foretold(said: list[str]) -> dict[str, Any]:
    """What the first line promised, beside what the last one says that it was."""
    plan = next((line for line in said if line.startswith("patch ")), "")
    time_found = re.search(r"about (\d+) (s|min|h)$", plan)
    memory = re.search(r"patch \d+, (?:about )?([\d.]+) (?:of [\d.]+ )?GiB", plan)
    last = re.search(r"(?:(\d+):)?(\d+):(\d+) (?:min|h), peak ([\d.]+) GiB", said[-1] if said else "")
    row: dict[str, Any] = {}
    if time_found and last:
        took = 3600 * int(last[1] or 0) + 60 * int(last[2]) + int(last[3])
        row["seconds foretold"] = int(time_found[1]) * UNITS[time_found[2]]
        row["seconds rendering"] = took
    if memory and last:
        row["memory foretold"] = bytes_of(f"{memory[1]}GiB")
        row["memory at most"] = bytes_of(f"{last[4]}GiB")
    return row


def pages(path: Path) -> dict[str, Any]:
    """How many pages tifffile and libvips see, each opened at its far corner."""
    with tifffile.TiffFile(path) as file:
        seen = [page.shape for page in file.pages]
        for page in file.pages:
            next(page.segments())
    for number in range(len(seen)):
        image = pyvips.Image.new_from_file(str(path), page=number)
        image.crop(image.width - 8, image.height - 8, 8, 8).avg()
    return {"pages": len(seen), "smallest page": str(seen[-1])}


def likeness(path: Path, other: Path) -> dict[str, Any]:
    """Correlation of two pictures' thumbnails, and the distance of their mean colours."""
    one, two = (
        np.asarray(thumbnail(file).resize((THUMBNAIL, THUMBNAIL)), dtype=float) / 255 for file in (path, other)
    )
    correlation = float(np.corrcoef(one.ravel(), two.ravel())[0, 1])
    return {"correlation": correlation, "colour": float(np.abs(one.mean((0, 1)) - two.mean((0, 1))).max())}


def thumbnail(path: Path) -> Image.Image:
    """A picture of any size, at most 1024 pixels."""
    return Image.fromarray(pyvips.Image.thumbnail(str(path), 1024).numpy()[..., :3])


def main() -> None:
    """Run one command."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--keep", type=Path, help="JSON file for the result")
    parser.add_argument("--like", type=Path, help="picture that it should look like")
    parser.add_argument("--thumbnail", type=Path, help="PNG to write")
    parser.add_argument("words", nargs="+")
    options = parser.parse_args()
    row = watched(options.words)
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
