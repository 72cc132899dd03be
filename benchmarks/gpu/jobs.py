"""Jobs of one level, where their canvases live, and sweeps that are timed."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from functools import cache
from itertools import pairwise
from statistics import median
from typing import Any
from unittest import mock

import numpy as np
import torch
from numpy.typing import NDArray

from benchmarks.gpu.core import Place, Row
from tilestyle.benchmark.workload import Workload
from tilestyle.canvas.canvas import Canvas
from tilestyle.config.enums import NetworkName, Precision
from tilestyle.config.render import RenderConfig
from tilestyle.devices.timer import synchronized_time
from tilestyle.losses.level import LevelObjective
from tilestyle.losses.objective import LossTerms
from tilestyle.networks.base import FeatureNetwork
from tilestyle.networks.registry import RANDOM, load_network
from tilestyle.optim.loop import optimize, sweep_patches
from tilestyle.planning import resolve
from tilestyle.planning.job import Job
from tilestyle.planning.memory_budget import MemoryBudget
from tilestyle.planning.schedule import Level

VGG19, COMPACT, WAVELET = NetworkName.VGG19, NetworkName.COMPACT, NetworkName.WAVELET
# A canvas of this side is a whole number of such patches with their laps, kept content's grid included.
FITTING = {256: 3968, 512: 4032, 1024: 4064, 2048: 4064}
DEVICE, HOST = "device", "host"  # where canvases may live


@dataclass(frozen=True)
class Sized:
    """A job of one level to make."""

    height: int
    width: int
    network: NetworkName = VGG19
    precision: Precision | None = None  # None: that of the place
    sweeps: int = 4
    home: str | None = DEVICE  # of canvases; None: where the arithmetic puts them
    patch: int | None = None
    settings: dict[str, Any] = field(default_factory=dict)

    def job(self, place: Place) -> Job:
        """Make it."""
        weights = RANDOM if self.network is VGG19 else None
        scene = Workload(self.network, weights, self.precision or place.precision, str(place.device))
        # One weight of the content, which no sweep stops to adjust.
        settings = {"content_weight": 0.015, "patch": self.patch, **self.settings}
        with at_home(place, self.home), loading_once():
            return scene.job(self.height, self.width, self.sweeps, **settings)


@contextmanager
def at_home(place: Place, home: str | None) -> Iterator[None]:
    """Inside the block, canvases are allocated on the device or on the host, as named."""
    if home is None:
        yield
        return
    where = place.device if home == DEVICE else torch.device("cpu")
    with mock.patch.object(MemoryBudget, "choose_canvas_device", lambda *facts: where):
        yield


@cache
def _loaded(network: NetworkName, weights: str | None, pooling: str | None) -> FeatureNetwork:
    return load_network(RenderConfig(network=network, weights=weights, pooling=pooling))  # type: ignore[arg-type]


@contextmanager
def loading_once() -> Iterator[None]:
    """Inside the block, a network that was loaded before is used again."""

    def load(config: RenderConfig) -> FeatureNetwork:
        weights = None if config.weights is None else str(config.weights)
        return _loaded(config.network, weights, config.pooling)

    with mock.patch.object(resolve, "load_network", load):
        yield


@dataclass
class Swept:
    """The sweeps of a job that was run: when each ended, and when the host began to wait for it."""

    job: Job
    ends: list[float]
    waits: list[float]  # when the host began to wait
    terms: list[LossTerms]
    canvas: Canvas

    @property
    def times(self) -> list[float]:
        """Seconds of the sweeps."""
        return [end - start for start, end in pairwise(self.ends)]

    @property
    def seconds(self) -> float:
        """Median seconds of a sweep after the first, which also pays for what libraries do once."""
        return median(self.times[1:] or self.times)

    @property
    def megapixels(self) -> float:
        """Of the canvas."""
        return self.job.levels[-1].extent.area / 1e6

    @property
    def facts(self) -> Row:
        """All of it as a row."""
        patches = len(sweep_patches(self.job, self.job.levels[-1], 1))
        extent = self.job.levels[-1].extent
        row: Row = {
            "canvas": [extent.height, extent.width],
            "patch": self.job.patch_side,
            "patches": patches,
            "home": self.job.canvas_device.type,
            "content kept": self.job.content_kept,
            "first sweep, s": self.times[0],
            "sweep, s": self.seconds,
            "MP/s": self.megapixels / self.seconds,
            "ms a patch": 1e3 * self.seconds / patches,
        }
        work = [wait - end for end, wait in zip(self.ends, self.waits, strict=False)]
        if len(work) == len(self.times):  # near 1, the device waits for the host
            row["host at work before it waits, share"] = sum(work[1:] or work) / sum(
                self.times[1:] or self.times
            )
        return row


def swept(job: Job) -> Swept:
    """Run a job and time its sweeps."""
    ends, waits, terms = [synchronized_time(job.network.device)], [], []
    original = LevelObjective.end_sweep

    def end_sweep(self: LevelObjective, *arguments: Any, **named: Any) -> LossTerms:
        waits.append(time.perf_counter())
        return original(self, *arguments, **named)

    def observe(level: Level, sweep: int, sweep_terms: LossTerms, canvas: Canvas) -> None:
        terms.append(sweep_terms)
        ends.append(synchronized_time(job.network.device))

    with mock.patch.object(LevelObjective, "end_sweep", end_sweep):
        canvas, _ = optimize(job, lambda level: None, observe, lambda: False)
    return Swept(job, ends, waits, terms, canvas)


@contextmanager
def exact() -> Iterator[None]:
    """Float32 as it is: no TF32 in products or convolutions, by the switches of this process."""
    precision, tf32 = torch.get_float32_matmul_precision(), torch.backends.cudnn.allow_tf32
    with ExitStack() as stack:
        stack.callback(torch.set_float32_matmul_precision, precision)
        stack.callback(setattr, torch.backends.cudnn, "allow_tf32", tf32)
        torch.set_float32_matmul_precision("highest")
        torch.backends.cudnn.allow_tf32 = False
        yield


def waves(height: int, width: int, seed: int = 0) -> NDArray[np.float32]:
    """A smooth colorful picture [height, width, 3], different for every seed."""
    random = np.random.default_rng(seed)
    y, x = np.mgrid[:height, :width].astype(float)
    picture = np.full((height, width, 3), 0.5)
    for channel in range(3):
        for _ in range(6):
            frequency = random.uniform(-0.4, 0.4, 2)
            wave = np.sin(frequency[0] * y + frequency[1] * x + random.uniform(0, 6))
            picture[:, :, channel] += 0.1 * wave
    return (picture + random.normal(0, 0.02, picture.shape)).clip(0, 1).astype(np.float32)
