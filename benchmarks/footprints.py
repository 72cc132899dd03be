"""Does a render need what arithmetic says?

Measures the peak of small renders on the CPU under a memory limit, each in a process of its own, and prints it
over the prediction of planning/memory_model.py. Above 1 the arithmetic promises too little.

    python -m benchmarks.footprints [--networks compact vgg19] [--weights random] [--patches 128 256 512]
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from benchmarks.alone import add_one, answered, measured
from benchmarks.record import report
from tilestyle.config.enums import BUILT_IN

SIZES = {128: 448, 256: 600, 512: 960}  # of pictures, by patch: larger than one patch, no larger than need be


def measure(settings: dict[str, Any]) -> dict[str, Any]:
    """Render in this process, which has done nothing before."""
    from tilestyle.config.enums import NetworkName, Precision
    from tilestyle.config.render import RenderConfig
    from tilestyle.devices.peak_memory import Peak
    from tilestyle.pictures import path_of
    from tilestyle.pipeline.prepare import prepare
    from tilestyle.pipeline.run import run
    from tilestyle.planning.memory_budget import find_device

    kinds = {"network": NetworkName(settings["network"]), "precision": Precision(settings["precision"])}
    peak = Peak(find_device("cpu"))
    job = prepare(path_of("swirls"), RenderConfig(**settings | kinds), path_of("coffee"))
    run(job)
    return {"peak": peak.bytes(), "predicted": job.need.together}


def main() -> None:
    """Run the table; with --one, a single measurement."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--networks", nargs="+", default=["compact", "wavelet", "vgg19"])
    parser.add_argument("--weights", default="random", help="of a VGG")
    parser.add_argument("--precisions", nargs="+", default=["fp32", "bf16"])
    parser.add_argument("--patches", nargs="+", type=int, default=list(SIZES), choices=list(SIZES))
    parser.add_argument("--keep", type=Path, help="JSON file for the result")
    add_one(parser)
    options = parser.parse_args()
    if answered(options, measure):
        return
    rows: list[dict[str, Any]] = []
    for network in options.networks:
        for precision in options.precisions:
            for patch in options.patches:
                size = SIZES[patch]
                settings = {"network": network, "precision": precision, "patch": patch, "size": size}
                settings |= {"weights": None if network in BUILT_IN else options.weights, "device": "cpu"}
                # Two levels: one to leave its traces in the heap. A limit, however large, for the strict heap.
                settings |= {"coarsest": round(0.7 * size), "sweeps": 2, "memory": "1TiB"}
                row = {"network": network, "precision": precision, "patch": patch}
                row |= measured("footprints", settings)
                rows.append({**row, "share": row["peak"] / row["predicted"]})
                print(rows[-1], flush=True)
    report(rows, f"peak over prediction: at most {max(row['share'] for row in rows):.2f}", options.keep)


if __name__ == "__main__":
    main()
