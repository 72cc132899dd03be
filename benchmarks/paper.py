"""Are files for print what shops ask for, and does a large one stay within a GiB of memory?

A picture of 7200 x 10800 pixels, an included one enlarged, goes through `tilestyle paper`, each file in its own
process. Other programs then open it: Pillow, libvips, and as far as they are installed qpdf, pdfinfo and
Ghostscript. Colors are compared with littleCMS through Pillow, on pixels all over the picture. Memory is the
peak resident set size that Linux reports, libraries included.

    python -m benchmarks.paper [--width 7200] [--profile press.icc] [--only press.tif]
        [--folder /tmp] [--keep results.json]
"""

from __future__ import annotations

import argparse
import io
import re
import shutil
import subprocess
import sys
import time
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import pyvips
from numpy.typing import NDArray
from PIL import Image, ImageCms

from benchmarks.delta_e import delta_e_2000, lab_of
from benchmarks.record import report
from tilestyle.images.color_management import srgb_profile
from tilestyle.pictures import picture_path

PAPER = "24x36in"
INCHES = (24, 36)
PANELS = "panels rejoined"
CASES: dict[str, tuple[str, ...]] = {
    "press.tif": ("--profile", "PRESS"),
    "press.jpg": ("--profile", "PRESS"),
    "press.pdf": ("--profile", "PRESS", "--marks", "--bleed", "3mm", "--edge", "mirror"),
    "jpeg.pdf": ("--profile", "PRESS", "--compression", "jpeg"),
    "lab.tif": ("--profile", "adobe-rgb"),
    "canvas.tif": ("--wrap", "3in", "--edge", "mirror"),
    "wall.tif": ("--panels", "10in", "--panel-overlap", "15mm"),
}
RUN = """
import resource, subprocess, sys
done = subprocess.run(sys.argv[1:], stderr=subprocess.STDOUT)
print(resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss)
sys.exit(done.returncode)
"""
CHECKED = ("qpdf", "pdfinfo", "gs")


def enlarged(file: Path, width: int) -> None:
    """Write an included picture, enlarged to 2 : 3, as a PNG, which is converted to be read by windows."""
    image = pyvips.Image.new_from_file(str(picture_path("raccoon")))
    height = width * INCHES[1] // INCHES[0]
    scale = max(width / image.width, height / image.height)
    large = image.resize(scale, kernel="lanczos3")
    left, top = (large.width - width) // 2, (large.height - height) // 2
    large.crop(left, top, width, height).pngsave(str(file), compression=1)


def ran(words: list[str]) -> tuple[float, int, str]:
    """Return the seconds and the peak memory in bytes of a command, and what it printed."""
    # A small process in between: a child's peak begins with that of the process that starts it.
    start = time.monotonic()
    done = subprocess.run([sys.executable, "-c", RUN, *words], capture_output=True, text=True, check=False)
    if done.returncode:
        raise SystemExit(f"{' '.join(words)}: {done.stdout}")
    *said, peak = done.stdout.splitlines()
    return time.monotonic() - start, int(peak) * 1024, "\n".join(said)


def by_pillow(pixels: NDArray[np.uint8], target: bytes) -> NDArray[Any]:
    """Return what littleCMS makes of sRGB pixels, through Pillow, in 8 bits."""
    converted = ImageCms.profileToProfile(
        Image.fromarray(pixels),
        ImageCms.ImageCmsProfile(io.BytesIO(srgb_profile())),
        ImageCms.ImageCmsProfile(io.BytesIO(target)),
        ImageCms.Intent.RELATIVE_COLORIMETRIC,
        "CMYK" if target[16:20] == b"CMYK" else "RGB",
        flags=ImageCms.Flags.BLACKPOINTCOMPENSATION | ImageCms.Flags.NOOPTIMIZE,
    )
    assert converted is not None
    return np.asarray(converted)


def checked(file: Path, original: pyvips.Image) -> dict[str, Any]:
    """Return what other programs see in a TIFF or JPEG: size, resolution, profile, and colors."""
    image = pyvips.Image.new_from_file(str(file))
    with Image.open(file) as opened:
        profile = opened.info["icc_profile"]
        facts = {"mode": opened.mode, "pages": getattr(opened, "n_frames", 1)}
        assert opened.size == (image.width, image.height), "Pillow and libvips see the same size"
    added = (image.width - original.width) // 2
    sample = range(0, original.height, max(1, original.height // 40))
    rows = np.concatenate([image.crop(added, added + top, original.width, 1).numpy() for top in sample])
    source = np.concatenate([original.crop(0, top, original.width, 1).numpy() for top in sample])
    step = max(1, original.width // 500)
    rows, source = np.ascontiguousarray(rows[:, ::step]), np.ascontiguousarray(source[:, ::step])
    expected = by_pillow(source, profile) if profile != srgb_profile() else source
    difference = delta_e_2000(lab_of(rows, profile), lab_of(expected, profile))
    return {
        **facts,
        "size": f"{image.width} x {image.height}",
        "dpi": round(image.xres * 25.4, 2),
        "delta E": round(float(difference.max()), 2),
    }


def checked_pdf(file: Path, folder: Path) -> dict[str, Any]:
    """Return what the programs of print shops see in a PDF."""
    facts: dict[str, Any] = {}
    for name in CHECKED:
        if shutil.which(name) is None:
            facts[name] = "not installed"
            continue
        words = {
            "qpdf": ["--check", str(file)],
            "pdfinfo": ["-box", str(file)],
            "gs": [
                "-q",
                "-dBATCH",
                "-dNOPAUSE",
                "-sDEVICE=tiff32nc",
                "-r20",
                f"-sOutputFile={folder / 'gs.tif'}",
            ],
        }[name]
        said = ran([name, *words, *([str(file)] if name == "gs" else [])])[2]
        facts[name] = "opens it"
        if name == "pdfinfo":
            for box in ("MediaBox", "BleedBox", "TrimBox"):
                numbers = re.findall(r"[\d.]+", next(line for line in said.splitlines() if box in line))
                left, bottom, right, top = (float(each) / 72 * 25.4 for each in numbers)
                facts[box] = f"{right - left:.1f} x {top - bottom:.1f} mm"
            facts["kind"] = "PDF/X-4" if "PDF/X-4" in said else "PDF"
    return facts


def rejoined(file: Path, original: pyvips.Image) -> str:
    """Return how many panels there are, and whether side by side, overlaps cut, they are the picture."""
    panels = sorted(
        file.parent.glob(f"{file.stem}-panel-*.tif"), key=lambda each: int(each.stem.split("-")[-1])
    )
    images = [pyvips.Image.new_from_file(str(panel)) for panel in panels]
    shared = (sum(image.width for image in images) - original.width) // (len(images) - 1)
    whole = images[0]
    for image in images[1:]:
        whole = whole.join(image.crop(shared, 0, image.width - shared, image.height), "horizontal")
    difference = (whole - original).abs().max()
    return (
        f"{len(images)}, {'the picture' if difference == 0 and whole.width == original.width else 'not equal'}"
    )


def main() -> None:
    """Write and check all files."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--width", type=int, default=7200, help="width of the picture in pixels")
    parser.add_argument("--profile", type=Path, help="CMYK profile; by default the one inside libvips")
    parser.add_argument("--only", nargs="+", choices=CASES, default=list(CASES), help="some of the files")
    parser.add_argument("--folder", type=Path, help="where files are written and removed again")
    parser.add_argument("--keep", type=Path, help="write the results to this file")
    options = parser.parse_args()
    rows = []
    with TemporaryDirectory(dir=options.folder) as name:
        folder = Path(name)
        press = options.profile or folder / "press.icc"
        if options.profile is None:
            press.write_bytes(bytes(pyvips.Operation.call("profile_load", "cmyk")))
        enlarged(folder / "poster.png", options.width)
        original = pyvips.Image.new_from_file(str(folder / "poster.png"))
        for output, more in ((name, CASES[name]) for name in options.only):
            file = folder / output
            words = [str(press) if word == "PRESS" else word for word in more]
            command = [sys.executable, "-m", "tilestyle", "paper", str(folder / "poster.png"), "-o", str(file)]
            seconds, peak, said = ran([*command, "--print", PAPER, *words])
            ink = re.search(r"at most (\d+ %)", said)
            row: dict[str, Any] = {
                "file": output,
                "seconds": round(seconds, 1),
                "MiB": round(peak / 2**20),
                "ink": ink[1] if ink else "",
            }
            if file.suffix == ".pdf":
                row |= {"MB": round(file.stat().st_size / 1e6)} | checked_pdf(file, folder)
            elif output == "wall.tif":
                row[PANELS] = rejoined(file, original)
            else:
                row |= {"MB": round(file.stat().st_size / 1e6)} | checked(file, original)
            rows.append(row)
            for written in folder.glob(f"{file.stem}*{file.suffix}"):
                written.unlink()
    names = list(dict.fromkeys(key for row in rows for key in row))
    table = [{key: row.get(key, "") for key in names} for row in rows]
    largest = max(row["MiB"] for row in rows)
    report(table, "Files for print", options.keep, {"largest memory, MiB": largest})


if __name__ == "__main__":
    main()
