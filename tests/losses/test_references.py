"""What holds memory of a device is freed when nobody needs it, not when garbage is collected."""

from __future__ import annotations

import gc
import weakref
from collections.abc import Iterator
from typing import Any
from unittest import mock

import pytest
import torch

from tests.conftest import FEW, job, waves
from tests.networks.test_fused_vgg import LAYERS, by_torch, network, shaped
from tilestyle import NetworkName, Pooling
from tilestyle.losses.level import LevelObjective
from tilestyle.losses.planes import level_planes
from tilestyle.losses.style_targets import TargetDistances
from tilestyle.networks.captured_passes import CapturedPass
from tilestyle.optim.initial import initial_canvas
from tilestyle.optim.loop import sweep_patches
from tilestyle.stats.distances import WassersteinTarget
from tilestyle.stats.moments import MomentSum

CONTENT = waves(60, 80)
SMALL: dict[str, Any] = {"size": 80, "coarsest": 80, "patch": 64, "sweeps": 2, **FEW}


@pytest.fixture(autouse=True)
def _no_collection() -> Iterator[None]:
    gc.collect()
    gc.disable()
    yield
    gc.enable()


@pytest.mark.parametrize(
    "settings",
    [
        {},
        {"locality": 0.5},
        {"style_loss": "gram"},
        {"keep_content": True},
        {"palette_weight": 1.0},
        {"style_layers": {"first_1": 1, "first_4": 1}},
        {"style_layers": {"first_1": 1, "first_2": 1}, "arrangement_weight": 0.5},
    ],
    ids=str,
)
def test_an_objective_is_freed_with_its_last_reference(settings: dict[str, Any]) -> None:
    task = job(CONTENT, **{**SMALL, **settings})
    level = task.levels[-1]
    planes = level_planes(task, level)
    canvas = initial_canvas(task, level, planes.regions)
    objective, patches = LevelObjective(task, level, planes), sweep_patches(task, level, 0)
    objective.begin_sweep(canvas, patches, 0)
    for _ in objective.gradients(canvas, patches):
        pass
    objective.end_sweep(patches, 0)
    parts = [objective.scale_objective(1), *objective._objectives]
    dead = [weakref.ref(each) for each in (objective, *parts, *(each._style for each in objective._objectives))]
    del objective, parts
    assert [each() for each in dead] == [None] * len(dead)


def test_captured_passes_are_freed_with_their_network() -> None:
    vgg = by_torch(network(NetworkName.COMPACT, Pooling.AVERAGE))
    used = vgg._up_to(LAYERS)
    made: list[Any] = []

    def capture(network: Any, pixels: Any, layers: Any) -> CapturedPass:
        captured = CapturedPass(network, pixels, {}, [], mock.Mock())
        made.append(weakref.ref(captured))
        return captured

    with mock.patch.object(CapturedPass, "capture", side_effect=capture):
        for _ in range(4):
            vgg.graphs.find(used, shaped(8), tuple(LAYERS))
    assert made[0]() is not None
    del vgg, used
    assert made[0]() is None


def test_distances_are_freed_with_their_last_reference() -> None:
    total = MomentSum()
    total.add(torch.randn(1, 4, 9, 9))
    moments = {"layer": total.moments()}
    distances = TargetDistances({"layer": WassersteinTarget(moments["layer"])})
    distances.gradients(moments)
    dead = [weakref.ref(each) for each in (distances, distances._launched, distances._launched._function)]
    del distances
    assert [each() for each in dead] == [None] * len(dead)
