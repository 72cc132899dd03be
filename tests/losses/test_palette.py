"""The palette term: against sorting and autograd, over patches, in regions, and what it does to a picture."""

from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from tests.conftest import FEW, job, waves
from tilestyle import RenderConfig, Style
from tilestyle.config.enums import Color, Init, Normalize, Optimizer, Precision
from tilestyle.errors import SettingError
from tilestyle.geometry.boxes import Box, Patch
from tilestyle.losses.objective import Objective
from tilestyle.losses.planes import region_weights
from tilestyle.losses.scale_objective import ScaleObjective, ScaleSpec
from tilestyle.losses.style_statistics import style_histograms, style_moments
from tilestyle.optim import loop
from tilestyle.optim.initial import initial_canvas
from tilestyle.optim.loop import optimize
from tilestyle.pipeline.api import render
from tilestyle.pipeline.prepare import prepare
from tilestyle.planning.job import Job, LevelTargets
from tilestyle.planning.loss_weights import loss_weights
from tilestyle.planning.schedule import Level
from tilestyle.reference.renderer import render_untiled
from tilestyle.reference.untiled_losses import palette_loss
from tilestyle.stats.sliced_wasserstein import (
    BINS,
    color_axes,
    count_histograms,
    mean_square_color,
    normalized_histogram,
    sliced_transport,
    transport_gradient,
)

CONTENT = waves(60, 80)
SMALL: dict[str, Any] = {"size": 80, "sweeps": 4, "margin": 8, "coarsest": 64, "palette_weight": 2.0, **FEW}
BARE: dict[str, Any] = {**SMALL, "style_weight": 0.0, "content_weight": 0.0}
INKS = torch.tensor([[0.95, 0.9, 0.8], [0.1, 0.1, 0.2], [0.8, 0.2, 0.1]])


def inks(height: int, width: int) -> Tensor:
    """Upright stripes of ink, paper and red, [3, height, width]."""
    return INKS[torch.arange(width) // 4 % 3].mT[:, None].expand(3, height, width).contiguous()


def objective_of(task: Job, level: Level) -> Objective:
    goal = LevelTargets(style_moments(task, level), None, region_weights(task, level))
    return ScaleObjective(task, level, goal, ScaleSpec(task.weights.layer_names)).objective


def quarters(level: Level) -> list[Patch]:
    """Four patches that cover a canvas, cut at a multiple of the coarsest cells."""
    height, width = level.extent.height, level.extent.width
    down, across = (height // 8 * 4, width // 8 * 4)
    rows, columns = ((0, down), (down, height - down)), ((0, across), (across, width - across))
    boxes = [Box(top, left, tall, wide) for top, tall in rows for left, wide in columns]
    return [Patch(box, box, 1) for box in boxes]


def sorted_distance(one: Tensor, other: Tensor) -> Tensor:
    """Mean over directions of three times the distance of the sorted, of as many colors [3, N] each."""
    places = [(color_axes().vectors @ cells).sort(1).values for cells in (one, other)]
    return 3 * (places[0] - places[1]).square().mean()


def test_directions_are_spread_evenly() -> None:
    vectors = color_axes().vectors
    torch.testing.assert_close(vectors.mT @ vectors, len(vectors) / 3 * torch.eye(3))
    grays = torch.ones(3) / 3**0.5
    assert (vectors @ grays).max() == pytest.approx(1)
    crossed = (vectors @ vectors.mT).abs().fill_diagonal_(0)
    assert crossed.max() < 0.9  # no two are nearly one


def test_counts_add_and_end_in_the_outermost_bins() -> None:
    pixels = waves(12, 20)
    parts = [count_histograms(pixels[:, :5]), count_histograms(pixels[:, 5:])]
    whole = count_histograms(pixels)
    assert whole.dtype is torch.int64
    assert torch.equal(sum(parts, torch.zeros_like(whole)), whole)
    assert torch.equal(count_histograms(pixels, torch.ones(12, 20)), whole)
    left = torch.zeros(12, 20)
    left[:, :7] = 1
    assert torch.equal(count_histograms(pixels, left), count_histograms(pixels[:, :, :7]))
    for extreme in (torch.zeros(3, 1, 1), torch.ones(3, 1, 1)):
        assert (normalized_histogram(count_histograms(extreme)).sum(1) == 1).all()


def test_the_distance_is_that_of_the_sorted_and_its_slope_autograds() -> None:
    one, other = waves(40, 50, 1), 0.5 * waves(40, 50, 2) + 0.3
    pixels = one.clone().requires_grad_()
    expected = sorted_distance(pixels.flatten(1), other.flatten(1))
    (slope,) = torch.autograd.grad(expected * 40 * 50, pixels)
    value, maps = sliced_transport(
        normalized_histogram(count_histograms(one)), normalized_histogram(count_histograms(other))
    )
    assert value == pytest.approx(expected.item(), rel=0.02)
    found = transport_gradient(one, torch.from_numpy(maps).float())
    assert (found - slope).abs().max() < 3 * 2 / BINS  # bins are finite
    assert (found - slope).abs().mean() < 0.02 * slope.abs().mean()


def test_where_the_canvas_has_the_styles_colors_there_is_no_slope() -> None:
    pixels = waves(40, 50)
    shares = normalized_histogram(count_histograms(pixels))
    value, maps = sliced_transport(shares, shares)
    assert value < 1e-5
    assert transport_gradient(pixels, torch.from_numpy(maps).float()).abs().max() < 3 * 2 / BINS


def test_mixtures_go_to_the_nearest_of_three_inks() -> None:
    goal = normalized_histogram(count_histograms(inks(12, 24)))
    pixels = 0.25 + 0.5 * inks(48, 48) + 0.3 * (waves(48, 48) - 0.5)
    for _ in range(60):
        _, maps = sliced_transport(normalized_histogram(count_histograms(pixels)), goal)
        pixels = pixels - 0.2 * transport_gradient(pixels, torch.from_numpy(maps).float())
    off = torch.cdist(pixels.flatten(1).mT, INKS).min(1).values
    assert off.quantile(0.95) < 0.02


@pytest.mark.parametrize("normalize", list(Normalize))
@pytest.mark.parametrize("level", [0, 1])
def test_over_patches_it_is_autograds_through_the_untiled_loss(level: int, normalize: Normalize) -> None:
    task = job(CONTENT, normalize=normalize, **BARE)
    assert len(task.levels) == 2
    at = task.levels[level]
    canvas = initial_canvas(task, at, region_weights(task, at))
    pixels = canvas.pixels.clone().requires_grad_()
    loss = palette_loss(task, at, pixels, canvas.pixels)
    (expected,) = torch.autograd.grad(2.0 * loss * at.extent.area, pixels)
    objective, patches = objective_of(task, at), quarters(at)
    for patch in patches:
        objective.accumulate_moments(canvas.read(patch.read), patch)
    objective.use_exact_moments(calibrate=False)
    found = torch.zeros_like(expected)
    for patch in patches:
        box = patch.owned
        place = found[:, box.top : box.top + box.height, box.left : box.left + box.width]
        place.copy_(objective.gradient(canvas.read(patch.read), patch))
    difference = (found - expected).abs()
    assert difference.quantile(0.99) < 1e-5
    assert difference.max() < 0.02  # where rounding decides between two bins
    assert found.abs().max() > 0.05
    assert objective.end_sweep().palette == pytest.approx(loss.item(), rel=0.05, abs=1e-4)


@pytest.mark.parametrize("settings", [{}, {"color": Color.LUMINANCE}, {"color": Color.CONTENT}])
def test_one_canvas_sized_patch_is_the_reference(
    settings: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    def whole(task: Job, level: Level, sweep: int) -> list[Patch]:
        box = Box(0, 0, level.extent.height, level.extent.width)
        return [Patch(box, box, 1)]

    monkeypatch.setattr(loop, "sweep_patches", whole)
    task = job(CONTENT, **{**SMALL, "patch": 128, "content_weight": 0.1}, **settings)
    tiled, _ = optimize(task, lambda level: None, lambda *event: None, lambda: False)
    difference = (tiled.pixels - render_untiled(task).pixels).abs()
    assert difference.mean() < 1e-4
    assert difference.quantile(0.99) < 1e-3
    without = job(CONTENT, **{**SMALL, "patch": 128, "content_weight": 0.1, "palette_weight": 0}, **settings)
    plain, _ = optimize(without, lambda level: None, lambda *event: None, lambda: False)
    assert (tiled.pixels - plain.pixels).abs().mean() > 1e-3


@pytest.mark.parametrize(
    "settings",
    [
        {"patch": 64},
        {"patch": 64, "overlap": 8},
        {"patch": 64, "sampler": "windows"},
        {"patch": 64, "scale_odds": (0.7, 0.3)},
        {"patch": 64, "precision": Precision.BF16},
        {"patch": 64, "style_layers": {"color_1": 1.0}, "content_layers": {"contour_1": 1.0}},
        {"patch": 192},
    ],
)
def test_every_way_of_covering_comes_nearer(settings: dict[str, Any]) -> None:
    given = {"size": 100, "coarsest": 100, "sweeps": 12, "init": Init.UNIFORM, "learning_rate": 0.15}
    task = job(CONTENT, inks(72, 96), **{**BARE, **given, **settings})
    seen: list[float] = []
    optimize(
        task, lambda level: None, lambda level, sweep, terms, canvas: seen.append(terms.palette), lambda: False
    )
    assert 0 < seen[-1] < 0.5 * seen[0]


def test_patches_have_the_histogram_of_the_canvas() -> None:
    task = job(CONTENT, **BARE)
    level = task.levels[-1]
    canvas = initial_canvas(task, level, region_weights(task, level))
    whole = normalized_histogram(count_histograms(canvas.pixels))
    objective = objective_of(task, level)
    assert objective.palette is not None
    for patch in loop.sweep_patches(task, level, 3):
        objective.accumulate_moments(canvas.read(patch.read), patch)
    np.testing.assert_allclose(
        objective.palette._current_histograms()[0, 1].cumsum(1), whole.cumsum(1), atol=1e-3
    )


def test_every_region_has_the_colors_of_its_style() -> None:
    mask = np.zeros((60, 80, 3), np.uint8)
    mask[:, :40, 0], mask[:, 40:, 2] = 255, 255
    dark, light = 0.3 * waves(70, 90, 1), 0.7 + 0.3 * waves(70, 90, 2)
    config = RenderConfig(**{**BARE, "sweeps": 16}, learning_rate=0.1, mask=mask, patch=64, seed=1)
    pixels = render(CONTENT, [Style(dark, "#ff0000"), Style(light, "#0000ff")], config).pixels
    assert pixels[:, :36].max() < 0.45
    assert pixels[:, 44:].min() > 0.55


def test_a_blend_is_a_mixture() -> None:
    one, other = inks(40, 48), waves(40, 48, 2)
    task = job(CONTENT, [one, other], **SMALL, style_blend=(0.25, 0.75))  # type: ignore[arg-type]
    level = task.levels[-1]
    parts = [style_histograms(job(CONTENT, each, **SMALL), level)[0][2] for each in (one, other)]
    (found,) = style_histograms(task, level)
    np.testing.assert_allclose(found[2], 0.25 * parts[0] + 0.75 * parts[1], atol=1e-9)


def test_a_styles_colors_are_those_of_its_part() -> None:
    style = torch.cat([0.3 * waves(60, 48, 1), 0.7 + 0.3 * waves(60, 48, 2)], 2)
    guide = np.zeros((60, 96, 3), np.uint8)
    guide[:, :48, 0], guide[:, 48:, 2] = 255, 255
    for region, bright in ((guide[:, :48], False), (guide[:, 48:], True)):
        task = prepare([Style(style, guide)], RenderConfig(mask=region, **SMALL), CONTENT)
        (found,) = style_histograms(task, task.levels[-1])
        part = style[:, :, 48:] if bright else style[:, :, :48]
        expected = float(part.square().sum(0).mean())
        assert mean_square_color(found[1]) == pytest.approx(expected, rel=0.2)


def test_what_it_weighs() -> None:
    network = job(CONTENT, **FEW).network

    def weight(with_style: bool = True, **settings: Any) -> float:
        config = RenderConfig(**settings)
        return loss_weights(network, config, with_content=True, with_style=with_style).palette

    usual = weight()
    assert usual > 0
    assert weight(palette_weight=0) == weight(locality=1) == weight(with_style=False) == 0
    assert weight(locality=0.25) == 0.75 * usual
    assert weight(style_weight=2.0) == 2 * usual
    assert weight(optimizer=Optimizer.LBFGS) == weight(normalize=Normalize.ABSOLUTE) == 0
    with pytest.raises(SettingError, match="exact gradients and does not support --palette-weight"):
        RenderConfig(optimizer=Optimizer.LBFGS, palette_weight=1.0)


def test_what_was_seen_is_restored() -> None:
    task = job(CONTENT, **BARE)
    level = task.levels[-1]
    canvas, patches = (
        initial_canvas(task, level, region_weights(task, level)),
        quarters(level),
    )
    one, other = objective_of(task, level), objective_of(task, level)
    for patch in patches:
        one.accumulate_moments(canvas.read(patch.read), patch)
    one.use_exact_moments(calibrate=False)
    one.accumulate_moments(canvas.read(patches[0].read), patches[0])
    other.load_state_dict(one.state_dict())
    for objective in (one, other):
        for patch in patches[1:]:
            objective.gradient(canvas.read(patch.read), patch)
    found = [objective.gradient(canvas.read(patches[0].read), patches[0]) for objective in (one, other)]
    assert torch.equal(found[0], found[1])
    assert one.end_sweep() == other.end_sweep()


def test_energy_is_the_mean_square() -> None:
    pixels = waves(40, 50)
    assert mean_square_color(normalized_histogram(count_histograms(pixels))) == pytest.approx(
        float(pixels.square().sum(0).mean()), rel=0.01
    )
