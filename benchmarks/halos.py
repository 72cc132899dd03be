"""How far must a patch see beyond its cells for their moments to be those of the whole canvas?

Moments of a photograph's features by patches with ever wider halos, against those with a halo of half the
widest receptive field, which are exact. Prints the squared Wasserstein distance of the worst layer that is seen
at full size, the same over that without a halo, and what such a measurement reads, over the canvas.

    python -m benchmarks.halos [--size 1024] [--patch 512] [--weights vgg19_slim.safetensors]
"""

from __future__ import annotations

from typing import Any

import torch

from benchmarks.jobs import PAIRS, job, parser, settings
from benchmarks.record import report
from tilestyle.canvas.canvas import read
from tilestyle.config.enums import Precision
from tilestyle.geometry.rng import Draw
from tilestyle.geometry.sampling import LAP, Around, covering
from tilestyle.losses.planes import content_plane
from tilestyle.losses.style_targets import target
from tilestyle.networks.base import exact_halo, inner, measuring_halo
from tilestyle.planning.job import Job
from tilestyle.stats.moments import Moments, MomentSum


def measured(task: Job, halo: int) -> dict[str, Moments]:
    """Moments of the content's features, layer by layer, from patches with this halo in pixels; 0: a lap."""
    level = task.levels[-1]
    content = content_plane(task, level)
    assert content is not None, "the job has a content"
    names = [name for layer, name in task.octaves(level)[1].items() if layer in task.weights.style_layers]
    sums = {name: MomentSum() for name in names}
    unit = max(task.network.layers[name].stride for name in names)
    around = Around(halo=halo) if halo else Around(lap=LAP)
    for patch in covering(level.extent, task.side + 2 * halo, unit, Draw(0, 0, 0), around=around):
        with torch.no_grad():
            features = task.network.features(read(content, patch.read)[None], names)
        for name, cells in features.items():
            sums[name].add(inner(cells, patch.cells(task.network.layers[name].stride)))
    return {name: total.moments() for name, total in sums.items()}


def main() -> None:
    """Run the table."""
    options = parser(__doc__, 1024).parse_args()
    rows: list[dict[str, Any]] = []
    for network in options.networks:
        for pair in dict(PAIRS[: options.pairs]).items():  # each content once
            config = settings(options, network, precision=Precision.FP32, coarsest=options.size)
            task = job(pair, config)
            names = task.octaves(task.levels[-1])[1].values()
            layers = [task.network.layers[name] for name in names]
            unit, widest = max(layer.stride for layer in layers), exact_halo(layers)
            exact = measured(task, widest)
            goals = {name: target(moments, config) for name, moments in exact.items()}
            bare: dict[str, float] = {}
            for halo in range(0, widest, unit):
                found = {
                    name: goals[name].cotangent(moments).value for name, moments in measured(task, halo).items()
                }
                bare = bare or found
                rows.append(
                    {
                        "network": network,
                        "content": pair[0],
                        "halo": halo,
                        "chosen": halo == measuring_halo(layers),
                        "read": ((task.side + 2 * halo) / task.side) ** 2,
                        "distance": max(found.values()),
                        "of that without": max(found.values()) / max(bare.values()),
                    }
                )
                print(rows[-1], flush=True)
    report(rows, "moments with a halo against exact ones, the worst layer", options.keep)


if __name__ == "__main__":
    main()
