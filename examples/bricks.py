"""Draw the wall of bricks that is included in tilestyle: `python examples/bricks.py --out bricks.jpg`.

A regular texture for `tilestyle texture`, made by arithmetic and a seed.
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray
from PIL import Image

Array = NDArray[Any]

SIDE = 320  # of the picture, in pixels
FINE = 2  # supersampling, for smooth edges
BRICK = (28, 64)  # height and width in pixels, mortar included
MORTAR = 5  # width of the joints, in pixels
JITTER = (1.2, 2.0)  # deviation of the bricks' positions, down and across, in pixels


def main() -> None:
    """Draw the picture and write it."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, required=True, help="picture to write")
    parser.add_argument("--seed", type=int, default=3)
    arguments = parser.parse_args()
    wall(np.random.default_rng(arguments.seed)).save(arguments.out, quality=95)


def bumps(random: Generator, height: int, width: int, cell: float) -> Array:
    """Generate smooth noise with bumps about `cell` pixels wide, [height, width, 1]."""
    grid = random.normal(size=(int(height / cell) + 3, int(width / cell) + 3)).astype(np.float32)
    return np.asarray(Image.fromarray(grid).resize((width, height), Image.Resampling.BICUBIC))[..., None]


def wall(random: Generator) -> Image.Image:
    """Draw courses of bricks, every other one shifted by half a brick."""
    side, (high, wide), inset = SIDE * FINE, (length * FINE for length in BRICK), MORTAR * FINE / 2
    pixels = np.full((side, side, 3), (0.78, 0.75, 0.69), np.float32)
    pixels += 0.03 * random.normal(size=(side, side, 1))
    for course in range(-1, side // high + 2):
        for column in range(-2, side // wide + 2):
            y = course * high + random.normal() * JITTER[0] * FINE
            x = column * wide + (wide // 2 if course % 2 else 0) + random.normal() * JITTER[1] * FINE
            top, left = (max(0, round(edge + inset)) for edge in (y, x))
            bottom = min(side, round(y + high - inset))
            right = min(side, round(x + wide - inset))
            if bottom <= top or right <= left:
                continue
            color = np.array([0.62, 0.27, 0.2]) + random.normal(size=3) * [0.07, 0.04, 0.03]
            size = bottom - top, right - left
            brick = color + bumps(random, *size, 6 * FINE) * 0.045 + bumps(random, *size, 1.5 * FINE) * 0.03
            brick[: 2 * FINE] += 0.07
            pixels[top:bottom, left:right] = brick
            pixels[bottom - 2 * FINE : bottom, left:right] -= 0.1
    picture = Image.fromarray((pixels.clip(0, 1) * 255).astype(np.uint8))
    return picture.resize((SIDE, SIDE), Image.Resampling.LANCZOS)


if __name__ == "__main__":
    main()
