"""What a sweep spends outside the network, part by part: each part is run by itself, on one patch."""

from __future__ import annotations

from collections.abc import Callable
from statistics import median
from typing import Any

import torch
from torch import Tensor

from tilestyle.benchmark.timing import seconds_of
from tilestyle.canvas.canvas import Canvas
from tilestyle.geometry.boxes import Patch
from tilestyle.losses.content import Content
from tilestyle.losses.level import measured_every
from tilestyle.losses.planes import content_plane
from tilestyle.losses.style_statistics import style_moments
from tilestyle.losses.style_targets import cotangents, target
from tilestyle.optim.adam import Adam
from tilestyle.planning.job import Job
from tilestyle.planning.schedule import PERIOD, PLACES
from tilestyle.stats.moments import MomentSum

REPEATS = 3


def parts(job: Job, canvas: Canvas, patches: list[Patch]) -> dict[str, float]:
    """Seconds a sweep: of parts that every patch pays times the patches, of those that every sweep pays."""
    network, level, patch = job.network, job.levels[-1], patches[0]
    window = canvas.read(patch.read, patch.scale)

    def shown() -> Tensor:
        return window[None].to(network.device, network.dtype)

    features = network.features(shown(), job.weights.style_layers)
    goals = style_moments(job, level)[0]
    targets = {layer: target(moments, job.config) for layer, moments in goals.items()}
    sent = {layer: one.to(network.device, network.dtype) for layer, one in cotangents(targets, goals).items()}
    plane = content_plane(job, level)
    gradient = torch.zeros(3, patch.read.height, patch.read.width, device=canvas.pixels.device)
    field = max(network.layers[layer].receptive_field for layer in job.octaves(level)[1].values())
    every = measured_every(job.side, field, late=False)
    measuring = f"measuring, one sweep in {every}, without its halo"
    content = None if plane is None else Content(plane, network, job.weights.content_layers, patch.scale)

    def step() -> None:
        for views, row, column in canvas.views(patch.read):
            height, width = views["pixels"].shape[1:]
            Adam().update(views, gradient[:, row : row + height, column : column + width], 0.0)

    def count() -> None:
        for cells in features.values():
            MomentSum().add(cells)

    def halo() -> None:
        with torch.no_grad():
            network.features(shown(), job.weights.style_layers)

    each: dict[str, Callable[[], Any]] = {
        "canvas read": lambda: canvas.read(patch.read, patch.scale).clone().to(network.device, network.dtype),
        "content features": lambda: content.features(patch) if content else None,
        "moments": count,
        "cotangents": lambda: [sent[layer].at(cells) for layer, cells in features.items()],
        "optimiser": step,
        measuring: halo,
    }
    whole = {"distances": lambda: cotangents(targets, goals)}
    share = dict.fromkeys(each, float(len(patches)))
    share[measuring] /= every
    share["content features"] /= PERIOD if job.grid(level) > 1 else PERIOD / PLACES if job.returns(level) else 1
    found = {name: share[name] * _typical(run, job) for name, run in each.items()}
    return found | {name: _typical(run, job) for name, run in whole.items()}


def _typical(run: Callable[[], Any], job: Job) -> float:
    """Median seconds, after one run that is not counted."""
    run()
    return median(seconds_of(run, job.network.device) for _ in range(REPEATS))
