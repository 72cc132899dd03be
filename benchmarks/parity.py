"""Is the tiled picture as good as the untiled one?

Renders the same jobs in patches and untiled (reference/renderer.py), and prints the exact whole-image loss,
style and content, of the one over that of the other. No more than 1.03 is the promise.

The loss is the mean over placements: the canvas is moved by a few pixels, and measured again. Networks halve
what they see, so a picture's loss depends on where it lies on their grid, which no eye can tell. The untiled
method always sees the canvas in one place and fits that place; patches have their corners at any pixel, and
fit all alike. The column `in place` has the ratio at that one place.

    python -m benchmarks.parity [--size 384] [--patch 128] [--weights vgg19_slim.safetensors]
"""

from __future__ import annotations

from dataclasses import replace
from statistics import median
from typing import Any

from benchmarks.jobs import PAIRS, finished, job, parser, settings
from benchmarks.record import report
from tilestyle.benchmark.exact_loss import exact_loss, placed_loss
from tilestyle.config.enums import Precision
from tilestyle.planning.schedule import patches_of
from tilestyle.reference.renderer import render_untiled


def main() -> None:
    """Run the table."""
    arguments = parser(__doc__, 384)
    arguments.add_argument("--seeds", type=int, default=3)
    arguments.add_argument("--precision", type=Precision, default=Precision.FP32, help="of the tiled render")
    arguments.add_argument("--overlap", type=int, default=0, help="pixels")
    options = arguments.parse_args()
    rows: list[dict[str, Any]] = []
    for name in options.networks:
        for pair in PAIRS[: options.pairs]:
            config = settings(options, name, overlap=options.overlap, precision=Precision.FP32)
            plain = job(pair, config)
            reference = render_untiled(plain).pixels
            untiled, still = placed_loss(plain, reference), exact_loss(plain, reference)
            alone = placed_loss(plain, finished(job(pair, replace(config, patch=2 * options.size))).pixels)
            for seed in range(options.seeds):
                task = job(pair, replace(config, seed=seed, precision=options.precision))
                canvas = finished(task).pixels
                tiled = placed_loss(plain, canvas)
                rows.append(
                    {
                        "network": name,
                        "content": pair[0],
                        "style": pair[1],
                        "seed": seed,
                        "patches": patches_of(task.levels[-1].extent, task.side),
                        "style untiled": untiled[0],
                        "style tiled": tiled[0],
                        "content untiled": untiled[1],
                        "content tiled": tiled[1],
                        "ratio": sum(tiled) / sum(untiled),
                        "in place": sum(exact_loss(plain, canvas)) / sum(still),
                        "to one patch": sum(tiled) / sum(alone),
                    }
                )
                print(rows[-1], flush=True)
    ratios = [row["ratio"] for row in rows]
    report(
        rows,
        f"exact loss, tiled over untiled: median {median(ratios):.4f}, worst {max(ratios):.4f}",
        options.keep,
    )


if __name__ == "__main__":
    main()
