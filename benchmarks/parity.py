"""Is the tiled picture as good as the untiled one?

Renders the same jobs in patches and untiled (reference/renderer.py), and prints the ratio of their exact losses
of the whole picture, style and content. The target is a ratio of at most 1.03.

The loss is the mean over several placements of the canvas, shifted by a few pixels. A network's pooling makes
the loss depend on where a picture lies on its grid, which is not visible. The untiled method evaluates the
canvas at one placement and overfits to it; patches start at any pixel, and fit all placements alike. The column
`in place` has the ratio at that one placement.

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
from tilestyle.planning.schedule import patch_count
from tilestyle.reference.renderer import render_untiled


def main() -> None:
    """Measure and print the table."""
    arguments = parser(__doc__, 384)
    arguments.add_argument("--seeds", type=int, default=3)
    arguments.add_argument("--precision", type=Precision, default=Precision.FP32, help="of the tiled render")
    arguments.add_argument("--overlap", type=int, default=0, help="pixels")
    options = arguments.parse_args()
    rows: list[dict[str, Any]] = []
    for name in options.networks:
        for pair in PAIRS[: options.pairs]:
            config = settings(options, name, overlap=options.overlap, precision=Precision.FP32)
            baseline = job(pair, config)
            reference = render_untiled(baseline).pixels
            untiled, untiled_in_place = placed_loss(baseline, reference), exact_loss(baseline, reference)
            one_patch = placed_loss(
                baseline, finished(job(pair, replace(config, patch=2 * options.size))).pixels
            )
            for seed in range(options.seeds):
                task = job(pair, replace(config, seed=seed, precision=options.precision))
                canvas = finished(task).pixels
                tiled = placed_loss(baseline, canvas)
                rows.append(
                    {
                        "network": name,
                        "content": pair[0],
                        "style": pair[1],
                        "seed": seed,
                        "patches": patch_count(task.levels[-1].extent, task.patch_side),
                        "style untiled": untiled[0],
                        "style tiled": tiled[0],
                        "content untiled": untiled[1],
                        "content tiled": tiled[1],
                        "ratio": sum(tiled) / sum(untiled),
                        "in place": sum(exact_loss(baseline, canvas)) / sum(untiled_in_place),
                        "to one patch": sum(tiled) / sum(one_patch),
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
