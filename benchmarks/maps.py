"""How long does the optimal transport map between two covariances take, by decomposition and by products?

Also prints the difference between the two, over the largest number of the map. The covariances are those of
random channels, rectified like features. `tilestyle/stats/gaussian_transport.py` says which way is used when.

    python -m benchmarks.maps [--channels 64 128 256 512] [--devices cpu cuda] [--repeats 9]
"""

from __future__ import annotations

import argparse
from functools import partial
from pathlib import Path
from statistics import median
from typing import Any

import torch
from torch import Tensor

from benchmarks.record import report
from tilestyle.benchmark.timing import time_call
from tilestyle.stats.distances import RIDGE
from tilestyle.stats.gaussian_transport import (
    add_ridge,
    cholesky_or_root,
    transport_map_by_eigh,
    transport_map_by_newton_schulz,
)

CELLS = 16  # per channel
WAYS = {"decomposition": transport_map_by_eigh, "products": transport_map_by_newton_schulz}


def covariance(channels: int, seed: int) -> Tensor:
    """Compute the covariance [channels, channels] of mixed and rectified noise, in float64 on the CPU."""
    generator = torch.Generator().manual_seed(seed)
    mix = torch.randn(channels, channels, generator=generator, dtype=torch.float64)
    noise = torch.randn(channels, CELLS * channels, generator=generator, dtype=torch.float64)
    return torch.cov((mix @ noise).relu())


def main() -> None:
    """Measure and print the table."""
    arguments = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    arguments.add_argument("--channels", nargs="+", type=int, default=[64, 128, 256, 512])
    devices = ["cpu", "cuda"] if torch.cuda.is_available() else ["cpu"]
    arguments.add_argument("--devices", nargs="+", default=devices, help="cpu cuda cuda:1")
    arguments.add_argument(
        "--repeats", type=int, default=9, help="measurements, of which the median is printed"
    )
    arguments.add_argument("--keep", type=Path, help="JSON file for the result")
    options = arguments.parse_args()
    rows: list[dict[str, Any]] = []
    for device in map(torch.device, options.devices):
        for channels in options.channels:
            rows.append({"device": str(device), **timed(channels, device, options.repeats)})
            print(rows[-1], flush=True)
    report(rows, "maps of optimal transport, milliseconds", options.keep)


def timed(channels: int, device: torch.device, repeats: int) -> dict[str, Any]:
    """Measure the milliseconds of both ways, and their difference."""
    source, target = (covariance(channels, seed).to(device) for seed in (1, 2))
    ridge = RIDGE * float(target.diagonal().mean())
    source, goal_factor = add_ridge(source, ridge), cholesky_or_root(add_ridge(target, ridge))
    row: dict[str, Any] = {"channels": channels}
    maps = []
    for name, way in WAYS.items():
        result = way(source, goal_factor, ridge)  # not timed: libraries are initialized
        assert result, "a covariance with a ridge has a Cholesky factor"
        maps.append(result[0])
        seconds = [time_call(partial(way, source, goal_factor, ridge), device) for _ in range(repeats)]
        row[name] = 1e3 * median(seconds)
    row["difference"] = float((maps[0] - maps[1]).abs().max() / maps[0].abs().max())
    return row


if __name__ == "__main__":
    main()
