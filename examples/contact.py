"""Make a contact sheet of a film or a folder of frames: `python examples/contact.py FILM --out sheet.jpg`."""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
from PIL import Image

from tilestyle.motion.clip import open_clip

GAP = 4  # pixels between frames


def main() -> None:
    """Lay out evenly spaced frames, including the first and the last."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("film", type=Path, help="film, or folder of frames")
    parser.add_argument("--out", type=Path, required=True, help="sheet to write")
    parser.add_argument("--count", type=int, default=8, help="number of frames")
    parser.add_argument("--columns", type=int, default=4, help="frames per row")
    parser.add_argument("--width", type=int, default=700, help="width of the sheet, pixels")
    parser.add_argument("--jpeg-quality", type=int, default=80, help="quality of a JPEG, up to 95")
    arguments = parser.parse_args()
    film = open_clip(arguments.film)
    total = len(film.files) or sum(1 for _ in film.frames())
    numbers = set(np.linspace(0, total - 1, arguments.count).round().astype(int).tolist())
    columns = arguments.columns
    width = (arguments.width - GAP * (columns - 1)) // columns
    height = round(film.height * width / film.width)
    rows = -(-len(numbers) // columns)
    size = (columns * (width + GAP) - GAP, rows * (height + GAP) - GAP)
    sheet, position = Image.new("RGB", size, "white"), 0
    for number, frame in enumerate(film.frames()):
        if number in numbers:
            picture = Image.fromarray((frame * 255 + 0.5).astype(np.uint8))
            corner = ((position % columns) * (width + GAP), (position // columns) * (height + GAP))
            sheet.paste(picture.resize((width, height), Image.Resampling.LANCZOS), corner)
            position += 1
    sheet.save(arguments.out, quality=arguments.jpeg_quality, optimize=True)
    print(f"{arguments.out}: {position} of {total} frames")


if __name__ == "__main__":
    main()
