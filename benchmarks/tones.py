"""How much of a picture is in tones that its style lacks?

RGB is divided into 16 x 16 x 16 cells. The style lacks a color if fewer than one in a thousand of its pixels,
at the picture's size, are in the same or a neighboring cell. The table has the share of the picture's pixels
in such colors, and the difference of the two histograms: half the sum of the absolute differences of their
shares (0: equal, 1: nothing in common).

    python -m benchmarks.tones [--size 288] [--patch 256] [--networks wavelet] [--palette 0 1 4]
    python -m benchmarks.tones --finished PICTURE... --style FILE
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from benchmarks.jobs import finished, job, parser, settings
from benchmarks.record import report
from tilestyle.canvas.resize import resize
from tilestyle.canvas.storage import MemoryStore
from tilestyle.config.enums import Quality
from tilestyle.geometry.boxes import Box, size_within
from tilestyle.pictures import picture_path
from tilestyle.planning.inputs import load_planes

PAIRS = (("astronaut", "woodcut"), ("coffee", "woodcut"), ("astronaut", "facets"), ("coffee", "swirls"))
CELLS = 16  # per channel
LEAST = 1e-3  # share of the style's pixels


def color_shares(pixels: Tensor) -> Tensor:
    """Compute the share of the pixels [3, h, w] in every cell, [CELLS, CELLS, CELLS]."""
    red, green, blue = (pixels.clamp(0, 1) * CELLS).long().clamp(max=CELLS - 1)
    counts = torch.bincount(((red * CELLS + green) * CELLS + blue).flatten(), minlength=CELLS**3)
    return counts.view(CELLS, CELLS, CELLS) / counts.sum()


def missing_tones(pixels: Tensor, style: Tensor) -> tuple[float, float]:
    """Compute the share of a picture in tones that its style lacks, and the difference of their colors.

    Args:
        pixels: Picture [3, h, w].
        style: Style [3, h', w'].
    """
    picture_shares, style_shares = color_shares(pixels), color_shares(style)
    near = 27 * F.avg_pool3d(F.pad(style_shares[None, None], (1,) * 6), 3, 1)[0, 0]  # sums of 3 x 3 x 3 cells
    difference = (picture_shares - style_shares).abs().sum() / 2
    return float(picture_shares[near < LEAST].sum()), float(difference)


def shown(source: Any, long_side: int) -> Tensor:
    """Read a style at the size that a picture of this long side is compared with, [3, h, w]."""
    picture, _ = load_planes(source, MemoryStore())
    height, width = picture.shape[1:]
    return resize(picture, size_within(height, width, long_side)).clamp(0, 1)


def main() -> None:
    """Measure and print the table."""
    arguments = parser(__doc__, 288)
    arguments.add_argument("--palette", nargs="+", type=float, default=[0.0, 1.0], help="weights to compare")
    arguments.add_argument("--quality", type=Quality, default=Quality.DRAFT, help="draft normal best")
    arguments.add_argument("--finished", nargs="+", type=Path, help="existing pictures to measure instead")
    arguments.add_argument("--style", type=Path, help="the style of the existing pictures")
    options = arguments.parse_args()
    rows: list[dict[str, Any]] = []

    def add(pixels: Tensor, exemplar: Any, **row: Any) -> None:
        share, difference = missing_tones(pixels, shown(exemplar, max(pixels.shape[1:])))
        rows.append({**row, "lacking": share, "difference": difference})
        print(rows[-1], flush=True)

    for file in options.finished or ():
        add(load_planes(file, MemoryStore())[0], options.style, picture=file.name)
    for name in () if options.finished else options.networks:
        for pair in PAIRS[: options.pairs]:
            for weight in options.palette:
                task = job(pair, settings(options, name, palette_weight=weight, quality=options.quality))
                canvas, box = finished(task), task.levels[-1].extent.picture
                pixels = canvas.read(Box(box.top, box.left, box.height, box.width))
                add(pixels, picture_path(pair[1]), network=name, content=pair[0], style=pair[1], palette=weight)
    report(rows, "share of pixels in tones that the style lacks", options.keep)


if __name__ == "__main__":
    main()
