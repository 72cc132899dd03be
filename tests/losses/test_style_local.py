"""Patches held to the style at their own place."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from tests.conftest import waves
from tilestyle import RenderConfig, render, texture
from tilestyle.canvas.canvas import Canvas
from tilestyle.canvas.margin import with_margin
from tilestyle.config.enums import NetworkName, Optimizer, Precision, StyleLoss
from tilestyle.errors import SettingError
from tilestyle.geometry.boxes import Box, Patch
from tilestyle.geometry.rng import SweepRng
from tilestyle.geometry.sampling import grid_patches
from tilestyle.losses import patch_distances
from tilestyle.losses.objective import Objective
from tilestyle.losses.patch_distances import _Launch
from tilestyle.losses.planes import region_weights
from tilestyle.losses.scale_objective import ScaleObjective, ScaleSpec
from tilestyle.losses.style_statistics import style_moments, style_windows
from tilestyle.optim.initial import initial_canvas
from tilestyle.pipeline.prepare import prepare
from tilestyle.planning.job import Job, LevelTargets
from tilestyle.reference.autograd_distances import gram_distance, wasserstein_distance
from tilestyle.stats.distances import WassersteinTarget
from tilestyle.stats.moments import Moments, mix_moments

QUICK: dict[str, Any] = {
    "network": NetworkName.WAVELET,
    "sweeps": 3,
    "coarsest": 64,
    "precision": Precision.FP32,
    "locality_window": 0.3,
}
LAYERS = {"color_1": 1.0, "first_1": 2.0, "second_1": 1.0}


def halves(height: int = 96, width: int = 128) -> Tensor:
    """A picture that is dark on the left and light on the right."""
    dark, light = 0.3 * waves(height, width // 2, 1), 0.7 + 0.3 * waves(height, width // 2, 2)
    return torch.cat([dark, light], 2)


def local_job(style: Any, content: Tensor | None = None, **settings: Any) -> Job:
    return prepare(style, RenderConfig(**{**QUICK, "locality": 1.0, **settings}), content)


def objective_of(task: Job) -> Objective:
    level = task.levels[-1]
    return ScaleObjective(
        task, level, LevelTargets(style_moments(task, level), None), ScaleSpec(task.weights.layer_names)
    ).objective


def patches_of(task: Job, sweep: int = 0) -> list[Patch]:
    level = task.levels[-1]
    return grid_patches(level.extent, task.patch_side_at(level), task.unit, SweepRng(0, 0, sweep))


def test_everything_stays_where_it_is_in_the_style() -> None:
    fast = {**QUICK, "sweeps": 10, "learning_rate": 0.2, "margin": 8}
    fast |= {"style_layers": {"color_1": 1.0, "first_2": 1.0}, "arrangement_weight": 0}
    pixels = texture(halves(), RenderConfig(size=(128, 96), locality=1, **fast)).pixels
    assert float(pixels[:, 96:].mean()) - float(pixels[:, :32].mean()) > 0.2
    apart = texture(halves(), RenderConfig(size=(128, 96), **fast)).pixels
    assert abs(float(apart[:, 96:].mean()) - float(apart[:, :32].mean())) < 0.1


@pytest.mark.parametrize("share", [0.4, 1.0])
@pytest.mark.parametrize("loss", [StyleLoss.W2, StyleLoss.GRAM])
def test_the_gradient_is_autograds_in_float64(loss: StyleLoss, share: float) -> None:
    task = local_job(
        [halves(), waves(64, 80, 4)],
        size=(128, 96),
        locality=share,
        locality_window=0.4,
        margin=8,
        palette_weight=0,
        style_loss=loss,
        style_layers=LAYERS,
    )
    task = replace(task, network=task.network.to(torch.device("cpu"), torch.float64))
    level = task.levels[-1]
    windows, objective = style_windows(task, level), objective_of(task)
    (goal,) = style_moments(task, level)
    pixels = with_margin(waves(96, 128, 5), level.extent).double().requires_grad_()
    canvas = Canvas(level.extent, pixels.detach())
    canvas.pixels = pixels.detach()  # as float64
    patches = patches_of(task)
    assert len(patches) > 3
    parts: list[dict[str, Moments]] = []
    for patch in patches:
        seen = rolled(pixels, patch.read)
        features = task.network.features(seen[None], LAYERS)
        flat = {layer: cells[0].flatten(1) for layer, cells in features.items()}
        parts.append({k: Moments(f.shape[1], f.mean(1), f @ f.mT / f.shape[1]) for k, f in flat.items()})
    distance = wasserstein_distance if loss is StyleLoss.W2 else gram_distance
    total = torch.zeros((), dtype=torch.float64)
    for layer, weight in task.weights.style_layers.items():
        whole = mix_moments([part[layer] for part in parts], [float(patch.owned.area) for patch in patches])
        aim = goal[layer].double()
        for patch, part in zip(patches, parts, strict=True):
            wanted = mix_moments([aim, windows.moments(patch)[layer].double()], [1 - share, share])
            found = mix_moments([whole, part[layer]], [1 - share, share])
            energies = [
                m.second.square().sum() if loss is StyleLoss.GRAM else m.second.trace() for m in (wanted, aim)
            ]
            value = distance(found, wanted) * energies[0] / energies[1]
            total = total + weight * value * patch.owned.area / level.extent.area
    (expected,) = torch.autograd.grad(total * level.extent.area, pixels)
    for _ in range(2):  # the second time, the first has seen the canvas as it is
        for patch in patches:
            objective.gradient(canvas.read(patch.read), patch)
        terms = objective.end_sweep()
    for patch in patches:
        found_there = objective.gradient(canvas.read(patch.read), patch).double()
        there = rolled(expected, patch.read)
        torch.testing.assert_close(found_there, there, rtol=1e-3, atol=1e-4 * float(expected.abs().max()))
    assert terms.style == pytest.approx(total.item(), rel=1e-4)


def test_distances_of_layers_are_launched_side_by_side_the_largest_first(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    torch.manual_seed(0)
    channels, sizes = {"few": 3, "many": 8, "some": 5}, list[int]()
    parts = [{layer: moments_of(count) for layer, count in channels.items()} for _ in range(4)]
    style, *others = parts
    launch = _Launch(style, dict.fromkeys(channels, 2.0), {}, 0.3)
    inputs = [x for layer in channels for part in others for x in (part[layer].mean, part[layer].second)]

    def run(
        functions: Sequence[Callable[[], Sequence[Tensor]]], device: torch.device
    ) -> list[Sequence[Tensor]]:
        results = [function() for function in functions]
        sizes.extend(len(offset) for _, _, offset in results)
        return results

    monkeypatch.setattr(patch_distances, "run_in_branches", run)
    numbers, *gradients = launch(*inputs)
    assert sizes == [8, 5, 3]
    for index, layer in enumerate(channels):
        patch, canvas, window = (part[layer].double() for part in others)
        aim = mix_moments([style[layer].double(), window], [0.7, 0.3])
        expected = WassersteinTarget(aim).cotangent(mix_moments([canvas, patch], [0.7, 0.3]))
        scaled = expected.scaled(float(aim.second.trace()) / 2.0)
        assert float(numbers[index, 0]) == pytest.approx(scaled.value, rel=1e-5)
        torch.testing.assert_close(gradients[2 * index], scaled.matrix, rtol=1e-4, atol=1e-5)
        torch.testing.assert_close(gradients[2 * index + 1], scaled.offset, rtol=1e-4, atol=1e-5)


def moments_of(channels: int) -> Moments:
    """Of random cells."""
    cells = torch.rand(100, channels) @ torch.rand(channels, channels)
    return Moments(100, cells.mean(0), cells.mT @ cells / 100)


def rolled(plane: Tensor, box: Box) -> Tensor:
    """What a box shows of a torus, differentiable."""
    moved = plane.roll((-box.top, -box.left), (1, 2))
    return moved[:, : box.height, : box.width]


def test_a_window_is_the_proportional_part_of_the_style() -> None:
    task = local_job(halves(300, 600), size=(600, 300), coarsest=600, margin=0, style_layers={"color_1": 1.0})
    level = task.levels[-1]
    windows = style_windows(task, level)
    (exhibit,) = windows.styles[0][1]
    unit = exhibit.unit
    part = Box(96, 192, 96, 192)
    window, halo = windows._style_window(part, exhibit)
    assert halo == 0
    assert abs(window.top - 96) <= unit
    assert abs(window.left - 192) <= unit
    assert (window.height, window.width) == (96, 192)
    for corner in (Box(0, 0, 96, 96), Box(204, 504, 96, 96)):
        window, _ = windows._style_window(corner, exhibit)
        assert window.top >= 0
        assert window.top + window.height <= exhibit.padded_height
        assert window.left + window.width <= exhibit.padded_width


def test_on_a_larger_canvas_a_window_is_as_large_a_part() -> None:
    task = local_job(halves(200, 400), size=(1600, 800), coarsest=1600)
    level = task.levels[-1]
    windows = style_windows(task, level)
    (exhibit,) = windows.styles[0][1]
    window, halo = windows._style_window(Box(400, 800, 384, 384), exhibit)
    assert (window.height, window.width) == (96, 96)
    assert abs(window.top + 48 - (400 + 192) / 4) <= 1
    assert halo == 64


def test_a_patch_round_the_torus_has_a_window_on_either_side() -> None:
    task = local_job(halves(), size=(128, 96), coarsest=128)
    level = task.levels[-1]
    extent, windows = level.extent, style_windows(task, level)
    across = Box(40, extent.width - 80, 64, 160)
    parts = windows._picture_parts(across)
    assert {part.left > 0 for part in parts} == {True, False}
    mean = windows.moments(Patch(across, across, 1))["color_1"].mean
    ends = [
        windows.moments(Patch(box, box, 1))["color_1"].mean
        for box in (Box(40, 32, 64, 64), Box(40, extent.width - 96, 64, 64))
    ]
    assert (mean - ends[0]).norm() < (ends[1] - ends[0]).norm()
    assert (mean - ends[1]).norm() < (ends[1] - ends[0]).norm()


def test_patches_are_no_larger_than_the_share() -> None:
    task = local_job(halves(300, 600), size=(600, 300), patch=512)
    for level in task.levels:
        longest = max(level.extent.picture.height, level.extent.picture.width)
        assert 4 * task.unit <= task.patch_side_at(level) <= max(0.3 * longest + task.unit / 2, 4 * task.unit)
        assert task.scale_groups(level) == {1: task.weights.layer_names}
    assert task.patch_side_at(task.levels[-1]) == 192


@pytest.mark.parametrize("settings", [{}, {"locality": 0.5}, {"sampler": "windows", "scale_odds": (0.7, 0.3)}])
def test_what_was_seen_goes_on_to_the_same_bytes(settings: dict[str, Any]) -> None:
    task = local_job(halves(), size=(128, 96), margin=8, style_layers=LAYERS, **settings)
    objective, level = objective_of(task), task.levels[-1]
    canvas = initial_canvas(task, level, region_weights(task, level))
    patches = patches_of(task)
    for _ in range(2):  # the second time, cotangents have come some way
        for patch in patches:
            objective.gradient(canvas.read(patch.read), patch)
        objective.end_sweep(extrapolation=1.0)
        canvas.pixels.mul_(0.8)
    objective.gradient(canvas.read(patches[0].read), patches[0])
    other = objective_of(task)
    other.load_state_dict(objective.state_dict())
    one, two = (each.gradient(canvas.read(patches[1].read), patches[1]) for each in (objective, other))
    assert torch.equal(one, two)
    for each in (objective, other):
        for patch in patches[2:]:
            each.gradient(canvas.read(patch.read), patch)
    assert objective.end_sweep() == other.end_sweep()


def test_locality_goes_with_content_and_is_a_number_from_0_to_1() -> None:
    content, layers = waves(60, 80), {"color_1": 1.0}
    pixels = [
        render(content, halves(), RenderConfig(size=64, locality=share, style_layers=layers, **QUICK)).pixels
        for share in (0.0, 0.5, 1.0)
    ]
    assert not np.array_equal(pixels[0], pixels[1])
    assert not np.array_equal(pixels[1], pixels[2])
    with pytest.raises(SettingError, match="locality cannot be"):
        RenderConfig(locality=1.5)
    with pytest.raises(SettingError, match="locality-window cannot be"):
        RenderConfig(locality_window=0)
    with pytest.raises(SettingError, match="exact gradients and does not support --locality"):
        RenderConfig(locality=0.5, optimizer=Optimizer.LBFGS)
