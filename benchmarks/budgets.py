"""Does a render stay within its memory limit? Compares peaks with `--memory`, each in its own process.

python -m benchmarks.budgets --networks compact wavelet vgg19 --budgets 256MiB 512MiB 1GiB 2GiB 4GiB
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from benchmarks.record import report
from tilestyle.benchmark.single_run import RunSpec, measure_in_subprocess
from tilestyle.benchmark.workload import Workload, square_side
from tilestyle.config.byte_size import parse_bytes
from tilestyle.config.enums import BUILT_IN, NetworkName, Precision
from tilestyle.errors import TilestyleError

MIB = 2**20


def held_to(scene: Workload, budget: str, megapixels: float) -> dict[str, Any]:
    """Measure two sweeps within a budget, or return the reason why it was refused."""
    row: dict[str, Any] = {"network": str(scene.network), "precision": str(scene.precision), "budget": budget}
    try:
        result = measure_in_subprocess(scene, RunSpec(square_side(megapixels, 64), 2, 512, memory=budget))
    except TilestyleError as error:
        return row | {"refused": str(error)}
    if "died" in result:
        return row | {"died": result["died"]}
    return row | {
        "patch": result["patch"],
        "foretold, MiB": round(result["predicted"] / MIB),
        "peak, MiB": round(result["peak"] / MIB),
        "of the budget": round(result["peak"] / parse_bytes(budget), 3),
    }


def main() -> None:
    """Measure every network with every budget."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--networks", nargs="+", type=NetworkName, default=[*BUILT_IN, NetworkName.VGG19])
    parser.add_argument("--precisions", nargs="+", type=Precision, default=[Precision.FP32], help="fp32 bf16")
    parser.add_argument("--budgets", nargs="+", default=["256MiB", "512MiB", "1GiB", "2GiB", "4GiB"])
    parser.add_argument("--megapixels", type=float, default=1.0)
    parser.add_argument("--device", default="auto")
    parser.add_argument("--keep", type=Path, help="JSON file for the result")
    options = parser.parse_args()
    rows = []
    for network in options.networks:
        for precision in options.precisions:
            weights = None if network in BUILT_IN else "random"
            scene = Workload(network, weights, precision, options.device)
            for budget in options.budgets:
                rows.append(held_to(scene, budget, options.megapixels))
                print(rows[-1], flush=True)
    report(rows, "peak memory against the budget", options.keep)


if __name__ == "__main__":
    main()
