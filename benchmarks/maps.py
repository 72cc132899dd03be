"""How long the map of optimal transport between two covariances takes: by decomposition, and by products.

Also how far the two differ, over the largest number of the map. The covariances are those of a chosen number of
channels, rectified as features are. Which way is taken where: `tilestyle/stats/gaussian_transport.py`.

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
from tilestyle.benchmark.timing import seconds_of
from tilestyle.stats.distances import RIDGE
from tilestyle.stats.gaussian_transport import factor, ridged, transport_by_decomposition, transport_by_products

CELLS = 16  # for every channel
WAYS = {"decomposition": transport_by_decomposition, "products": transport_by_products}


def covariance(channels: int, seed: int) -> Tensor:
    """That of mixed and rectified noise, float64 on the host."""
    generator = torch.Generator().manual_seed(seed)
    mix = torch.randn(channels, channels, generator=generator, dtype=torch.float64)
    noise = torch.randn(channels, CELLS * channels, generator=generator, dtype=torch.float64)
    return torch.cov((mix @ noise).relu())


def main() -> None:
    """Run the table."""
    arguments = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    arguments.add_argument("--channels", nargs="+", type=int, default=[64, 128, 256, 512])
    devices = ["cpu", "cuda"] if torch.cuda.is_available() else ["cpu"]
    arguments.add_argument("--devices", nargs="+", default=devices, help="cpu cuda cuda:1")
    arguments.add_argument("--repeats", type=int, default=9, help="of which the median is taken")
    arguments.add_argument("--keep", type=Path, help="JSON file for the result")
    options = arguments.parse_args()
    rows: list[dict[str, Any]] = []
    for device in map(torch.device, options.devices):
        for channels in options.channels:
            rows.append({"device": str(device), **timed(channels, device, options.repeats)})
            print(rows[-1], flush=True)
    report(rows, "maps of optimal transport, milliseconds", options.keep)


def timed(channels: int, device: torch.device, repeats: int) -> dict[str, Any]:
    """Milliseconds of both ways, and how far they differ."""
    one, other = (covariance(channels, seed).to(device) for seed in (1, 2))
    ridge = RIDGE * float(other.diagonal().mean())
    one, goal = ridged(one, ridge), factor(ridged(other, ridge))
    row: dict[str, Any] = {"channels": channels}
    found = []
    for name, way in WAYS.items():
        answer = way(one, goal, ridge)  # not counted: libraries are set up
        assert answer, "a covariance with a ridge has a Cholesky factor"
        found.append(answer[0])
        seconds = [seconds_of(partial(way, one, goal, ridge), device) for _ in range(repeats)]
        row[name] = 1e3 * median(seconds)
    row["difference"] = float((found[0] - found[1]).abs().max() / found[0].abs().max())
    return row


if __name__ == "__main__":
    main()
