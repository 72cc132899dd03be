"""A content weight that differs by place: by tiles, by patches and against the untiled reference."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from tests.conftest import FEW, job, waves
from tests.losses.test_exact import FAR, NEAR, SMALL, canvas_of, check
from tests.optim.test_loop import FEW_SWEEPS, assert_is_the_reference
from tilestyle import RenderConfig, Style, render
from tilestyle.canvas.canvas import Canvas
from tilestyle.config.enums import Color, ContentLoss, Optimizer, Sampler
from tilestyle.errors import PictureError, SettingError
from tilestyle.geometry.rng import SweepRng
from tilestyle.geometry.sampling import grid_patches
from tilestyle.losses.level import LevelObjective
from tilestyle.losses.planes import level_planes
from tilestyle.losses.style_statistics import style_moments
from tilestyle.losses.total_variation import total_variation
from tilestyle.optim.content_weight import ContentWeightController
from tilestyle.optim.state import RenderState
from tilestyle.planning.job import Job
from tilestyle.planning.schedule import Level
from tilestyle.planning.strength import SLOPE, distance_at
from tilestyle.reference.untiled_losses import canvas_moments, content_loss, style_loss

CONTENT, STYLE = waves(60, 80), waves(70, 90, 2)
QUICK: dict[str, Any] = {"size": 48, "sweeps": 2, "coarsest": 32, "margin": 8, "precision": "fp32", **FEW}


def ramp(height: int = 12, width: int = 16) -> np.ndarray[Any, Any]:
    """Black to the left, white to the right."""
    return np.repeat(np.linspace(0, 1, width, dtype=np.float32)[None], height, 0)[..., None].repeat(3, 2)


def even(value: float) -> np.ndarray[Any, Any]:
    return np.full((4, 6, 3), value, np.float32)


# --- the gradient ---


def test_over_tiles_it_is_the_untiled_loss() -> None:
    task = job(waves(100, 150), content_map=ramp(), **SMALL, **NEAR)
    canvas, level = canvas_of(task)
    pixels, factors = canvas.pixels.clone().requires_grad_(), level_planes(task, level).content_factors
    assert factors is not None
    plain = content_loss(task, pixels, level_planes(task, level).content)
    untiled = {
        "style": style_loss(task, canvas_moments(task, pixels), style_moments(task, level)[0]),
        "content": content_loss(task, pixels, level_planes(task, level).content, factors=factors),
        "tv": total_variation(pixels),
    }
    assert 0.1 * plain < untiled["content"] < 0.9 * plain
    check(task, canvas, level, untiled, pixels)


@pytest.mark.parametrize("form", list(ContentLoss))
def test_one_canvas_sized_patch_is_the_reference_step_for_step(
    form: ContentLoss, monkeypatch: pytest.MonkeyPatch
) -> None:
    task = job(
        CONTENT, patch=128, content_loss=form, content_weight=0.3, content_map=ramp(), **FEW_SWEEPS, **FEW
    )
    assert_is_the_reference(task, monkeypatch)


def content_gradients(task: Job, canvas: Canvas, level: Level) -> Tensor:
    """The content's part of the gradient of a sweep, by patches where they own it, [3, H, W]."""

    def gradient(each: Job) -> Tensor:
        objective = LevelObjective(each, level, level_planes(each, level))
        total = torch.zeros_like(canvas.pixels)
        side, unit = each.patch_side_at(level), each.unit
        patches = grid_patches(level.extent, side, unit, SweepRng(0, 0, 0), 1)
        objective.begin_sweep(canvas, patches, 0)
        for patch, found in objective.gradients(canvas, patches):
            rows, columns = (
                torch.arange(start, start + length) % whole
                for start, length, whole in (
                    (patch.owned.top, patch.owned.height, level.extent.height),
                    (patch.owned.left, patch.owned.width, level.extent.width),
                )
            )
            inside = patch.owned_in_patch
            part = found[:, inside.top :, inside.left :][:, : inside.height, : inside.width]
            total[:, rows[:, None], columns] = part.float()
        return total

    without = replace(task, weights=replace(task.weights, content=0.0))
    return gradient(task) - gradient(without)


@pytest.mark.parametrize("form", list(ContentLoss))
@pytest.mark.parametrize("layers", [NEAR, FAR])
def test_an_even_map_is_a_factor_of_the_weight(form: ContentLoss, layers: dict[str, Any]) -> None:
    settings = {"size": 150, "coarsest": 150, "margin": 9, "patch": 96, "content_loss": form, **layers}
    plain = job(waves(100, 150), content_weight=0.075, **settings)
    mapped = job(waves(100, 150), content_weight=0.3, content_map=even(0.25), **settings)
    canvas, level = canvas_of(plain)
    one, other = (content_gradients(task, canvas, level) for task in (plain, mapped))
    assert one.abs().max() > 1e-3
    torch.testing.assert_close(one, other, rtol=1e-3, atol=1e-4 * float(one.abs().max()))


@pytest.mark.parametrize("form", list(ContentLoss))
@pytest.mark.parametrize(("layers", "share"), [(NEAR, 1e-3), (FAR, 0.06)])  # far cells see across the border
def test_black_places_have_no_content(form: ContentLoss, layers: dict[str, Any], share: float) -> None:
    half = np.zeros((10, 15, 3), np.float32)
    half[:, 8:] = 1
    settings = {"size": 150, "coarsest": 150, "margin": 9, "patch": 96, "content_loss": form, **layers}
    task = job(waves(100, 150), content_weight=0.3, content_map=half, **settings)
    canvas, level = canvas_of(task)
    found = content_gradients(task, canvas, level).abs().amax((0, 1))
    left = level.extent.picture.left
    assert found[left + 20 : left + 40].max() < share * found[left + 100 : left + 140].max()


# --- renders ---


@pytest.mark.parametrize(
    "settings",
    [
        {},
        {"optimizer": Optimizer.LBFGS, "sweeps": 1},
        {"content_loss": ContentLoss.SELF_SIMILARITY},
        {"sampler": Sampler.WINDOWS, "patch": 32},
        {"locality": 0.5, "locality_window": 1.0},
        {"color": Color.LUMINANCE},
        {"tileable": "x", "overlap": 8, "patch": 40},
        {"mask": even(1), "keep_content": True, "patch": 32},
    ],
)
def test_black_leaves_the_style_alone(settings: dict[str, Any]) -> None:
    # The layers of style and content have the same strides, so patches lie alike without a content.
    config = RenderConfig(**{**QUICK, **settings, "content_layers": {"first_1": 1.0}, "keep_content": False})
    black = render(CONTENT, STYLE, config, content_weight=2.0, content_map=even(0)).pixels
    alone = render(CONTENT, STYLE, config, content_weight=0.0).pixels
    full = render(CONTENT, STYLE, config, content_weight=2.0).pixels
    assert np.abs(black - alone).mean() < 1e-4
    assert np.abs(black - full).mean() > 1e-3


def test_white_changes_nothing() -> None:
    config = RenderConfig(**QUICK)
    plain, white = (render(CONTENT, STYLE, config, content_map=each) for each in (None, even(1)))
    assert np.array_equal(plain.pixels, white.pixels)


def test_a_map_is_also_that_of_regions() -> None:
    mask = np.zeros((6, 8, 3), np.uint8)
    mask[:, :4, 0] = mask[:, 4:, 2] = 255
    styles = [Style(STYLE, "#ff0000"), Style(waves(50, 60, 4), "#0000ff")]
    config = RenderConfig(mask=mask, content_weight=2.0, **QUICK)
    plain, ramped = (render(CONTENT, styles, config, content_map=each).pixels for each in (None, ramp()))
    assert np.abs(plain - ramped).mean() > 1e-3


def test_a_map_of_the_style_sheet_only_makes_no_sense() -> None:
    from tilestyle import texture

    with pytest.raises(SettingError, match="--content-map needs a content"):
        texture(STYLE, RenderConfig(content_map=even(1), **QUICK))


def test_a_file_and_its_array_are_the_same_map(tmp_path: Any) -> None:
    from PIL import Image

    gray = (ramp()[..., 0] * 255).round().astype(np.uint8)
    Image.fromarray(gray).save(tmp_path / "map.png")
    config = RenderConfig(content_weight=2.0, **QUICK)
    one, other = (render(CONTENT, STYLE, config, content_map=each) for each in (tmp_path / "map.png", gray))
    assert np.array_equal(one.pixels, other.pixels)
    assert one.provenance is not None and one.provenance["settings"]["content_map"] == "map.png"  # type: ignore[index, call-overload]
    with pytest.raises(PictureError):
        render(CONTENT, STYLE, config, content_map=tmp_path / "none.png")


# --- strength ---


def test_less_weight_is_expected_to_go_farther() -> None:
    found = [distance_at(0.6, doublings) for doublings in (-4, -1, 0, 1, 4)]
    assert found == sorted(found, reverse=True)
    assert found[2] == pytest.approx(0.6)
    odds = [each / (1 - each) for each in found]
    assert np.log(odds[1] / odds[2]) == pytest.approx(SLOPE)


def adjusted(content_map: np.ndarray[Any, Any] | None) -> RenderState:
    """The state after a canvas that is the content on the left, and noise on the right."""
    settings = {"size": 80, "coarsest": 80, "margin": 0, "sweeps": 3, "strength": 0.5, **FEW}
    task = job(CONTENT, content_map=content_map, **settings)
    level, state = task.levels[-1], RenderState()
    content = level_planes(task, level).content
    assert content is not None
    canvas = Canvas(level.extent, content)
    noise = torch.rand(canvas.pixels.shape, generator=torch.Generator().manual_seed(0))
    canvas.pixels[:, :, 40:80] = noise[:, :, 40:80]
    ContentWeightController(task, level, state).adjust(canvas, 1e-3)  # so little that it is not clamped
    return state


def test_strength_is_that_of_white_places() -> None:
    left, right = np.zeros((6, 8, 3), np.float32), np.zeros((6, 8, 3), np.float32)
    left[:, :3], right[:, 5:] = 1, 1
    found = [adjusted(each).content_weight_state for each in (left, None, right)]
    distances = [state.distance if state else None for state in found]
    assert distances == sorted(distances, key=lambda each: each or 0)
    assert distances[0] is not None and distances[0] < 0.3
    black = adjusted(even(0)).content_weight_state
    assert black is not None and black.distance is None  # there is nothing to compare


def test_gray_everywhere_is_less_weight_at_any_strength() -> None:
    full, half = (adjusted(each).content_weight_state for each in (None, even(0.5)))
    assert full is not None and half is not None
    assert half.distance == pytest.approx(full.distance, abs=1e-3)
    assert half.weight < full.weight  # more distance is expected, so that the factor is not made up for
