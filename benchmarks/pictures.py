"""How much time, memory and disk do large pictures take to read and write, compared with other libraries?

Compares with libvips, tifffile and Pillow. Every case runs in its own process; memory is the peak resident set
size that Linux reports, libraries included.

    python -m benchmarks.pictures [--sides 1000 4000 16000 32768] [--folder /tmp] [--keep results.json]
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tilestyle.images import Compression, WriteOptions, open_source, write_stream
from tilestyle.images.strips import quantize
from tilestyle.images.vips import save_strips

SIDES = (1000, 4000, 16000, 32768)
LARGE = 10000  # from this side on, the cases of NOT_WHEN_LARGE are left out
ROWS = 64
SMALL = 1024
Case = Callable[[Path, int], None]


def strips(side: int) -> Iterator[NDArray[np.float32]]:
    """Generate a square picture of waves and noise, which compresses about as well as a painting."""
    x = np.arange(side, dtype=np.float32)
    y = np.arange(ROWS, dtype=np.float32)[:, None]
    random = np.random.default_rng(0)
    planes = [0.5 + 0.2 * np.sin(x / 37 + c) + 0.2 * np.sin(y / 20 + c) for c in range(3)]
    noise = random.normal(0, 0.02, (ROWS, side)).astype(np.float32)
    values = np.stack([plane + noise for plane in planes], axis=2).astype(np.float32).clip(0, 1)
    for number, top in enumerate(range(0, side, ROWS)):
        # Shifted by more than a tile, or compressors would find repetitions of the strip above.
        yield np.roll(values[: min(ROWS, side - top)], number * 331, axis=1)


def write(name: str, **options: Any) -> Case:
    """Make a case that writes a file with tilestyle; `options` are those of WriteOptions."""

    def case(folder: Path, side: int) -> None:
        write_stream(folder / name, side, side, strips(side), options=WriteOptions(**options))

    return case


def write_by_vips(name: str, depth: int, method: str, **options: Any) -> Case:
    """Make a case that writes the same strips with a method of libvips."""

    def case(folder: Path, side: int) -> None:
        bands = (quantize(strip, depth) for strip in strips(side))
        save_strips(bands, (side, side, 3), lambda image: getattr(image, method)(str(folder / name), **options))

    return case


def windows(name: str, work: str | None = None) -> Case:
    """Make a case that reads sixteen windows of 1024 x 1024 at random places."""

    def case(folder: Path, side: int) -> None:
        with open_source(folder / name, folder / work if work else None) as source:
            for top, left, size in places(side):
                source.read(top, left, size, size)

    return case


def windows_by_vips(folder: Path, side: int) -> None:
    """Read the same windows with libvips, as 8 bits."""
    import pyvips

    image = pyvips.Image.new_from_file(str(folder / "deflate.tif"))
    for top, left, size in places(side):
        image.crop(left, top, size, size).numpy()


def whole_by_tifffile(folder: Path, side: int) -> None:
    """Read the whole TIFF with tifffile, as 8 bits."""
    import tifffile

    tifffile.imread(folder / "deflate.tif", key=0)


def whole_by_pillow(name: str) -> Case:
    """Make a case that reads the whole file with Pillow, as 8 bits."""

    def case(folder: Path, side: int) -> None:
        from PIL import Image

        Image.MAX_IMAGE_PIXELS = None
        with Image.open(folder / name) as image:
            np.asarray(image)

    return case


def shrunk(name: str) -> Case:
    """Make a case that reads the picture at 1024 x 1024."""

    def case(folder: Path, side: int) -> None:
        with open_source(folder / name) as source:
            source.downsample(min(SMALL, side), min(SMALL, side))

    return case


def shrunk_by_vips(name: str) -> Case:
    """Make a case that does the same with libvips' thumbnail."""

    def case(folder: Path, side: int) -> None:
        import pyvips

        pyvips.Image.thumbnail(str(folder / name), SMALL, height=SMALL).numpy()

    return case


def places(side: int) -> Iterator[tuple[int, int, int]]:
    """Generate top, left and size of the windows."""
    size = min(SMALL, side)
    for top, left in np.random.default_rng(1).integers(0, side - size + 1, (16, 2)):
        yield int(top), int(left), size


PYRAMID = {"tile": True, "tile_width": 256, "tile_height": 256, "pyramid": True, "bigtiff": True}
PACKED = PYRAMID | {"compression": "deflate", "predictor": "horizontal"}

# Readers come after the writers of their files.
CASES: dict[str, tuple[Case, tuple[str, ...]]] = {
    "write TIFF, deflate": (write("deflate.tif"), ("deflate.tif",)),
    "write TIFF, deflate, libvips": (write_by_vips("v.tif", 8, "tiffsave", **PACKED), ("v.tif",)),
    "write TIFF, zstd": (write("zstd.tif", compression=Compression.ZSTD), ("zstd.tif",)),
    "write TIFF, JPEG": (write("j.tif", compression=Compression.JPEG), ("j.tif",)),
    "write TIFF, 16 bits, deflate": (write("16.tif", depth=16), ("16.tif",)),
    "write TIFF, 16 bits, deflate, libvips": (write_by_vips("v16.tif", 16, "tiffsave", **PACKED), ("v16.tif",)),
    "write TIFF, 16 bits, zstd": (write("z.tif", depth=16, compression=Compression.ZSTD), ("z.tif",)),
    "write PNG": (write("a.png"), ("a.png",)),
    "write PNG, libvips": (
        write_by_vips("v.png", 8, "pngsave", compression=6, filter="paeth"),
        ("v.png",),
    ),
    "write JPEG": (write("a.jpg"), ("a.jpg",)),
    "write Deep Zoom": (write("a.dzi"), ("a.dzi", "a_files")),
    "16 windows of TIFF, deflate": (windows("deflate.tif"), ()),
    "16 windows of TIFF, deflate, libvips": (windows_by_vips, ()),
    "16 windows of TIFF, zstd": (windows("zstd.tif"), ()),
    "whole TIFF, tifffile": (whole_by_tifffile, ()),
    "16 windows of PNG, converted": (windows("a.png", "work"), ("work",)),
    "16 windows of PNG, converted before": (windows("a.png", "work"), ()),
    "whole PNG, Pillow": (whole_by_pillow("a.png"), ()),
    "16 windows of JPEG, converted": (windows("a.jpg", "jpeg"), ("jpeg",)),
    "shrink TIFF with smaller copies": (shrunk("deflate.tif"), ()),
    "shrink TIFF with smaller copies, libvips": (shrunk_by_vips("deflate.tif"), ()),
    "shrink PNG": (shrunk("a.png"), ()),
    "shrink PNG, libvips": (shrunk_by_vips("a.png"), ()),
    "shrink JPEG": (shrunk("a.jpg"), ()),
    "shrink JPEG, libvips": (shrunk_by_vips("a.jpg"), ()),
}
NOT_WHEN_LARGE = (
    "write TIFF, JPEG",
    "write TIFF, 16 bits, deflate",
    "write TIFF, 16 bits, deflate, libvips",
    "write PNG, libvips",
    "whole TIFF, tifffile",
    "whole PNG, Pillow",
)
NEEDED_LATER = ("deflate.tif", "zstd.tif", "a.png", "a.jpg", "work")


def measured(name: str, folder: Path, side: int) -> dict[str, Any]:
    """Run one case in its own process, and return its row."""
    command = [sys.executable, "-m", "benchmarks.pictures", "--case", name, "--folder", str(folder)]
    process = subprocess.run([*command, "--sides", str(side)], capture_output=True, text=True, check=False)
    if process.returncode:
        return {"case": name, "side": side, "seconds": None, "peak MiB": None, "disk MB": process.stderr[-60:]}
    result = json.loads(process.stdout)
    disk = sum(bytes_of(folder / output) for output in CASES[name][1]) / 1e6
    for output in CASES[name][1]:
        if output not in NEEDED_LATER:
            remove(folder / output)
    return {"case": name, "side": side, **result, "disk MB": round(disk, 1) or None}


def peak_bytes() -> int:
    """Return the peak resident set size of this process; getrusage would include that of the parent."""
    status = Path("/proc/self/status").read_text()
    return 1024 * int(status.split("VmHWM:")[1].split()[0])


def bytes_of(path: Path) -> int:
    """Return the bytes of a file, or of all files in a folder."""
    return sum(entry.stat().st_size for entry in [path, *path.rglob("*")] if entry.is_file())


def remove(path: Path) -> None:
    """Remove a file or folder."""
    shutil.rmtree(path) if path.is_dir() else path.unlink()


def main() -> None:
    """Measure and print the table, or run one case."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sides", type=int, nargs="+", default=SIDES, help="sides of square pictures, pixels")
    parser.add_argument("--folder", type=Path, help="folder for files, up to 20 GB")
    parser.add_argument("--case", help="run only this case, in this process")
    parser.add_argument("--keep", type=Path, help="JSON file for the result")
    options = parser.parse_args()
    if options.case:
        start = time.perf_counter()
        CASES[options.case][0](options.folder, options.sides[0])
        seconds = round(time.perf_counter() - start, 2)
        print(json.dumps({"seconds": seconds, "peak MiB": peak_bytes() // 2**20}))
        return
    from benchmarks.record import report  # imported late, so that the cases' memory does not include torch

    rows = []
    for side in options.sides:
        with TemporaryDirectory(dir=options.folder) as folder:
            for name in CASES:
                if side < LARGE or name not in NOT_WHEN_LARGE:
                    rows.append(measured(name, Path(folder), side))
                    print(rows[-1], file=sys.stderr, flush=True)
        threads = os.environ.get("VIPS_CONCURRENCY", "all")
        report(rows, f"Large pictures in and out, threads of libvips: {threads}", options.keep)


if __name__ == "__main__":
    main()
