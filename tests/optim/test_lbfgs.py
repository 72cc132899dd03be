"""L-BFGS on the canvas: what it reaches, what it remembers, what it needs."""

from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from typing import Any
from unittest import mock

import numpy as np
import pytest
import torch

from tests.conftest import job, waves
from tilestyle import RenderConfig, SweepDone, render, texture
from tilestyle.canvas.canvas import Canvas
from tilestyle.config.enums import NetworkName, Optimizer
from tilestyle.errors import MemoryLimit, SettingError
from tilestyle.losses.exact import ExactObjective
from tilestyle.losses.objective import LossTerms
from tilestyle.losses.planes import level_planes
from tilestyle.optim.initial import initial_canvas
from tilestyle.optim.lbfgs import BOUND_PENALTY, LBFGSOptimizer, bound_penalty, pack_state, unpack_state
from tilestyle.optim.loop import optimize
from tilestyle.pipeline.events import Event, Resumed
from tilestyle.pipeline.outline import equivalent_sweeps
from tilestyle.pipeline.prepare import prepare
from tilestyle.pipeline.workdir import Work

CONTENT, STYLE = waves(80, 120, 1), waves(70, 90, 2)
LAYERS: dict[str, Any] = {
    "network": NetworkName.WAVELET,
    "style_layers": {"color_1": 1, "first_2": 1},
    "content_layers": {"contour_1": 1},
}
SETTINGS: dict[str, Any] = {
    "size": 120,
    "coarsest": 86,
    "margin": 8,
    "patch": 96,
    "sweeps": 7,
    "round": 4,
    "optimizer": Optimizer.LBFGS,
    **LAYERS,
}
CONFIG = RenderConfig(**SETTINGS)


def losses(**settings: Any) -> list[list[float]]:
    """The exact loss at the beginning of every sweep, level by level."""
    task = job(CONTENT, STYLE, **{**SETTINGS, **settings})
    found: list[list[float]] = [[] for _ in task.levels]
    exact = replace(task, config=replace(task.config, optimizer=Optimizer.LBFGS))

    def observe(level: Any, sweep: int, terms: LossTerms, canvas: Canvas) -> None:
        measure = ExactObjective(exact, level, level_planes(exact, level))
        found[level.index].append(measure.loss(measure(canvas)[0]))

    optimize(task, lambda level: None, observe, lambda: False)
    return found


def test_it_descends_in_every_iteration_and_farther_than_adam() -> None:
    one = {"coarsest": 120, "sweeps": 8, "round": 4}
    (quasi,) = losses(**one)
    (adam,) = losses(**{**one, "optimizer": Optimizer.ADAM})
    assert all(later < before for before, later in pairwise(quasi[:4]))
    assert all(later < before for before, later in pairwise(quasi[4:-1]))
    assert quasi[-1] < quasi[3]
    assert quasi[-1] < 0.8 * adam[-1]


def test_terms_and_progress_are_told_every_iteration() -> None:
    events: list[Event] = []
    picture = render(CONTENT, STYLE, CONFIG, observer=events.append)
    done = [event for event in events if isinstance(event, SweepDone)]
    assert [event.sweep for event in done] == [*range(7)] * 2
    assert done[6].style < done[0].style
    assert done[6].seconds_left > 0
    assert 0 <= float(picture.pixels.min()) <= float(picture.pixels.max()) <= 1


def test_pixels_are_clamped_after_every_round() -> None:
    settings = {**SETTINGS, "coarsest": 120, "tv_weight": 0.0, "content_weight": 0.0, "learning_rate": 3.0}
    task = job(CONTENT, STYLE, **settings)
    ranges: list[tuple[float, float]] = []

    def observe(level: Any, sweep: int, terms: LossTerms, canvas: Canvas) -> None:
        ranges.append((float(canvas.pixels.min()), float(canvas.pixels.max())))

    optimize(task, lambda level: None, observe, lambda: False)
    for k in (3, 6):
        assert 0 <= ranges[k][0] < ranges[k][1] <= 1
    assert min(low for low, _ in ranges) < 0 or max(high for _, high in ranges) > 1


def test_outside_there_is_a_slope_with_its_own_gradient() -> None:
    pixels = torch.tensor([-0.5, 0.25, 1.0, 1.75]).reshape(1, 2, 2).repeat(3, 1, 1).requires_grad_()
    outside = torch.relu(-pixels).square() + torch.relu(pixels - 1).square()
    (slope,) = torch.autograd.grad(outside.sum(), pixels)
    gradient = torch.ones(3, 2, 2)
    found = bound_penalty(pixels.detach(), gradient)
    torch.testing.assert_close(gradient, 1 + BOUND_PENALTY / 2 * slope)
    assert found == pytest.approx(BOUND_PENALTY / 2 * 3 * (0.5**2 + 0.75**2))


def test_slopes_of_nothing_but_rounding_are_no_slopes() -> None:
    task = job(CONTENT, STYLE, **SETTINGS)
    level = task.levels[0]
    for slope, steps in ((1e-15, False), (1e-6, True)):
        canvas = Canvas(level.extent, torch.full((3, level.extent.height, level.extent.width), 0.5))

        def linear(canvas: Canvas, slope: float = slope) -> tuple[LossTerms, torch.Tensor]:
            loss = slope * float(canvas.pixels.sum(dtype=torch.float64))
            return LossTerms(loss, 0.0, 0.0), torch.full_like(canvas.pixels, slope)

        stub = mock.Mock(side_effect=linear)
        stub.loss = lambda terms: terms.style
        optimizer = LBFGSOptimizer(task, stub, canvas, {})
        optimizer.step()
        assert bool((canvas.pixels != 0.5).any()) == steps
        assert bool(optimizer.state_dict()) == steps


def test_what_it_remembers_is_stored_whole() -> None:
    task = job(CONTENT, STYLE, **SETTINGS)
    level = task.levels[0]
    planes = level_planes(task, level)
    canvas = initial_canvas(task, level, planes.regions)
    optimizer = LBFGSOptimizer(task, ExactObjective(task, level, planes), canvas, {})
    assert optimizer.state_dict() == {}
    for _ in range(3):
        optimizer.step()
    kept = {name: tensor.clone() for name, tensor in optimizer.state_dict().items()}
    again = pack_state(unpack_state(kept)) | {"scale": kept["scale"]}
    assert set(again) == set(kept) >= {"d", "prev_flat_grad", "old_dirs 0", "old_stps 1"}
    assert all(torch.equal(again[name], kept[name]) for name in kept)
    other = Canvas(level.extent, canvas.pixels.clone())
    twin = LBFGSOptimizer(task, ExactObjective(task, level, planes), other, kept)
    for _ in range(2):
        assert optimizer.step() == twin.step()
    assert torch.equal(canvas.pixels, other.pixels)
    optimizer.end_round()
    assert optimizer.state_dict() == {}


@pytest.mark.parametrize("iterations", [2, 9])
def test_what_was_stopped_goes_on_to_the_same_bytes(tmp_path: Path, iterations: int) -> None:
    expected = render(CONTENT, STYLE, CONFIG).pixels
    asked = iter(range(1000))
    stopped = render(CONTENT, STYLE, CONFIG, work=tmp_path / "work", stop=lambda: next(asked) >= iterations - 1)
    assert not np.array_equal(stopped.pixels, expected)
    events: list[Event] = []
    again = render(CONTENT, STYLE, CONFIG, work=Work(tmp_path / "work", every=0.0), observer=events.append)
    (resumed,) = [event for event in events if isinstance(event, Resumed)]
    assert (resumed.level.index, resumed.sweep) == divmod(iterations, 7)
    assert np.array_equal(again.pixels, expected)


def test_textures_and_one_tile_or_many() -> None:
    settings = {**SETTINGS, "size": (120, 96), "sweeps": 4}
    picture = texture(STYLE, RenderConfig(**settings))
    assert picture.pixels.shape == (96, 120, 3)
    whole, tiles = (job(CONTENT, STYLE, **{**SETTINGS, "patch": side}) for side in (256, 96))
    assert equivalent_sweeps(whole, whole.levels[-1]) == 7
    assert equivalent_sweeps(tiles, tiles.levels[-1]) > 1.5 * 7


@pytest.mark.parametrize(
    "settings",
    [{"sampler": "windows"}, {"overlap": 8}, {"scale_odds": (0.9, 0.1)}, {"precision": "bf16"}],
)
def test_what_is_not_exact_is_refused(settings: dict[str, Any]) -> None:
    with pytest.raises(SettingError, match="exact gradients"):
        RenderConfig(optimizer=Optimizer.LBFGS, **settings)
    with pytest.raises(SettingError, match="history"):
        RenderConfig(history=3)


def test_the_history_is_what_there_is_memory_for() -> None:
    large = {**SETTINGS, "size": 2048, "coarsest": 2048}

    def prepared(**more: Any) -> Any:
        return prepare(STYLE, RenderConfig(**{**large, **more}), CONTENT)

    assert job(CONTENT, STYLE, **SETTINGS).history == 10
    roomy = prepared(host_memory="4GiB")
    tight = prepared(host_memory=roomy.memory_estimate.unified_total - 1)
    assert roomy.history == 10
    assert 3 <= tight.history < 10
    assert tight.memory_estimate.unified_total < roomy.memory_estimate.unified_total
    with pytest.raises(MemoryLimit, match="history of 3 needs"):
        prepared(host_memory="200MiB")
    with pytest.raises(MemoryLimit, match="history of 90 needs"):
        prepared(host_memory="4GiB", history=90)
