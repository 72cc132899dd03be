"""Is memory constant in the size of the canvas whatever is asked for: masks, maps, several styles, locality?

Renders with canvases in files, of two sizes or more, from a content, a mask and a map as large as they are. A
peak is what the program says at its end: of the process, above its libraries.

    python -m benchmarks.repertoire --megapixels 4 16
"""

from __future__ import annotations

import argparse
import re
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from benchmarks.record import report
from tilestyle.benchmark.scene import content, square
from tilestyle.pictures import path_of

ONE, TWO = str(path_of("swirls")), str(path_of("facets"))
KINDS = {
    "one style": ["--style", ONE],
    "two styles": ["--style", ONE, "--style", TWO, "--style-blend", "0.3,0.7"],
    "a mask, two styles": ["--style", f"{ONE}:#0000ff", "--style", f"{TWO}:#ff0000", "--mask", "mask.png"],
    "a mask, the rest kept": ["--style", f"{ONE}:#0000ff", "--mask", "mask.png"],
    "a blend map": ["--style", ONE, "--style", TWO, "--blend-map", "map.png"],
    "locality 0.7": ["--style", ONE, "--locality", "0.7"],
    "luminance": ["--style", ONE, "--color", "luminance"],
    "tileable": ["--style", ONE, "--tileable", "both"],
    "scales 1, 2": ["--style", ONE, "--scale-odds", "0.7,0.3"],
}


def painted(folder: Path, side: int) -> None:
    """Content, mask and map of a square canvas."""
    pixels = np.round(content(side, side).pixels * 255).astype(np.uint8)
    Image.fromarray(pixels).save(folder / "content.tif")
    across = np.arange(side)
    inside = np.hypot(across - side / 2, across[:, None] - side / 2) < side / 3
    mask = np.where(inside[..., None], (255, 0, 0), (0, 0, 255)).astype(np.uint8)
    Image.fromarray(mask).save(folder / "mask.png")
    ramp = np.broadcast_to(across * 255 // side, (side, side)).astype(np.uint8)
    Image.fromarray(ramp).save(folder / "map.png")


def peak(words: list[str], side: int, patch: int, host: str) -> dict[str, Any]:
    """Peak of one render, in a folder of its own."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        painted(folder, side)
        command = [sys.executable, "-m", "tilestyle", "render", "content.tif", *words, "-o", "out.tif"]
        command += ["--size", str(side), "--patch", str(patch), "--sweeps", "1", "--host-memory", host, "--yes"]
        done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
        if done.returncode:
            raise SystemExit(f"{' '.join(words)}: {done.stderr.strip()}")
        said = re.findall(r"peak ([\d.]+) GiB", done.stderr)
        return {"peak, GiB": float(said[-1]), "in files": "on disk" in done.stderr}


def main() -> None:
    """Every kind at every size."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--megapixels", nargs="+", type=float, default=[4.0, 16.0])
    parser.add_argument("--patch", type=int, default=256, help="patch side, pixels")
    parser.add_argument("--host-memory", default="640MiB", help="small enough for canvases to lie in files")
    parser.add_argument("--kinds", nargs="+", choices=KINDS, default=list(KINDS))
    parser.add_argument("--keep", type=Path, help="JSON file for the result")
    options = parser.parse_args()
    rows = []
    for kind in options.kinds:
        row: dict[str, Any] = {"kind": kind}
        for megapixels in options.megapixels:
            found = peak(KINDS[kind], square(megapixels), options.patch, options.host_memory)
            row |= {f"{key}, {megapixels:g} MP": value for key, value in found.items()}
        print(row, flush=True)
        rows.append(row)
    report(rows, "peak memory against resolution, canvases in files", options.keep)


if __name__ == "__main__":
    main()
