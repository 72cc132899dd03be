"""The loss and gradient of a canvas, over tiles, are those of autograd without."""

from typing import Any

import pytest
import torch
from torch import Tensor

from tests.conftest import job, waves
from tilestyle import RenderConfig, Style
from tilestyle.canvas.canvas import Canvas, pyramid_reduce
from tilestyle.config.enums import NetworkName, Normalize, Optimizer, Precision, StyleLoss, TvForm
from tilestyle.geometry.boxes import Box, canvas_extent
from tilestyle.geometry.sampling import halo_tiles
from tilestyle.losses.exact import ExactObjective
from tilestyle.losses.planes import level_planes, region_weights
from tilestyle.losses.style_statistics import style_moments
from tilestyle.losses.total_variation import total_variation, total_variation_gradient
from tilestyle.optim.initial import initial_canvas
from tilestyle.pipeline.prepare import prepare
from tilestyle.planning.job import Job
from tilestyle.planning.schedule import Level
from tilestyle.reference.untiled_losses import canvas_moments, content_loss, style_loss
from tilestyle.stats.moments import Moments

CONTENT = waves(100, 150)
SMALL: dict[str, Any] = {
    "size": 150,
    "coarsest": 150,
    "margin": 9,
    "patch": 96,
    "optimizer": Optimizer.LBFGS,
    "content_weight": 0.2,
    "tv_weight": 3.0,
}
NEAR: dict[str, Any] = {
    "network": NetworkName.WAVELET,
    "style_layers": {"color_1": 1, "first_2": 2},
    "content_layers": {"contour_1": 1},
}
FAR: dict[str, Any] = {
    "network": NetworkName.WAVELET,
    "style_layers": {"first_1": 1, "first_4": 1},
    "content_layers": {"shape_4": 1},
}


def canvas_of(task: Job) -> tuple[Canvas, Level]:
    level = task.levels[-1]
    pixels = level_planes(task, level).content
    assert pixels is not None
    noise = torch.rand(pixels.shape, generator=torch.Generator().manual_seed(3))
    return Canvas(level.extent, 0.7 * pixels + 0.3 * noise), level


def check(task: Job, canvas: Canvas, level: Level, untiled: dict[str, Tensor], pixels: Tensor) -> None:
    exact = ExactObjective(task, level, level_planes(task, level))
    terms, found = exact(canvas)
    loss = 1.0 * untiled["style"] + 0.2 * untiled["content"] + 3.0 * untiled["tv"]
    (expected,) = torch.autograd.grad(loss * level.extent.area, pixels)
    for name, value in untiled.items():
        assert getattr(terms, name) == pytest.approx(value.item(), rel=2e-5)
        assert value.item() > 0
    assert exact.loss(terms) == pytest.approx(loss.item() * level.extent.area, rel=2e-5)
    torch.testing.assert_close(found.double(), expected.double(), rtol=2e-3, atol=2e-4 * float(expected.std()))
    assert (found - expected).norm() < 1e-4 * expected.norm()


@pytest.mark.parametrize("normalize", list(Normalize))
@pytest.mark.parametrize("loss", list(StyleLoss))
def test_over_tiles_it_is_the_untiled_loss(loss: StyleLoss, normalize: Normalize) -> None:
    check_tiles(style_loss=loss, normalize=normalize, **NEAR)


def test_so_it_is_of_the_default_network() -> None:
    check_tiles(style_layers={"relu1_1": 1, "relu3_1": 2}, content_layers={"relu2_2": 1})


def check_tiles(**settings: Any) -> None:
    task = job(CONTENT, tv_form=TvForm.NINE_POINT, **SMALL, **settings)
    canvas, level = canvas_of(task)
    unit = max(task.network.layers[name].stride for name in task.weights.layer_names)
    assert len(halo_tiles(level.extent, task.patch_side, unit, task.halo)) >= 6
    pixels = canvas.pixels.clone().requires_grad_()
    untiled = {
        "style": style_loss(task, canvas_moments(task, pixels), style_moments(task, level)[0]),
        "content": content_loss(task, pixels, level_planes(task, level).content),
        "tv": total_variation(pixels, TvForm.NINE_POINT),
    }
    check(task, canvas, level, untiled, pixels)


def test_coarse_octaves_are_part_of_it() -> None:
    task = job(CONTENT, **{**SMALL, "patch": 128}, **FAR)
    canvas, level = canvas_of(task)
    octaves = task.scale_groups(level)
    assert set(octaves) == {1, 4}
    pixels, content = canvas.pixels.clone().requires_grad_(), level_planes(task, level).content
    assert content is not None
    whole, goal = Box(0, 0, level.extent.height, level.extent.width), style_moments(task, level)[0]
    moments, errors = {}, torch.zeros(())
    for factor, names in octaves.items():
        seen, wanted = (
            task.network.features(pyramid_reduce(plane, whole, factor)[None], names.values())
            for plane in (pixels, content)
        )
        for layer, name in names.items():
            flat = seen[name][0].flatten(1).double()
            if layer in task.weights.style_layers:
                moments[layer] = Moments(flat.shape[1], flat.mean(1), flat @ flat.mT / flat.shape[1])
            if layer in task.weights.content_layers:
                energy = wanted[name].var((2, 3), correction=0).mean()
                errors = errors + (seen[name] - wanted[name]).square().mean() / energy
    untiled = {
        "style": style_loss(task, moments, goal),
        "content": errors,
        "tv": total_variation(pixels),
    }
    check(task, canvas, level, untiled, pixels)


def test_tiles_own_every_pixel_once_and_their_halos_end_at_the_edges() -> None:
    canvas = canvas_extent(150, 230, 8, 16)
    patches = halo_tiles(canvas, 96, 16, 16)
    owned = torch.zeros(canvas.height, canvas.width)
    for patch in patches:
        box, seen = patch.owned, patch.read
        owned[box.top : box.top + box.height, box.left : box.left + box.width] += 1
        assert max(seen.height, seen.width) <= 96
        assert seen.top == max(box.top - 16, 0)
        assert seen.left + seen.width == min(box.left + box.width + 16, canvas.width)
    assert bool((owned == 1).all())
    whole = halo_tiles(canvas, 512, 16, 16)
    assert [patch.read for patch in whole] == [Box(0, 0, canvas.height, canvas.width)]


@pytest.mark.parametrize("form", list(TvForm))
@pytest.mark.parametrize("exponent", [1.0, 2.0, 2.5])
def test_the_gradient_of_total_variation_is_autograds(form: TvForm, exponent: float) -> None:
    pixels = torch.rand(3, 9, 7, dtype=torch.float64, requires_grad=True)
    (expected,) = torch.autograd.grad(total_variation(pixels, form, exponent), pixels)
    found = total_variation_gradient(pixels.detach(), form, exponent)
    torch.testing.assert_close(found / (9 * 7), expected)
    assert total_variation(pixels, form, exponent).item() > 0


def test_what_is_of_no_region_has_no_gradient() -> None:
    style = Style(waves(70, 90, 1), "#ff0000")
    mask = torch.zeros(3, 60, 80)
    mask[0, :, :40] = 1
    settings = {**NEAR, "optimizer": Optimizer.LBFGS, "patch": 96, "size": 120, "coarsest": 120}
    config = RenderConfig(precision=Precision.FP32, sweeps=1, mask=mask, **settings)
    task = prepare(style, config, CONTENT)
    level = task.levels[0]
    canvas = initial_canvas(task, level, region_weights(task, level))
    canvas.pixels.add_(0.05 * torch.rand_like(canvas.pixels))
    _, gradient = ExactObjective(task, level, level_planes(task, level))(canvas)
    box = level.extent.picture
    found = gradient[:, box.top : box.top + box.height, box.left : box.left + box.width].abs().sum(0)
    assert found[:, :50].min() > 0
    assert found[:, 70:].max() == 0
