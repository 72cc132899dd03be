"""How wide a halo do patches need for their moments to be those of the whole canvas?

Measures the moments of a photograph's features from patches with wider and wider halos, and compares them with
the exact ones, from a halo of half the widest receptive field. Prints the squared Wasserstein distance of the
worst layer at full size, the same over that without a halo, and the pixels that are read, over the canvas.

    python -m benchmarks.halos [--size 1024] [--patch 512] [--weights vgg19_slim.safetensors]
"""

from __future__ import annotations

from typing import Any

import torch

from benchmarks.jobs import PAIRS, job, parser, settings
from benchmarks.record import report
from tilestyle.canvas.canvas import read_box
from tilestyle.config.enums import Precision
from tilestyle.geometry.rng import SweepRng
from tilestyle.geometry.sampling import APRON, PatchContext, grid_patches
from tilestyle.losses.planes import level_planes
from tilestyle.losses.style_targets import make_target
from tilestyle.networks.base import crop_cells, exact_halo, measuring_halo
from tilestyle.planning.job import Job
from tilestyle.stats.moments import Moments, MomentSum


def measured(task: Job, halo: int) -> dict[str, Moments]:
    """Measure the moments of each layer's content features, from patches with a halo.

    Args:
        task: The job, with a content.
        halo: Width of the halo in pixels; 0: the patches of a sweep.
    """
    level = task.levels[-1]
    content = level_planes(task, level).content
    assert content is not None, "the job has a content"
    names = [name for layer, name in task.scale_groups(level)[1].items() if layer in task.weights.style_layers]
    sums = {name: MomentSum() for name in names}
    unit = max(task.network.layers[name].stride for name in names)
    around = PatchContext(halo=halo) if halo else PatchContext(apron=APRON)
    for patch in grid_patches(
        level.extent, task.patch_side + 2 * halo, unit, SweepRng(0, 0, 0), context=around
    ):
        with torch.no_grad():
            features = task.network.features(read_box(content, patch.read)[None], names)
        for name, cells in features.items():
            sums[name].add(crop_cells(cells, patch.owned_cells(task.network.layers[name].stride)))
    return {name: total.moments() for name, total in sums.items()}


def main() -> None:
    """Measure and print the table."""
    options = parser(__doc__, 1024).parse_args()
    rows: list[dict[str, Any]] = []
    for network in options.networks:
        for pair in dict(PAIRS[: options.pairs]).items():  # every content once
            config = settings(options, network, precision=Precision.FP32, coarsest=options.size)
            task = job(pair, config)
            names = task.scale_groups(task.levels[-1])[1].values()
            layers = [task.network.layers[name] for name in names]
            unit, widest = max(layer.stride for layer in layers), exact_halo(layers)
            exact = measured(task, widest)
            targets = {name: make_target(moments, config) for name, moments in exact.items()}
            bare: dict[str, float] = {}
            for halo in range(0, widest, unit):
                errors = {
                    name: targets[name].cotangent(moments).value
                    for name, moments in measured(task, halo).items()
                }
                bare = bare or errors
                rows.append(
                    {
                        "network": network,
                        "content": pair[0],
                        "halo": halo,
                        "chosen": halo == measuring_halo(layers),
                        "read": ((task.patch_side + 2 * halo) / task.patch_side) ** 2,
                        "distance": max(errors.values()),
                        "of that without": max(errors.values()) / max(bare.values()),
                    }
                )
                print(rows[-1], flush=True)
    report(rows, "moments with a halo against exact ones, the worst layer", options.keep)


if __name__ == "__main__":
    main()
