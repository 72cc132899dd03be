"""What the patches of a sweep cost a device: kernels, waiting, and bytes that travel."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from unittest import mock

import torch
from safetensors.torch import save_file

from tests.conftest import waves
from tests.support.fake_device import DEVICE, DeviceTensor, FakeDevice
from tilestyle import NetworkName, Precision, RenderConfig
from tilestyle.devices import staging
from tilestyle.distributed import SINGLE
from tilestyle.geometry.boxes import Patch
from tilestyle.losses.level import LevelObjective
from tilestyle.losses.planes import level_planes
from tilestyle.networks.random_vgg import WIDTHS
from tilestyle.networks.vgg import convolution_keys
from tilestyle.optim.initial import initial_canvas
from tilestyle.optim.loop import sweep_patches
from tilestyle.optim.state import RenderState
from tilestyle.optim.update import CanvasUpdater
from tilestyle.pipeline.prepare import prepare
from tilestyle.planning import memory_budget as budgets
from tilestyle.planning.job import Job
from tilestyle.planning.memory_budget import MemoryBudget
from tilestyle.planning.schedule import step_size

NARROW = 32  # times fewer channels than VGG-19 has: as many kernels, of less work


@dataclass(frozen=True)
class Cost:
    """Of the patches of one sweep, with what is left for its end, but without the next sweep's cotangents."""

    patches: list[Patch]
    launches: Counter[str]
    stalls: Counter[str]
    sent: int  # bytes from the host
    received: int  # and to it

    @property
    def launches_per_patch(self) -> float:
        """Launches a patch."""
        return self.launches.total() / len(self.patches)


@contextmanager
def on_device(home: str) -> Iterator[FakeDevice]:
    """Renders compute on the device, with the canvas at `home`."""
    place = DEVICE if home == "device" else torch.device("cpu")
    with (
        FakeDevice() as device,
        mock.patch("tilestyle.planning.resolve.find_device", lambda name: DEVICE),
        mock.patch.object(MemoryBudget, "choose_canvas_device", lambda *facts: place),
        mock.patch.dict(budgets.PATCH_SIDES, {DEVICE.type: budgets.PATCH_SIDES["cpu"]}),
        mock.patch.object(staging, "STAGED_DEVICE_TYPES", {DEVICE.type}),
    ):
        try:
            yield device
        finally:
            staging.drop_staging_buffers()


@contextmanager
def with_float64() -> Iterator[None]:
    """The device has float64, and distances are computed on it."""

    def place(device: torch.device) -> torch.device:
        return device

    with (
        mock.patch.object(DeviceTensor, "has_float64", True),
        mock.patch("tilestyle.stats.moments.float64_device", place),
        mock.patch("tilestyle.losses.running_moments.float64_device", place),
        mock.patch("tilestyle.losses.style_local.float64_device", place),
        mock.patch("tilestyle.losses.patch_distances.float64_device", place),
        mock.patch("tilestyle.losses.style_targets.float64_device", place),
    ):
        yield


def random_vgg(folder: Path) -> Path:
    """A file of VGG-19's layers with random weights, and few channels."""
    random, tensors, in_channels = torch.Generator().manual_seed(0), {}, 3
    for layer, key in convolution_keys(NetworkName.VGG19).items():
        count = WIDTHS[NetworkName.VGG19][int(layer[4]) - 1] // NARROW
        gain = (2 / (9 * in_channels)) ** 0.5
        tensors[f"{key}.weight"] = gain * torch.randn(count, in_channels, 3, 3, generator=random)
        tensors[f"{key}.bias"], in_channels = torch.zeros(count), count
    save_file(tensors, folder / "narrow.safetensors")
    return folder / "narrow.safetensors"


def cost(home: str, height: int, width: int, *, counted: int = 1, **settings: Any) -> Cost:
    """What a sweep of a canvas at `home` costs, usually the second: the first does some things once."""
    usual = {"sweeps": 4, "margin": 8, "patch": 128, "precision": Precision.FP32}
    config = RenderConfig(size=(width, height), coarsest=max(height, width), **{**usual, **settings})
    with on_device(home) as device:
        return sweep_cost(prepare(waves(30, 32, 1), config, waves(height, width)), device, counted)


def sweep_cost(job: Job, device: FakeDevice, counted: int) -> Cost:
    """A sweep of a job's last level, after those before it."""
    level = job.levels[-1]
    planes = level_planes(job, level)
    canvas = initial_canvas(job, level, planes.regions)
    objective, state = LevelObjective(job, level, planes), RenderState()
    state.begin_level(level.index, canvas)
    for sweep in range(counted + 1):
        state.patches = sweep_patches(job, level, sweep)
        objective.begin_sweep(canvas, state.patches, sweep)
        updater = CanvasUpdater(job, canvas, step_size(job.config, level, sweep), state, planes.regions)
        state.shard(SINGLE)
        device.reset()
        for patch, gradient in objective.gradients(
            canvas, updater.reserve(state.remaining), sweep, updater.device_update
        ):
            updater.apply(patch, gradient)
        state.merge_shards(SINGLE)
        updater.end_sweep()
        result = Cost(
            state.patches, Counter(device.launches), Counter(device.stalls), device.sent, device.received
        )
        objective.end_sweep(state.patches, sweep)
        state.end_sweep()
    return result
