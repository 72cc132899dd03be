"""How much of a picture is in tones that its style lacks?

A colour is lacking where less than one in a thousand of the style's pixels, at the picture's size, are near it:
in the same or a neighbouring of 16 x 16 x 16 cells of RGB. The table has the share of such pixels, and half of
the sum over all cells of how far shares in picture and style differ (0: the same, 1: nothing in common).

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
from tilestyle.canvas.canvas import resized
from tilestyle.canvas.storage import Memory
from tilestyle.config.enums import Quality
from tilestyle.geometry.boxes import Box, shrunk
from tilestyle.pictures import path_of
from tilestyle.planning.inputs import planes_of

PAIRS = (("astronaut", "woodcut"), ("coffee", "woodcut"), ("astronaut", "facets"), ("coffee", "swirls"))
CELLS = 16  # along a channel
LEAST = 1e-3  # share of the style's pixels


def colours_in(pixels: Tensor) -> Tensor:
    """Shares of the colours [3, h, w] in every cell, [CELLS, CELLS, CELLS]."""
    red, green, blue = (pixels.clamp(0, 1) * CELLS).long().clamp(max=CELLS - 1)
    counts = torch.bincount(((red * CELLS + green) * CELLS + blue).flatten(), minlength=CELLS**3)
    return counts.view(CELLS, CELLS, CELLS) / counts.sum()


def lacking(pixels: Tensor, style: Tensor) -> tuple[float, float]:
    """Share of pixels [3, h, w] in tones that a style [3, h, w] lacks, and the difference of their colours."""
    found, wanted = colours_in(pixels), colours_in(style)
    near = 27 * F.avg_pool3d(F.pad(wanted[None, None], (1,) * 6), 3, 1)[0, 0]
    return float(found[near < LEAST].sum()), float((found - wanted).abs().sum() / 2)


def shown(source: Any, long_side: int) -> Tensor:
    """A style as it is shown beside a picture of this long side, [3, h, w]."""
    picture, _ = planes_of(source, Memory())
    height, width = picture.shape[1:]
    return resized(picture, shrunk(height, width, long_side)).clamp(0, 1)


def main() -> None:
    """Run the table."""
    arguments = parser(__doc__, 288)
    arguments.add_argument("--palette", nargs="+", type=float, default=[0.0, 1.0], help="weights to compare")
    arguments.add_argument("--quality", type=Quality, default=Quality.DRAFT, help="how many sweeps")
    arguments.add_argument("--finished", nargs="+", type=Path, help="pictures that are there already")
    arguments.add_argument("--style", type=Path, help="the style of these")
    options = arguments.parse_args()
    rows: list[dict[str, Any]] = []

    def add(pixels: Tensor, exemplar: Any, **row: Any) -> None:
        share, difference = lacking(pixels, shown(exemplar, max(pixels.shape[1:])))
        rows.append({**row, "lacking": share, "difference": difference})
        print(rows[-1], flush=True)

    for file in options.finished or ():
        add(planes_of(file, Memory())[0], options.style, picture=file.name)
    for name in () if options.finished else options.networks:
        for pair in PAIRS[: options.pairs]:
            for weight in options.palette:
                task = job(pair, settings(options, name, palette_weight=weight, quality=options.quality))
                canvas, box = finished(task), task.levels[-1].extent.picture
                pixels = canvas.read(Box(box.top, box.left, box.height, box.width))
                add(pixels, path_of(pair[1]), network=name, content=pair[0], style=pair[1], palette=weight)
    report(rows, "share of pixels in tones that the style lacks", options.keep)


if __name__ == "__main__":
    main()
