"""Autocorrelations: as they are written down, over patches and without, and in pictures."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from tests.conftest import job, waves
from tests.losses.test_exact import SMALL as EXACT
from tests.losses.test_exact import canvas_of
from tests.optim.test_loop import SMALL, assert_is_the_reference, finished, whole_of
from tilestyle import RenderConfig, Style, texture
from tilestyle.config.enums import Normalize, Optimizer, Precision, StyleLoss, Tileable
from tilestyle.config.render import ARRANGEMENT_WEIGHT
from tilestyle.errors import SettingError
from tilestyle.geometry.boxes import Box, Patch
from tilestyle.losses.autocorrelation import StyleLossSum
from tilestyle.losses.exact import ExactObjective
from tilestyle.losses.planes import level_planes, region_weights
from tilestyle.losses.scale_objective import ScaleObjective, ScaleSpec
from tilestyle.losses.style_statistics import style_autocorrelations, style_moments
from tilestyle.pipeline.prepare import prepare
from tilestyle.planning.job import Job, LevelTargets
from tilestyle.reference.autograd_distances import mean_products, stationary_wasserstein
from tilestyle.reference.untiled_losses import (
    autocorrelation_loss,
    canvas_autocorrelations,
    canvas_moments,
    style_loss,
)
from tilestyle.stats.autocorrelation import (
    MAX_LAG,
    Autocorrelation,
    AutocorrelationSum,
    AutocorrelationTarget,
    autocorrelation,
    autocorrelation_gradient,
    pair_counts,
)

CONTENT = waves(60, 80)
CPU = torch.device("cpu")
LAYERS: dict[str, Any] = {
    "network": "wavelet",
    "style_layers": {"color_2": 1.0, "first_2": 1.0},
    "arrangement_weight": 0.7,
}
QUICK: dict[str, Any] = {
    **LAYERS,
    "size": 64,
    "coarsest": 64,
    "margin": 8,
    "sweeps": 2,
    "patch": 64,
    "precision": Precision.FP32,
}


def cells_of(height: int, width: int) -> Tensor:
    random = torch.Generator().manual_seed(height + width)
    return torch.randn(3, height, width, dtype=torch.float64, generator=random)


@pytest.mark.parametrize("size", [(20, 17), (1, 30), (9, 1), (1, 1)])
def test_sums_and_their_gradient_are_those_of_all_pairs(size: tuple[int, int]) -> None:
    cells = cells_of(*size).requires_grad_()
    count = pair_counts(*size, CPU)
    direct = mean_products(cells) * count
    torch.testing.assert_close(autocorrelation(cells.detach()), direct.detach())
    slopes = torch.randn(direct.shape, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    (expected,) = torch.autograd.grad((slopes * direct).sum(), cells)
    torch.testing.assert_close(autocorrelation_gradient(cells.detach(), slopes), expected)


def test_the_distance_and_its_gradient_are_as_written_down() -> None:
    goal, cells = cells_of(30, 20).cumsum(1) / 3, cells_of(18, 25).requires_grad_()
    center = goal.mean((1, 2))
    wanted = Autocorrelation(pair_counts(30, 20, CPU), mean_products(goal - center[:, None, None]))
    centered = cells - center[:, None, None]
    found = mean_products(centered)
    loss = stationary_wasserstein(found, wanted.products)
    (expected,) = torch.autograd.grad(loss * 18 * 25, cells)
    seen = Autocorrelation(pair_counts(18, 25, CPU), found.detach())
    slopes = AutocorrelationTarget(wanted, center, 1e-24).cotangent(seen)
    assert slopes.value == pytest.approx(loss.item(), rel=1e-9)
    assert slopes.value > 0.1
    torch.testing.assert_close(autocorrelation_gradient(centered.detach(), slopes.coefficients), expected)


@pytest.mark.parametrize("fixed", [False, True])
def test_they_add_up_over_patches_and_weights(fixed: bool) -> None:
    cells, center = cells_of(15, 22)[None].float(), torch.tensor([0.1, -0.2, 0.3])
    parts, whole, half = (AutocorrelationSum(center, fixed_point=fixed) for _ in range(3))
    for part in torch.split(cells, 8, 3):
        parts.add(part)
    whole.add(cells, torch.cat([torch.ones(15, 8), torch.zeros(15, 14)], 1))
    for part in torch.split(cells, 8, 3)[1:]:
        whole.add(part, torch.ones(part.shape[2:]))
    half.add(cells[..., :8], torch.full((15, 8), 0.5))
    one, other, faint = (total.mean() for total in (parts, whole, half))
    assert one is not None and other is not None and faint is not None
    torch.testing.assert_close(one.count, other.count)
    torch.testing.assert_close(one.products, other.products, rtol=1e-4, atol=1e-4)
    torch.testing.assert_close(faint.count, pair_counts(15, 8, CPU) / 4)
    assert AutocorrelationSum(center).mean() is None


@pytest.mark.parametrize("loss", [StyleLoss.W2, StyleLoss.GRAM])
def test_one_canvas_sized_patch_is_the_reference_step_for_step(
    loss: StyleLoss, monkeypatch: pytest.MonkeyPatch
) -> None:
    task = job(CONTENT, patch=128, style_loss=loss, content_weight=0.1, **{**SMALL, **LAYERS, "sweeps": 4})
    assert task.weights.arrangement_layers == {"first_2": 1.0}
    assert_is_the_reference(task, monkeypatch)


def test_over_tiles_the_exact_loss_is_that_of_pairs_inside_them() -> None:
    task = job(CONTENT, **{**EXACT, **LAYERS, "patch": 256, "content_weight": 0.0, "tv_weight": 0.0})
    canvas, level = canvas_of(task)
    pixels = canvas.pixels.clone().requires_grad_()
    goals = style_moments(task, level)
    (goal,) = style_autocorrelations(task, level, 1, goals)
    arranged = autocorrelation_loss(task, canvas_autocorrelations(task, pixels, goal), goal)
    loss = style_loss(task, canvas_moments(task, pixels), goals[0]) + arranged
    (expected,) = torch.autograd.grad(loss * level.extent.area, pixels)
    terms, found = ExactObjective(task, level, level_planes(task, level))(canvas)
    assert arranged.item() > 0.05 * loss.item()
    assert terms.style == pytest.approx(loss.item(), rel=1e-4)
    assert (found - expected).norm() < 1e-3 * expected.norm()


def views(task: Job) -> tuple[ScaleObjective, Tensor]:
    level = task.levels[-1]
    moments = style_moments(task, level)
    goal = LevelTargets(
        moments, None, region_weights(task, level), style_autocorrelations(task, level, 1, moments)
    )
    canvas = waves(level.extent.height, level.extent.width, 7)
    return ScaleObjective(task, level, goal, ScaleSpec(task.weights.layer_names)), canvas


def test_gradients_of_patches_add_up_to_that_of_the_pairs_inside_them() -> None:
    task = job(CONTENT, **{**SMALL, **LAYERS, "style_layers": {"first_2": 1.0}, "patch": 128})
    view, canvas = views(task)
    term = view.objective._style
    assert isinstance(term, StyleLossSum)
    height, width = canvas.shape[1:]
    boxes = [Box(0, 0, height, 32), Box(0, 32, height, width - 32)]
    halves = [Patch(box, box, 1) for box in boxes]
    features = [
        task.network.features(canvas[None, :, :, box.left : box.left + box.width], ["first_2"])["first_2"]
        for box in boxes
    ]
    arrangement = term._terms["arrangement"]
    for seen, patch in zip(features, halves, strict=True):
        arrangement.accumulate_moments({"first_2": seen}, patch)
    arrangement.end_sweep(0.0, 0.0)
    pulled = [
        arrangement.cotangents({"first_2": seen}, patch, single_patch=False)["first_2"]
        for seen, patch in zip(features, halves, strict=True)
    ]
    (goal,) = style_autocorrelations(task, task.levels[-1], 1, style_moments(task, task.levels[-1]))
    target = goal["first_2"]
    cells = [seen[0].double().requires_grad_() for seen in features]
    counts = [pair_counts(seen.shape[1], seen.shape[2], CPU) for seen in cells]
    sums = [mean_products(x - target.center[:, None, None]) * n for x, n in zip(cells, counts, strict=True)]
    count = counts[0] + counts[1]
    known = target.target.count > 0  # the style has too few cells for the farthest lags
    found = known * (sums[0] + sums[1]) / count.clamp(min=1)
    loss = 0.7 * stationary_wasserstein(found, target.target.products)
    expected = torch.autograd.grad(loss * canvas[0].numel(), cells)
    for mine, wanted in zip(pulled, expected, strict=True):
        assert mine.values is not None
        torch.testing.assert_close(
            mine.values[0].double(), wanted, rtol=1e-3, atol=1e-4 * float(wanted.abs().max())
        )


def test_what_it_has_seen_is_stored_and_restored() -> None:
    task = job(CONTENT, **{**SMALL, **LAYERS, "patch": 64, "size": 100, "coarsest": 100})
    level = task.levels[-1]
    whole = whole_of(level)
    one, canvas = views(task)
    for pixels in (canvas, 0.9 * canvas):
        one.objective.gradient(pixels, whole)
        one.objective.end_sweep(extrapolation=0.5)
    one.objective.accumulate_moments(0.8 * canvas, whole)
    other, _ = views(task)
    other.objective.load_state_dict(
        {name: tensor.clone() for name, tensor in one.objective.state_dict().items()}
    )
    for view in (one, other):
        view.objective.end_sweep()
    assert torch.equal(one.objective.gradient(canvas, whole), other.objective.gradient(canvas, whole))


def test_regions_have_autocorrelations_of_their_own() -> None:
    mask = torch.zeros(3, 64, 64)
    mask[0, :, :32] = 1
    other = waves(70, 90, 2)
    styles = [Style(waves(70, 90, 1), "#ff0000"), Style(other, "#000000")]
    task = prepare(styles, RenderConfig(**QUICK, mask=mask))
    level = task.levels[-1]
    found = style_autocorrelations(task, level, 1, style_moments(task, level))
    alone = prepare(other, RenderConfig(**QUICK))
    (single,) = style_autocorrelations(alone, level, 1, style_moments(alone, level))
    wanted = [regions["first_2"].target.products for regions in found]
    assert len(found) == 2
    assert min(float((one - single["first_2"].target.products).abs().max()) for one in wanted) < 1e-5
    assert (wanted[0] - wanted[1]).abs().max() > 1e-3
    assert finished(task).pixels.isfinite().all()


PICTURE = waves(40, 50, 3)


@pytest.mark.parametrize(
    "style", [PICTURE, torch.zeros(3, 30, 30), torch.ones(3, 4, 40)], ids=["waves", "black", "line"]
)
@pytest.mark.parametrize(
    "settings",
    [
        {},
        {"tileable": Tileable.BOTH},
        {"deterministic": True, "size": (150, 70)},
        {"scale_odds": (0.5, 0.5), "size": 110, "sampler": "windows"},
        {"overlap": 8, "size": 110, "patch": 96},
        {"turn_style": True, "size": (90, 1)},
        {"optimizer": Optimizer.LBFGS, "sweeps": 1},
        {"precision": Precision.BF16},
    ],
    ids=str,
)
def test_every_kind_of_texture_can_be_had(style: Tensor, settings: dict[str, Any]) -> None:
    found = texture(style, RenderConfig(**{**QUICK, **settings}))
    assert np.isfinite(found.pixels).all()


def test_by_default_textures_have_it_and_nothing_else() -> None:
    plain: dict[str, Any] = {k: v for k, v in QUICK.items() if k not in LAYERS}

    def weight(content: Tensor | None = None, **settings: Any) -> float:
        return prepare(PICTURE, RenderConfig(**{**plain, **settings}), content).weights.arrangement

    assert weight() == ARRANGEMENT_WEIGHT
    assert weight(arrangement_weight=0.3) == 0.3
    assert weight(CONTENT, arrangement_weight=0.3) == 0.3
    assert weight(CONTENT) == 0
    assert weight(arrangement_weight=0.0) == 0
    assert weight(locality=0.5) == 0
    assert weight(style_loss=StyleLoss.GRAM) == 0
    assert weight(normalize=Normalize.ABSOLUTE) == 0
    assert weight(network="wavelet", style_layers={"color_1": 1.0}) == 0


def test_what_cannot_be_is_refused() -> None:
    with pytest.raises(SettingError, match="locality"):
        RenderConfig(arrangement_weight=1.0, locality=0.5)
    with pytest.raises(SettingError, match="needs a style layer of stride 4 or 8"):
        prepare(PICTURE, RenderConfig(**{**QUICK, "network": "wavelet", "style_layers": {"color_1": 1.0}}))
    with pytest.raises(SettingError, match="arrangement-weight"):
        RenderConfig(arrangement_weight=-1.0)


def test_rows_are_set_straight() -> None:
    """Stripes that tell by their distance alone: moments leave them uneven."""
    y = torch.arange(96)
    stripes = ((y % 16) < 3).float()[None, :, None].expand(3, 96, 96)
    settings = {**QUICK, "size": 96, "coarsest": 96, "patch": 128, "sweeps": 30}
    spacings = []
    for weight in (0.0, 1.0):
        pixels = texture(stripes.clone(), RenderConfig(**{**settings, "arrangement_weight": weight})).pixels
        rows = torch.from_numpy(pixels).mean((1, 2))[None, None]
        products = autocorrelation((rows - rows.mean()).transpose(1, 2).reshape(1, 96, 1))
        spacings.append(float(products[0, 0, MAX_LAG]))  # variance of the rows' means: straight ones have more
    assert spacings[1] > 1.2 * spacings[0]
