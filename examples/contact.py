"""A contact sheet of a film, or of a folder of frames: `python examples/contact.py FILM --out sheet.jpg`."""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
from PIL import Image

from tilestyle.motion.clip import footage

GAP = 4  # pixels between frames


def main() -> None:
    """Lay frames out, evenly picked, the first and the last among them."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("film", type=Path)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--count", type=int, default=8)
    parser.add_argument("--columns", type=int, default=4)
    parser.add_argument("--width", type=int, default=700, help="of the sheet, pixels")
    parser.add_argument("--jpeg-quality", type=int, default=80)
    arguments = parser.parse_args()
    found = footage(arguments.film)
    total = len(found.files) or sum(1 for _ in found.frames())
    picked = set(np.linspace(0, total - 1, arguments.count).round().astype(int).tolist())
    columns = arguments.columns
    width = (arguments.width - GAP * (columns - 1)) // columns
    height = round(found.height * width / found.width)
    rows = -(-len(picked) // columns)
    size = (columns * (width + GAP) - GAP, rows * (height + GAP) - GAP)
    sheet, place = Image.new("RGB", size, "white"), 0
    for number, frame in enumerate(found.frames()):
        if number in picked:
            picture = Image.fromarray((frame * 255 + 0.5).astype(np.uint8))
            spot = ((place % columns) * (width + GAP), (place // columns) * (height + GAP))
            sheet.paste(picture.resize((width, height), Image.Resampling.LANCZOS), spot)
            place += 1
    sheet.save(arguments.out, quality=arguments.jpeg_quality, optimize=True)
    print(f"{arguments.out}: {place} of {total} frames")


if __name__ == "__main__":
    main()
