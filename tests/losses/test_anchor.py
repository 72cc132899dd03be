"""The anchor term: against autograd, over patches, on every level, stopped and gone on with."""

import itertools
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from tests.conftest import FEW, job, waves
from tilestyle import RenderConfig, render
from tilestyle.canvas import storage
from tilestyle.config.enums import NetworkName, Optimizer, Precision
from tilestyle.errors import SettingError
from tilestyle.geometry.boxes import Box, Patch
from tilestyle.geometry.rng import SweepRng
from tilestyle.geometry.sampling import grid_patches
from tilestyle.losses.anchor import AnchorLoss, box_downsample
from tilestyle.losses.planes import region_weights
from tilestyle.optim import loop
from tilestyle.optim.initial import initial_canvas
from tilestyle.optim.loop import optimize
from tilestyle.pipeline.events import Event, SweepDone
from tilestyle.pipeline.workdir import Work
from tilestyle.planning.memory_budget import MemoryBudget
from tilestyle.reference.renderer import render_untiled
from tilestyle.reference.untiled_losses import anchor_loss

CONTENT, STYLE = waves(60, 80), waves(70, 90, 1)
LAYERS: dict[str, Any] = {
    "network": NetworkName.WAVELET,
    "style_layers": {"color_2": 1, "first_3": 1},
    "content_layers": {"contour_2": 1},
}
SMALL: dict[str, Any] = {"size": 80, "sweeps": 4, "margin": 8, "coarsest": 56, "patch": 48}
SMALL |= {"level_ratio": 1.5, "palette_weight": 0, **LAYERS}
TRUST = np.repeat(np.array([0, 1], np.float32), 30 * 80).reshape(60, 80)
ANCHORS: dict[str, dict[str, Any]] = {
    "same size": {"anchor": waves(60, 80, 5)},
    "trusted": {"anchor": waves(60, 80, 5), "trust": TRUST},
    "lower": {"anchor": waves(15, 20, 5)},
    "lower, trusted": {"anchor": waves(15, 20, 5), "trust": TRUST[::4, ::4]},
}


@pytest.mark.parametrize("name", ANCHORS)
@pytest.mark.parametrize("level", [0, 1])
def test_the_gradient_over_patches_is_autograds(name: str, level: int) -> None:
    task = job(CONTENT, **SMALL, **ANCHORS[name], anchor_weight=3.0)
    assert len(task.levels) == 2 and task.anchor is not None
    at = task.levels[level]
    canvas = initial_canvas(task, at, region_weights(task, at))
    pixels = canvas.pixels.requires_grad_()
    (expected,) = torch.autograd.grad(3.0 * anchor_loss(task, at, canvas) * at.extent.area, pixels)
    canvas.pixels = pixels.detach()
    anchored = AnchorLoss(task, at, task.anchor)
    anchored.begin_sweep(canvas)
    found = torch.zeros_like(expected)
    patches = grid_patches(at.extent, 48, 4, SweepRng(3, 0, 0))
    assert len(patches) > 1
    for patch in patches:
        part = anchored.gradient(canvas, patch.read)
        rows = torch.arange(patch.read.top, patch.read.top + patch.read.height) % at.extent.height
        columns = torch.arange(patch.read.left, patch.read.left + patch.read.width) % at.extent.width
        found[:, rows[:, None], columns] = part
        canvas.pixels[:, rows[:, None], columns] += 0.5  # a step: what others are told does not change
    torch.testing.assert_close(found, expected, atol=1e-6, rtol=1e-5)
    assert found.abs().max() > 0.01
    canvas = initial_canvas(task, at, region_weights(task, at))
    difference = anchored.downsampled_rows(canvas, slice(0, anchored.target.shape[1])) - anchored.target
    squared = difference.square() * (1.0 if anchored.trust is None else anchored.trust)
    expected_loss = squared.mean(0).sum() * anchored.factor**2 / at.extent.area
    assert anchored.end_sweep() == pytest.approx(float(expected_loss))


@pytest.mark.parametrize("name", ANCHORS)
def test_one_canvas_sized_patch_is_the_reference(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    def whole(task: Any, level: Any, sweep: int) -> list[Patch]:
        box = Box(0, 0, level.extent.height, level.extent.width)
        return [Patch(box, box, 1)]

    monkeypatch.setattr(loop, "sweep_patches", whole)
    task = job(CONTENT, **{**SMALL, "patch": 128}, **ANCHORS[name])
    tiled, _ = optimize(task, lambda level: None, lambda *event: None, lambda: False)
    difference = (tiled.pixels - render_untiled(task).pixels).abs()
    assert difference.mean() < 1e-4
    assert difference.quantile(0.99) < 1e-3


CASES: list[tuple[str, dict[str, Any]]] = [
    *((name, {}) for name in ANCHORS),
    ("trusted", {"overlap": 16}),
    ("lower, trusted", {"overlap": 16}),
    ("lower, trusted", {"scale_odds": (0.5, 0.5)}),
    ("lower, trusted", {"sampler": "windows"}),
]


@pytest.mark.parametrize(("name", "settings"), CASES)
def test_the_picture_comes_near_to_its_anchor_where_it_is_trusted(name: str, settings: dict[str, Any]) -> None:
    anchor = ANCHORS[name]["anchor"]
    factor = 80 // anchor.shape[2]
    seen: list[float] = []

    def observe(event: Event) -> None:
        if isinstance(event, SweepDone):
            seen.append(event.anchor)

    config = RenderConfig(
        **{**SMALL, "sweeps": 12, "coarsest": 80, "patch": 64, **FEW},
        **settings,
        **ANCHORS[name],
        anchor_weight=300.0,
        learning_rate=0.1,
        precision=Precision.FP32,
    )
    pixels = torch.from_numpy(render(CONTENT, STYLE, config, observer=observe).pixels).permute(2, 0, 1)
    off = (box_downsample(pixels, factor) - anchor).abs().mean(0)
    before = (box_downsample(CONTENT, factor) - anchor).abs().mean(0)
    low, high = (slice(0, 5), slice(-5, None))
    assert off[high].mean() < 0.35 * before[high].mean()
    if config.trust is not None:
        assert off[low].mean() > 0.5 * before[low].mean()
    assert seen[-1] < 0.25 * seen[0]


@pytest.mark.parametrize("mapped", [False, True])
@pytest.mark.parametrize("name", ["trusted", "lower"])
def test_what_was_stopped_goes_on_to_the_same_bytes(
    name: str, mapped: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = RenderConfig(
        **{**SMALL, "sweeps": 2, "patch": 64, **FEW}, **ANCHORS[name], precision=Precision.FP32
    )
    calls, asked = itertools.count(), itertools.count()
    expected = render(CONTENT, STYLE, config, stop=lambda: next(calls) < 0).pixels.tobytes()
    last = next(calls) * 3 // 4  # on the second level
    if mapped:
        monkeypatch.setattr(storage, "MIN_MAPPED_PIXELS", 0)
        monkeypatch.setattr(MemoryBudget, "should_memory_map", lambda *facts: True)
    work = Work(tmp_path / "work", every=0.0)
    stopped = render(CONTENT, STYLE, config, stop=lambda: next(asked) >= last, work=work)
    assert stopped.pixels.tobytes() != expected
    assert np.ascontiguousarray(render(CONTENT, STYLE, config, work=work).pixels).tobytes() == expected
    with pytest.raises(ValueError, match="anchor"):
        render(CONTENT, STYLE, config, stop=lambda: True, work=Work(tmp_path / "other", every=0.0))
        render(CONTENT, STYLE, replace(config, anchor=waves(60, 80, 9)), work=tmp_path / "other")


def test_anchors_that_cannot_be() -> None:
    with pytest.raises(SettingError, match="80 x 60 pixels is not a whole multiple of its anchor, 33 x 25"):
        job(CONTENT, **SMALL, anchor=waves(25, 33))
    with pytest.raises(SettingError, match="trust"):
        RenderConfig(trust=TRUST)
    with pytest.raises(SettingError, match="same size as the anchor"):
        job(CONTENT, **SMALL, anchor=CONTENT, trust=TRUST[:30])
    with pytest.raises(SettingError, match="L-BFGS needs exact gradients and does not support --anchor"):
        RenderConfig(anchor=CONTENT, optimizer=Optimizer.LBFGS)
