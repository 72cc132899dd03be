"""Do levels leave straight lines across the picture?

A canvas is enlarged from level to level. With a sharp filter, alternation from pixel to pixel survives where
new pixels fall on old ones, and is lost between them: a beat, visible as lines. Takes the mean difference
across each row and column of a finished texture, with the largest fifth clipped, over that of the rows or
columns around it. Prints the standard deviation and the maximum: without lines about 0.04 and 1.1 to 1.15.

    python -m benchmarks.lines [--size 520] [--quality draft] [--filters spline cubic]
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any
from unittest.mock import patch

import torch
import torch.nn.functional as F
from torch import Tensor

from benchmarks.record import report
from tilestyle import RenderConfig, texture
from tilestyle.canvas import canvas
from tilestyle.canvas.resample import Filter
from tilestyle.config.enums import Quality
from tilestyle.pictures import picture_path

AROUND = 9  # rows or columns in the moving average


def row_contrast(pixels: Tensor) -> Tensor:
    """Compute the differences between rows of [3, h, w], over their moving average: [h - AROUND]."""
    differences = (pixels[:, 1:] - pixels[:, :-1]).abs().sum(0)
    limit = torch.quantile(differences.flatten()[::7], 0.8)
    rows = differences.clamp(max=float(limit)).mean(1)
    average = F.avg_pool1d(rows[None, None], AROUND, 1)[0, 0]
    return rows[AROUND // 2 : AROUND // 2 + len(average)] / average


def main() -> None:
    """Measure and print the table."""
    arguments = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    arguments.add_argument("--size", type=int, default=520, help="long side, pixels")
    arguments.add_argument("--quality", type=Quality, default=Quality.DRAFT, help="draft normal best")
    arguments.add_argument("--filters", nargs="+", type=Filter, default=[Filter.SPLINE, Filter.CUBIC])
    arguments.add_argument("--keep", type=Path, help="JSON file for the result")
    options = arguments.parse_args()
    rows: list[dict[str, Any]] = []
    for name in ("swirls", "facets"):
        for kind in options.filters:
            size = options.size, round(options.size / 2.6)
            config = RenderConfig(size=size, style_scale=0.6, quality=options.quality)
            planes = {**canvas.PLANES, "pixels": (3, kind), "first": (3, kind)}
            with patch.object(canvas, "PLANES", planes):
                picture = texture(picture_path(name), config)
            pixels = torch.from_numpy(picture.pixels).permute(2, 0, 1)
            contrasts = {"rows": row_contrast(pixels), "columns": row_contrast(pixels.mT)}
            row: dict[str, Any] = {"style": name, "filter": str(kind)}
            for title, values in contrasts.items():
                row |= {title: float(values.std()), f"largest of {title}": float(values.max())}
            rows.append(row)
            print(row, flush=True)
    report(rows, "rows and columns that stand out", options.keep)


if __name__ == "__main__":
    main()
