"""One strength: the content's weight follows it, and comes back from a checkpoint, other ranks and files."""

from __future__ import annotations

import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor

from tests.conftest import FEW, job, waves
from tests.pipeline.test_checkpoint import after
from tests.support.cli import main
from tilestyle import RenderConfig, render
from tilestyle.canvas.canvas import Canvas
from tilestyle.config.enums import NetworkName, Optimizer, Precision
from tilestyle.config.toml import load_preset
from tilestyle.config.variations import parse_variation
from tilestyle.geometry.boxes import Box, Patch
from tilestyle.images import FloatArray
from tilestyle.losses.objective import LossTerms
from tilestyle.networks.perceptual_distance import PerceptualFeatures
from tilestyle.optim import loop
from tilestyle.optim.content_weight import ContentWeightController
from tilestyle.optim.loop import optimize
from tilestyle.optim.state import RenderState
from tilestyle.pictures import picture_path
from tilestyle.pipeline.events import Event, SweepDone
from tilestyle.pipeline.prepare import prepare
from tilestyle.planning.job import Job
from tilestyle.planning.schedule import Level
from tilestyle.planning.strength import (
    MAX_FACTOR,
    MIN_FACTOR,
    TARGET_DISTANCES,
    ContentWeightState,
    adjust_weight,
    initial_weight,
    is_adjustment_sweep,
    target_distance,
)
from tilestyle.reference.renderer import render_untiled

CONTENT, STYLE = waves(60, 80), waves(70, 90, 2)
SMALL: dict[str, Any] = {"size": 80, "sweeps": 6, "margin": 8, "coarsest": 64, **FEW}


# --- the measure ---


def bundled(name: str) -> Tensor:
    """A picture that comes along, [3, 96, 128]."""
    with Image.open(picture_path(name)) as picture:
        pixels = np.asarray(picture.convert("RGB").resize((128, 96)))
    return torch.from_numpy(pixels.copy()).permute(2, 0, 1).float() / 255


def test_a_picture_is_like_itself_and_like_nothing_else() -> None:
    one = bundled("raccoon")
    assert PerceptualFeatures(one).distance(PerceptualFeatures(one)) == pytest.approx(0, abs=1e-5)
    for other in (torch.rand(3, 96, 128), bundled("coffee"), bundled("swirls"), one.flip(2)):
        found = PerceptualFeatures(one).distance(PerceptualFeatures(other))
        assert found is not None
        assert 0.7 < found < 1.2


@pytest.mark.usefixtures("comparison_at_full_size")
def test_it_is_the_same_whatever_network_renders() -> None:
    seen = []
    for network, weights in ((NetworkName.WAVELET, None), (NetworkName.VGG16, "random")):
        config = RenderConfig(network=network, weights=weights, size=80, precision=Precision.FP32)
        task = prepare(STYLE, config, CONTENT)
        extent, at = task.levels[-1].extent, RenderState()
        pixels = torch.linspace(0, 1, 3 * extent.area).reshape(3, extent.height, extent.width)
        ContentWeightController(task, task.levels[-1], at).adjust(Canvas(extent, pixels), 1.0)
        assert at.content_weight_state is not None
        seen.append(at.content_weight_state.distance)
    assert seen[0] == pytest.approx(seen[1], abs=1e-3)  # surroundings differ by a few pixels


def test_more_of_another_picture_is_farther() -> None:
    other = waves(60, 80, 5)
    found = [
        PerceptualFeatures(CONTENT).distance(PerceptualFeatures(torch.lerp(CONTENT, other, share))) or 0.0
        for share in (0, 0.3, 0.6, 1)
    ]
    assert found == sorted(found)
    assert found[-1] > 0.3


@pytest.mark.parametrize("name", ["raccoon", "astronaut", "coffee", "pagoda"])
def test_another_palette_as_a_whole_and_contrast_are_a_small_distance(name: str) -> None:
    one = bundled(name)
    found = PerceptualFeatures(one).distance(
        PerceptualFeatures(0.5 * one + torch.tensor([0.3, 0.1, 0.0])[:, None, None])
    )
    assert found is not None
    assert found < 0.25


@pytest.mark.parametrize(("height", "width"), [(1, 1), (1, 40), (40, 1), (2, 3), (31, 17)])
def test_any_size_has_looks(height: int, width: int) -> None:
    found = PerceptualFeatures(waves(height, width)).distance(PerceptualFeatures(waves(height, width, 3)))
    assert found is None or 0 <= found <= 2


def test_a_flat_picture_is_like_nothing() -> None:
    flat = torch.full((3, 40, 40), 0.3)
    assert PerceptualFeatures(flat).is_flat
    assert PerceptualFeatures(flat).distance(PerceptualFeatures(CONTENT[:, :40, :40])) is None
    assert PerceptualFeatures(CONTENT[:, :40, :40]).distance(PerceptualFeatures(flat)) is None


def test_pixels_that_do_not_count_do_not_count() -> None:
    one = bundled("raccoon")
    weights = torch.zeros(1, 96, 128)
    weights[:, :, :32] = 1
    changed = one.clone()
    changed[:, :, 64:] = torch.rand(3, 96, 64)
    found, whole = (
        PerceptualFeatures(one, each).distance(PerceptualFeatures(changed, each)) for each in (weights, None)
    )
    assert found is not None
    assert whole is not None
    assert found < 0.25 * whole  # cells see some way across the border


# --- the weight ---


def test_strengths_stand_for_distances_in_order() -> None:
    found = [target_distance(step / 20) for step in range(21)]
    assert found == sorted(found)
    assert [found[step] for step in (0, 5, 10, 15, 20)] == pytest.approx(TARGET_DISTANCES)
    weights = [initial_weight(0.1, step / 20) for step in range(21)]
    assert weights == sorted(weights, reverse=True)
    assert weights[10] == pytest.approx(0.1)


def test_a_weight_rises_while_the_picture_is_too_far() -> None:
    assert adjust_weight(ContentWeightState(0.1, 0.7), 0.7, 0.5, 1, 0.1).weight > 0.1
    assert adjust_weight(ContentWeightState(0.1, 0.3), 0.3, 0.5, 1, 0.1).weight < 0.1
    assert adjust_weight(ContentWeightState(0.1, 0.5), 0.5, 0.5, 1, 0.1).weight == pytest.approx(0.1)
    slow, fast = (adjust_weight(ContentWeightState(0.1, 0.7), 0.7, 0.5, pace, 0.1).weight for pace in (0.1, 1))
    assert 0.1 < slow < fast


def test_a_picture_on_its_way_is_given_time() -> None:
    assert (
        adjust_weight(ContentWeightState(0.1, 0.2), 0.4, 0.5, 1, 0.1).weight
        > adjust_weight(ContentWeightState(0.1, 0.4), 0.4, 0.5, 1, 0.1).weight
    )


@pytest.mark.parametrize("distance", [0.0, 2.0])
def test_a_weight_stays_within_bounds(distance: float) -> None:
    held = ContentWeightState(0.1)
    for _ in range(200):
        held = adjust_weight(held, distance, 0.5, 1, 0.1)
    assert held.weight == pytest.approx(0.1 * (MAX_FACTOR if distance else MIN_FACTOR))


# --- renders ---


def whole(task: Job, level: Level, sweep: int) -> list[Patch]:
    box = Box(0, 0, level.extent.height, level.extent.width)
    return [Patch(box, box, 1)]


def ended(task: Job) -> tuple[Canvas, list[LossTerms]]:
    seen: list[LossTerms] = []

    def note(level: Level, sweep: int, terms: LossTerms, canvas: Canvas) -> None:
        seen.append(terms)

    return optimize(task, lambda level: None, note, lambda: False)[0], seen


@pytest.mark.usefixtures("comparison_at_full_size")
def test_one_canvas_sized_patch_is_the_reference(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(loop, "sweep_patches", whole)
    task = job(CONTENT, patch=128, strength=0.3, **SMALL)
    canvas, terms = ended(task)
    weights = [each.content_weight or 0.0 for each in terms]
    assert len(set(weights)) == sum(
        is_adjustment_sweep(sweep, level.sweeps) for level in task.levels for sweep in range(level.sweeps)
    )
    difference = (canvas.pixels - render_untiled(task).pixels).abs()
    assert difference.mean() < 1e-4


@pytest.mark.usefixtures("comparison_at_full_size")
@pytest.mark.parametrize("optimizer", list(Optimizer))
@pytest.mark.parametrize("normalize", ["relative", "absolute"])
def test_a_stronger_picture_has_less_of_the_content(optimizer: Optimizer, normalize: str) -> None:
    settings = {**SMALL, "optimizer": optimizer, "normalize": normalize, "coarsest": 80, "sweeps": 10}
    near, far = (ended(job(CONTENT, patch=128, strength=strength, **settings)) for strength in (0.0, 1.0))
    first, last = (run[1][-1].content_weight for run in (near, far))
    assert first is not None
    assert last is not None
    assert first > last
    assert near[1][-1].content < far[1][-1].content


def test_a_content_weight_turns_it_off() -> None:
    task = job(CONTENT, content_weight=0.2, strength=0.9, **SMALL)
    assert task.weights.target_distance is None
    assert task.weights.content == 0.2
    assert all(each.content_weight is None for each in ended(task)[1])


def test_where_nothing_is_to_be_kept_or_taken_there_is_nothing_to_adjust() -> None:
    assert job(CONTENT, style_weight=0.0, **SMALL).weights.target_distance is None
    assert job(None, **SMALL).weights.target_distance is None
    assert RenderConfig(**load_preset("gatys").settings).content_weight is not None


@pytest.mark.parametrize(
    ("content", "style"),
    [
        (torch.full((3, 40, 60), 0.4), STYLE),
        (CONTENT, torch.full((3, 40, 60), 0.4)),
        (torch.zeros(3, 40, 60), torch.zeros(3, 40, 60)),
        (waves(60, 8), STYLE),
        (CONTENT, CONTENT),
    ],
)
def test_degenerate_pictures_are_rendered(content: Tensor, style: Tensor) -> None:
    canvas, terms = ended(prepare(style, RenderConfig(precision=Precision.FP32, **SMALL), content))
    assert torch.isfinite(canvas.pixels).all()
    assert 0 < (terms[-1].content_weight or 0.0) < 1e3


@pytest.mark.usefixtures("comparison_at_full_size")
def test_a_mask_leaves_out_what_has_no_style() -> None:
    content = bundled("raccoon")
    task = job(content, strength=0.15, **{**SMALL, "size": 128})
    layout = torch.zeros(1, 96, 128)
    layout[:, :, :48] = 1
    level = task.levels[-1]
    noise = torch.rand(3, level.extent.height, level.extent.width, generator=torch.Generator().manual_seed(1))
    canvas = Canvas(level.extent, noise)
    canvas.picture()[:, :, :72] = content[:, :, :72]
    weights = []
    for each in (None, layout):
        balance = ContentWeightController(replace(task, region_weights=each), level, RenderState())
        balance.adjust(canvas, 1.0)
        weights.append(balance.weight)
    assert weights[0] > task.weights.content > weights[1]


@pytest.mark.parametrize("settings", [{}, {"sampler": "windows"}, {"deterministic": True}])
@pytest.mark.parametrize("patches", [1, 9, 22])
def test_a_render_that_was_stopped_goes_on_with_its_weight(
    tmp_path: Path, patches: int, settings: dict[str, Any]
) -> None:
    config = RenderConfig(
        size=110, patch=64, coarsest=64, sweeps=3, margin=8, precision=Precision.FP32, strength=0.2, **FEW
    )
    config = replace(config, **settings)
    if repr(config) not in WHOLE:
        WHOLE[repr(config)] = watched(config)
    expected, weights = WHOLE[repr(config)]
    _, first = watched(config, work=tmp_path / "work", stop=after(patches))
    found, rest = watched(config, work=tmp_path / "work")
    assert (found == expected).all()
    assert first + rest == weights


WHOLE: dict[str, tuple[FloatArray, list[float | None]]] = {}  # what came of renders that were not stopped


def watched(config: RenderConfig, **options: Any) -> tuple[FloatArray, list[float | None]]:
    """The pixels of a render, and the weight of the content in every sweep."""
    weights: list[float | None] = []

    def note(event: Event) -> None:
        if isinstance(event, SweepDone):
            weights.append(event.content_weight)

    return render(CONTENT, STYLE, config, observer=note, **options).pixels, weights


# --- words ---


def test_a_sheet_varies_strength_over_whatever_weight_a_preset_has() -> None:
    config = replace(RenderConfig(), content_weight=0.3)
    found = parse_variation("strength=0.2,0.8").apply(config, 1)
    assert (found.strength, found.content_weight) == (0.8, None)


@pytest.mark.parametrize(
    ("command", "out"),
    [
        ("render", "out.png"),
        ("drift", "out"),
        ("preview", "out.png"),
        ("sheet", "out.png"),
        ("video", "out.mp4"),
    ],
)
def test_both_at_once_are_refused(
    command: str, out: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    for name in ("a.png", "b.png"):
        Image.fromarray(np.full((40, 40, 3), 90, np.uint8)).save(name)
    words = [command, "a.png", "--strength=0.2", "--content-weight=0.1", "--style", "b.png", "-o", out]
    monkeypatch.setattr(sys, "argv", ["tilestyle", *words])
    with pytest.raises(SystemExit):
        main()
    assert "cannot be combined" in capsys.readouterr().err
