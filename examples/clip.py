"""Film a slow pan over a picture: `python examples/clip.py PICTURE --out clip.mp4`."""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F

from tilestyle.config.render import FilmConfig
from tilestyle.images import read_picture
from tilestyle.motion.film import open_film, quantize_frame


def main() -> None:
    """Write the film."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("picture", type=Path, help="picture to pan over")
    parser.add_argument("--out", type=Path, required=True, help="film to write")
    parser.add_argument("--frames", type=int, default=12, help="number of frames")
    parser.add_argument("--size", default="320x240", help="WIDTHxHEIGHT")
    parser.add_argument("--step", type=float, default=3.0, help="speed of the pan, pixels per frame")
    parser.add_argument("--fps", type=float, default=12.5, help="frames per second")
    arguments = parser.parse_args()
    width, height = (int(side) for side in arguments.size.split("x"))
    pixels = torch.from_numpy(read_picture(arguments.picture).pixels).permute(2, 0, 1)[None]
    travel = arguments.step * (arguments.frames - 1)
    share = min(pixels.shape[2] / (height + 0.4 * travel), pixels.shape[3] / (width + travel))
    with open_film(arguments.out, FilmConfig(fps=arguments.fps)) as film:
        for number in range(arguments.frames):
            shift = arguments.step * number
            theta = [
                [width * share / pixels.shape[3], 0, (width + 2 * shift) * share / pixels.shape[3] - 1],
                [0, height * share / pixels.shape[2], (height + 0.8 * shift) * share / pixels.shape[2] - 1],
            ]
            grid = F.affine_grid(torch.tensor([theta]), [1, 3, height, width], align_corners=False)
            window = F.grid_sample(pixels, grid, mode="bilinear", align_corners=False)[0]
            film.add(quantize_frame(np.ascontiguousarray(window.permute(1, 2, 0).numpy())))


if __name__ == "__main__":
    main()
