"""Draw the masks and the map that are included in tilestyle: `python examples/masks.py --out FOLDER`.

A mask is a picture of flat colors, which any paint program can make. These consist of ellipses and polygons.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw

RED, BLUE, YELLOW = "#ff0000", "#0000ff", "#ffff00"


def coffee() -> Image.Image:
    """Draw the mask of `coffee`: cup, saucer and spoon in red, the table in blue."""
    mask = Image.new("RGB", (600, 400), BLUE)
    draw = ImageDraw.Draw(mask)
    draw.ellipse((75, 58, 482, 386), RED)
    draw.ellipse((171, 14, 410, 200), RED)
    draw.polygon([(398, 60), (424, 68), (418, 110), (385, 190)], RED)
    return mask


def woodcut() -> Image.Image:
    """Draw the mask of `woodcut`: the sun in red, the sky in yellow, the hills in blue."""
    mask = Image.new("RGB", (1024, 768), YELLOW)
    draw = ImageDraw.Draw(mask)
    edge = [
        (0, 389),
        (121, 355),
        (234, 270),
        (339, 266),
        (451, 258),
        (532, 266),
        (669, 277),
        (754, 313),
        (871, 329),
        (1024, 322),
    ]
    draw.ellipse((540, 92, 778, 330), RED)
    draw.polygon([*edge, (1024, 768), (0, 768)], BLUE)
    return mask


def landscape() -> Image.Image:
    """Draw the mask of a new landscape: two suns over hills, in the colors of `woodcut`'s mask."""
    width, height = 1280, 640
    mask = Image.new("RGB", (width, height), YELLOW)
    draw = ImageDraw.Draw(mask)
    for x, y, radius in ((300, 190, 120), (860, 130, 70)):
        draw.ellipse((x - radius, y - radius, x + radius, y + radius), RED)
    across = np.arange(0, width + 1, 8)
    hill = 70 * np.exp(-(((across - 1080) / 110) ** 2))
    edge = 430 - 90 * np.sin(across / 150) * np.sin(across / 410 + 0.6) - hill
    draw.polygon([*zip(across.tolist(), edge.tolist(), strict=True), (width, height), (0, height)], BLUE)
    return mask


def ramp() -> Image.Image:
    """Draw a gradient from black on the left to white on the right."""
    row = np.linspace(0, 255, 640).astype(np.uint8)
    return Image.fromarray(np.broadcast_to(row, (64, 640)).copy())


PICTURES = {"coffee-mask": coffee, "woodcut-mask": woodcut, "landscape-mask": landscape, "ramp": ramp}


def main() -> None:
    """Write all masks and the map."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, default=Path("masks"), help="folder to write to")
    folder = parser.parse_args().out
    folder.mkdir(parents=True, exist_ok=True)
    for name, draw in PICTURES.items():
        draw().save(folder / f"{name}.png")


if __name__ == "__main__":
    main()
