"""Does a render need as much memory as predicted?

Measures the peak of small renders on the CPU under a memory limit, each in its own process, and prints it over
the prediction of planning/memory_model.py. Above 1, the prediction is too low.

    python -m benchmarks.footprints [--networks compact vgg19] [--weights random] [--patches 128 256 512]
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from benchmarks.alone import add_one, answered, measured
from benchmarks.record import report
from tilestyle.config.enums import BUILT_IN

SIZES = {128: 448, 256: 600, 512: 960}  # of pictures, by patch: small, but larger than one patch


def measure(settings: dict[str, Any]) -> dict[str, Any]:
    """Measure a render in this process, which has not done anything before."""
    from tilestyle.config.enums import NetworkName, Precision
    from tilestyle.config.render import RenderConfig
    from tilestyle.devices.peak_memory import PeakMemory
    from tilestyle.pictures import picture_path
    from tilestyle.pipeline.prepare import prepare
    from tilestyle.pipeline.run import render_job
    from tilestyle.planning.device_choice import find_device

    kinds = {"network": NetworkName(settings["network"]), "precision": Precision(settings["precision"])}
    peak = PeakMemory(find_device("cpu"))
    job = prepare(picture_path("swirls"), RenderConfig(**settings | kinds), picture_path("coffee"))
    render_job(job)
    return {"peak": peak.bytes(), "predicted": job.memory_estimate.unified_total}


def main() -> None:
    """Measure and print the table; with --one, run a single measurement."""
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
                # Two levels, so that the first affects the heap. Any memory limit makes the heap strict.
                settings |= {"coarsest": round(0.7 * size), "sweeps": 2, "memory": "1TiB"}
                row = {"network": network, "precision": precision, "patch": patch}
                row |= measured("footprints", settings)
                rows.append({**row, "share": row["peak"] / row["predicted"]})
                print(rows[-1], flush=True)
    report(rows, f"peak over prediction: at most {max(row['share'] for row in rows):.2f}", options.keep)


if __name__ == "__main__":
    main()
