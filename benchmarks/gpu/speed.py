"""How fast sweeps are: as shares of the card's own matrix peak, on small levels, and with locality."""

from __future__ import annotations

from functools import partial
from typing import Any
from unittest import mock

import torch

from benchmarks.gpu.core import MIB, Check, Group, Place, Row
from benchmarks.gpu.environment import peak_of
from benchmarks.gpu.jobs import COMPACT, DEVICE, FITTING, HOST, VGG19, WAVELET, Sized, swept
from benchmarks.maps import timed
from tilestyle.config.enums import NetworkName, Precision
from tilestyle.devices import graphs
from tilestyle.devices.graphs import capture
from tilestyle.devices.peak_memory import PeakMemory
from tilestyle.networks.vgg import Vgg

# Share of the matrix peak that a sweep of VGG-19 is to reach in patches of this side, by where the canvas is.
GOALS = {DEVICE: 0.50, HOST: 0.35}
JUDGED = 1024
SMALL = (192, 432, 1024)  # sides of one patch
MANY = 25  # sweeps of it
CHANNELS = (64, 128, 256, 512)


def _throughput(place: Place) -> list[Check]:
    runs: list[tuple[NetworkName, int, str, Precision | None]]
    if place.tiny:
        runs = [(WAVELET, 64, DEVICE, None), (VGG19, 32, HOST, None)]
    else:
        runs = [(VGG19, patch, DEVICE, None) for patch in (JUDGED, *sorted(set(FITTING) - {JUDGED}))]
        runs += [(VGG19, JUDGED, HOST, None), (COMPACT, JUDGED, DEVICE, None), (WAVELET, JUDGED, DEVICE, None)]
        runs += [
            (COMPACT, JUDGED, HOST, None),
            (VGG19, 2048, HOST, None),
            (VGG19, JUDGED, DEVICE, Precision.FP32),
        ]
    return [
        Check(
            f"{network} {precision or place.precision}, patches of {patch}, canvas on the {home}",
            partial(_share, network, patch, home, precision),
            30,
        )
        for network, patch, home, precision in runs
    ]


def _share(
    network: NetworkName, patch: int, home: str, precision: Precision | None, place: Place, row: Row
) -> bool | None:
    """A canvas of whole patches: megapixels a second, and operations over those of the card's best products."""
    side = 96 if place.tiny else FITTING[patch]
    sized = Sized(side, side, network, precision, 3 if place.tiny else 6, home, patch)
    peak = PeakMemory(place.device)
    sweeps = swept(sized.job(place))
    job = sweeps.job
    each = job.network.multiply_adds_per_pixel
    # Forward, and backward to the pixels; a multiply-add is two operations. Of content a forward pass.
    operations = 4 * each(job.weights.layer_names) * 1e6 * sweeps.megapixels
    if job.weights.content_layers and not job.content_kept:
        operations += 2 * each(job.weights.content_layers) * 1e6 * sweeps.megapixels
    share = operations / sweeps.seconds / 1e12 / peak_of(place, job.network.dtype)
    row.update(sweeps.facts)
    if isinstance(job.network, Vgg):
        row["passes are captured"] = job.network.has_captured_passes
    row.update(
        {
            "TFLOP/s": operations / sweeps.seconds / 1e12,
            "share of matrix peak": share,
            "peak, MiB": peak.bytes() / MIB,
            "foretold, MiB": job.device_bytes / MIB,
        }
    )
    row["says"] = f"{network} {patch} {home} {row['MP/s']:.3g} MP/s, {share:.0%}"
    judged = (network, patch, precision) == (VGG19, JUDGED, None) and place.cuda
    return share >= GOALS[home] if judged and not place.tiny else None


def _levels(place: Place) -> list[Check]:
    networks = (COMPACT,) if place.tiny else (VGG19, COMPACT, WAVELET)
    return [
        *(Check(f"small levels, {network}", partial(_small, network), 30) for network in networks),
        Check("maps of optimal transport", _maps, 30),
    ]


def _small(network: NetworkName, place: Place, row: Row) -> None:
    """Sweeps of one patch: what they cost however small they are."""
    taken = []
    for side in (64,) if place.tiny else SMALL:
        sweeps = swept(Sized(side, side, network, sweeps=3 if place.tiny else MANY).job(place))
        row[f"{side}, ms a sweep"] = 1e3 * sweeps.seconds
        taken.append(f"{1e3 * sweeps.seconds:.3g}")
    row["says"] = f"{network} {' '.join(taken)} ms a sweep"


def _maps(place: Place, row: Row) -> None:
    """Milliseconds by decomposition on the host, and by both ways on the device."""
    for channels in (16, 32) if place.tiny else CHANNELS:
        for device in dict.fromkeys([place.device.type, "cpu"]):
            times = timed(channels, place.device if device != "cpu" else torch.device("cpu"), 3)
            row[f"{channels} channels, {device}"] = {name: times[name] for name in times if name != "channels"}


def _local(place: Place) -> list[Check]:
    networks = (COMPACT,) if place.tiny else (VGG19, COMPACT)
    return [Check(f"localized sweeps, {network}", partial(_localized, network), 40) for network in networks]


def _localized(network: NetworkName, place: Place, row: Row) -> None:
    """Sweeps whose patches have distances of their own; and whether these are graphs, as the passes are."""
    side = 96 if place.tiny else 1024
    captures: list[bool] = []

    def noted(*arguments: Any, **named: Any) -> Any:
        captured = capture(*arguments, **named)
        captures.append(captured is not None)
        return captured

    with mock.patch.object(graphs, "capture", noted):  # passes are captured by that name elsewhere
        sweeps = swept(Sized(side, side, network, sweeps=3, settings={"locality": 1.0}).job(place))
    row.update(sweeps.facts)
    row["distances are captured"] = bool(captures) and all(captures)
    if isinstance(sweeps.job.network, Vgg):
        row["passes are captured"] = sweeps.job.network.has_captured_passes
    row["says"] = f"{network} {row['MP/s']:.3g} MP/s in {row['patches']} patches"


THROUGHPUT = Group(
    "speed", "megapixels a second and share of the matrix peak, by patch side and home", 60, _throughput
)
LEVELS = Group("levels", "sweeps of small levels, and the maps that they wait for", 25, _levels)
LOCALITY = Group("locality", "sweeps that are held to the style at their own place", 15, _local)
