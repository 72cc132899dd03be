"""Time the parts of a sweep outside the network, each by itself on one patch."""

from __future__ import annotations

from collections.abc import Callable
from statistics import median
from typing import Any

import torch
from torch import Tensor

from tilestyle.benchmark.timing import time_call
from tilestyle.canvas.canvas import Canvas
from tilestyle.geometry.boxes import Patch
from tilestyle.losses.content import ContentTarget
from tilestyle.losses.level import measurement_interval
from tilestyle.losses.planes import level_planes
from tilestyle.losses.style_statistics import style_moments
from tilestyle.losses.style_targets import TargetDistances, make_target
from tilestyle.optim.adam import Adam
from tilestyle.planning.job import Job
from tilestyle.planning.schedule import CYCLED_PLACES, GRID_PERIOD
from tilestyle.stats.moments import MomentSum

REPEATS = 3


def time_parts(job: Job, canvas: Canvas, patches: list[Patch]) -> dict[str, float]:
    """Time the parts of a sweep.

    Args:
        job: The job of the sweep.
        canvas: Its canvas, at the last level.
        patches: The patches of the sweep.

    Returns:
        Seconds per sweep of each part; those of parts that run for every patch are multiplied by the patches.
    """
    network, level, patch = job.network, job.levels[-1], patches[0]
    window = canvas.read(patch.read, patch.scale)

    def network_input() -> Tensor:
        return window[None].to(network.device, network.dtype)

    features = network.features(network_input(), job.weights.style_layers)
    layer_moments = style_moments(job, level)[0]
    targets = {layer: make_target(moments, job.config) for layer, moments in layer_moments.items()}
    distances = TargetDistances(targets)
    applied = {
        layer: cotangent.to(network.device, network.dtype).affine(network.dtype)
        for layer, cotangent in distances.cotangents(layer_moments).items()
    }
    plane = level_planes(job, level).content
    gradient = torch.zeros(3, patch.read.height, patch.read.width, device=canvas.pixels.device)
    field = max(network.layers[layer].receptive_field for layer in job.scale_groups(level)[1].values())
    every = measurement_interval(job.patch_side, field, late=False)
    measuring = f"measuring, one sweep in {every}, without its halo"
    content = None if plane is None else ContentTarget(plane, network, job.weights.content_layers, patch.scale)

    def step() -> None:
        for views, row, column in canvas.views(patch.read):
            height, width = views["pixels"].shape[1:]
            Adam().update(views, gradient[:, row : row + height, column : column + width], 0.0)

    def add_moments() -> None:
        for cells in features.values():
            MomentSum().add(cells)

    def forward() -> None:
        with torch.no_grad():
            network.features(network_input(), job.weights.style_layers)

    per_patch: dict[str, Callable[[], Any]] = {
        "canvas read": lambda: canvas.read(patch.read, patch.scale).clone().to(network.device, network.dtype),
        "content features": lambda: content.features(patch) if content else None,
        "moments": add_moments,
        "cotangents": lambda: [applied[layer].at(cells) for layer, cells in features.items()],
        "optimizer": step,
        measuring: forward,
    }
    per_sweep = {"distances": lambda: distances.cotangents(layer_moments)}
    runs = dict.fromkeys(per_patch, float(len(patches)))
    runs[measuring] /= every
    runs["content features"] /= (
        GRID_PERIOD
        if job.grid_stride(level) > 1
        else GRID_PERIOD / CYCLED_PLACES
        if job.cycles_places(level)
        else 1
    )
    seconds = {name: runs[name] * _median_seconds(run, job) for name, run in per_patch.items()}
    return seconds | {name: _median_seconds(run, job) for name, run in per_sweep.items()}


def _median_seconds(run: Callable[[], Any], job: Job) -> float:
    """The median time of a function in seconds, after one run that is not counted."""
    run()
    return median(time_call(run, job.network.device) for _ in range(REPEATS))
