"""The tiled renderer against the untiled reference, where equality is true."""

from functools import partial
from typing import Any

import pytest
import torch
from torch import Tensor

from tests.conftest import FEW, job, waves
from tilestyle.canvas.canvas import Canvas
from tilestyle.canvas.margin import with_margin
from tilestyle.config.consistency import inversion_config
from tilestyle.config.enums import BUILT_IN, Color, Init, NetworkName, Precision, Sampler, StyleLoss
from tilestyle.config.render import RenderConfig
from tilestyle.errors import DivergedError
from tilestyle.geometry.boxes import Box, Patch
from tilestyle.geometry.rng import SweepRng
from tilestyle.geometry.sampling import PatchContext, grid_patches
from tilestyle.losses.content import CachedContentTarget, ContentTarget, RecentContentTarget
from tilestyle.losses.level import LevelObjective
from tilestyle.losses.objective import LossTerms, Objective
from tilestyle.losses.planes import level_planes, region_weights
from tilestyle.losses.running_moments import LaggedMomentLoss
from tilestyle.losses.scale_objective import ScaleObjective, ScaleSpec
from tilestyle.losses.style_global import GlobalStyleLoss
from tilestyle.losses.style_statistics import style_moments
from tilestyle.losses.total_variation import total_variation, total_variation_gradient
from tilestyle.networks.base import exact_halo, measuring_halo
from tilestyle.networks.random_vgg import random_vgg
from tilestyle.optim import loop, update
from tilestyle.optim.initial import initial_canvas, initial_pixels
from tilestyle.optim.loop import optimize
from tilestyle.optim.state import NullCheckpointer, RenderState
from tilestyle.pipeline.prepare import prepare
from tilestyle.planning.caching import should_cache_content
from tilestyle.planning.job import Job, LevelTargets
from tilestyle.planning.schedule import CYCLED_PLACES, EXTRAPOLATION, GRID_PERIOD, Level, extrapolation
from tilestyle.reference.autograd_distances import wasserstein_distance
from tilestyle.reference.renderer import render_untiled
from tilestyle.reference.untiled_losses import canvas_moments, content_loss
from tilestyle.stats.moments import Moments

CONTENT = waves(60, 80)
SMALL: dict[str, Any] = {"size": 80, "sweeps": 6, "margin": 8, "coarsest": 64}
# Rectifiers have kinks: differences by rounding, 1e-7 after the first sweep, grow about fivefold with each.
FEW_SWEEPS = {**SMALL, "sweeps": 4}
# Many patches, of which only the canvas matters.
WIDE: dict[str, Any] = {"size": 250, "coarsest": 250, "content_weight": 0.1, "palette_weight": 0}


def whole_of(level: Level) -> Patch:
    box = Box(0, 0, level.extent.height, level.extent.width)
    return Patch(box, box, 1)


def objective_of(task: Job, level: Level, content: Tensor | None) -> Objective:
    return ScaleObjective(
        task, level, LevelTargets(style_moments(task, level), content), ScaleSpec(task.weights.layer_names)
    ).objective


def pull_of(objective: Objective) -> LaggedMomentLoss:
    term = objective._style
    assert isinstance(term, GlobalStyleLoss)
    return term._losses[0]


def moments_of(objective: Objective) -> dict[str, Moments]:
    return dict(pull_of(objective).moments)


def finished(task: Job) -> Canvas:
    canvas, complete = optimize(task, lambda level: None, lambda *event: None, lambda: False)
    assert complete
    return canvas


def terms_of(task: Job) -> list[LossTerms]:
    seen: list[LossTerms] = []
    optimize(task, lambda level: None, lambda level, sweep, terms, canvas: seen.append(terms), lambda: False)
    return seen


@pytest.mark.parametrize("network", BUILT_IN)
@pytest.mark.parametrize("loss", list(StyleLoss))
def test_one_canvas_sized_patch_is_the_reference_step_for_step(
    loss: StyleLoss, network: NetworkName, monkeypatch: pytest.MonkeyPatch
) -> None:
    task = job(
        CONTENT, network=network, patch=128, style_loss=loss, content_weight=0.1, tv_weight=0.5, **FEW_SWEEPS
    )
    assert_is_the_reference(task, monkeypatch)


@pytest.mark.parametrize("color", [Color.CONTENT, Color.LUMINANCE])
def test_so_it_is_in_the_contents_colors(color: Color, monkeypatch: pytest.MonkeyPatch) -> None:
    # By small steps: in gray, pixels lie on the borders of bins, whose side is rounding's to take.
    task = job(CONTENT, patch=128, color=color, learning_rate=0.002, **FEW_SWEEPS)
    assert_is_the_reference(task, monkeypatch)


def test_so_it_is_from_activations_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    config = RenderConfig(precision=Precision.FP32, patch=128, tv_weight=0.5, **FEW_SWEEPS)
    assert_is_the_reference(prepare(None, inversion_config(config), CONTENT), monkeypatch)


def assert_is_the_reference(task: Job, monkeypatch: pytest.MonkeyPatch) -> None:
    """The job's one patch, of two levels, makes the untiled picture."""
    # In place, rather than shifted within the margin.
    monkeypatch.setattr(loop, "sweep_patches", lambda task, level, draw: [whole_of(level)])
    assert len(task.levels) == 2
    tiled = finished(task)
    untiled = render_untiled(task)
    assert (tiled.pixels - CONTENT.mean()).abs().max() > 0.1
    difference = (tiled.pixels - untiled.pixels).abs()
    # Where a gradient is near zero Adam's first steps take its sign, and the sign takes rounding's.
    assert difference.mean() < 1e-4
    assert difference.quantile(0.99) < 1e-3
    torch.testing.assert_close(tiled.steps, untiled.steps)


@pytest.mark.parametrize("network", BUILT_IN)
def test_a_patchs_gradient_is_autograds_in_float64(network: NetworkName) -> None:
    task = job(
        CONTENT, network=network, patch=128, content_weight=0.3, tv_weight=0.7, palette_weight=0, **SMALL
    )
    double = task.network.to(torch.device("cpu"), torch.float64)
    task = Job(**{**vars(task), "network": double})
    level = task.levels[0]
    plane = level_planes(task, level).content
    assert plane is not None
    objective = objective_of(task, level, plane.double())
    start = initial_pixels(task, level, region_weights(task, level)).double()
    pixels = (0.8 * start + 0.1).requires_grad_()
    whole = whole_of(level)
    objective.accumulate_moments(pixels.detach(), whole)
    objective.end_sweep()
    found = objective.gradient(pixels.detach(), whole)
    target = {layer: moments.double() for layer, moments in style_moments(task, level)[0].items()}
    moments = canvas_moments(task, pixels)
    loss = sum(w * wasserstein_distance(moments[k], target[k]) for k, w in task.weights.style_layers.items())
    loss = loss + 0.3 * content_loss(task, pixels, plane.double()) + 0.7 * total_variation(pixels)
    (expected,) = torch.autograd.grad(loss * level.extent.area, pixels)
    torch.testing.assert_close(found.double(), expected, rtol=1e-4, atol=1e-5)


def test_the_gradient_of_total_variation_is_autograds() -> None:
    pixels = torch.rand(3, 9, 7, dtype=torch.float64, requires_grad=True)
    (expected,) = torch.autograd.grad(total_variation(pixels), pixels)
    found = total_variation_gradient(pixels.detach())
    torch.testing.assert_close(found / (9 * 7), expected)


def tiled_objective(task: Job) -> tuple[Objective, Tensor, Level]:
    level = task.levels[-1]
    objective = objective_of(task, level, level_planes(task, level).content)
    picture = level.extent.picture
    return objective, with_margin(waves(picture.height, picture.width, 5), level.extent), level


def test_terms_of_a_sweep_are_those_of_the_whole_canvas() -> None:
    task = job(
        CONTENT,
        network=NetworkName.WAVELET,
        patch=64,
        overlap=8,
        style_layers={"first_1": 1},
        content_layers={"first_1": 1},
        **SMALL,
    )
    objective, pixels, level = tiled_objective(task)
    patches = grid_patches(level.extent, 64, task.unit, SweepRng(0, 0, 3), context=PatchContext(task.halo))
    assert len(patches) > 3
    canvas = Canvas(level.extent, pixels)
    for patch in patches:
        objective.gradient(canvas.read(patch.read), patch)
    terms = objective.end_sweep()
    moments, target = canvas_moments(task, pixels)["first_1"], style_moments(task, level)[0]["first_1"].double()
    # But for the border of the canvas, where the torus shows a patch the far side and padding the near one.
    assert terms.style == pytest.approx(wasserstein_distance(moments, target).item(), rel=0.1)
    assert terms.content == pytest.approx(
        content_loss(task, pixels, level_planes(task, level).content).item(), rel=0.1
    )


def test_with_a_halo_of_the_receptive_field_moments_are_exact() -> None:
    settings = {**SMALL, "size": 200, "coarsest": 200, "content_weight": 0.0}
    task = job(
        CONTENT, network=NetworkName.WAVELET, patch=112, style_layers={"first_1": 1, "first_2": 1}, **settings
    )
    objective, pixels, level = tiled_objective(task)
    halo = 28
    assert halo >= task.network.layers["first_2"].receptive_field
    canvas = Canvas(level.extent, pixels)
    coarse: dict[str, Moments] = {}
    fine: dict[str, Moments] = {}
    for found, side in ((coarse, 112), (fine, 80)):
        for patch in grid_patches(level.extent, side, 4, SweepRng(0, 0, 1), context=PatchContext(halo)):
            objective.accumulate_moments(canvas.read(patch.read), patch)
        objective.end_sweep()
        found.update(moments_of(objective))
    for layer, moments in coarse.items():
        torch.testing.assert_close(moments.second, fine[layer].second, rtol=1e-4, atol=1e-6)


def test_with_the_halo_for_measuring_little_is_left_of_what_padding_does() -> None:
    settings = {**SMALL, "size": 200, "coarsest": 200, "content_weight": 0.0}
    task = job(CONTENT, network=NetworkName.WAVELET, patch=112, style_layers={"first_2": 1}, **settings)
    objective, pixels, level = tiled_objective(task)
    canvas, layers = Canvas(level.extent, pixels), [task.network.layers["first_2"]]
    near, exact = measuring_halo(layers), exact_halo(layers)
    assert near < exact
    found = {}
    for halo in (0, near, exact):
        for patch in grid_patches(
            level.extent, 64 + 2 * halo, 4, SweepRng(0, 0, 1), context=PatchContext(halo)
        ):
            objective.accumulate_moments(canvas.read(patch.read), patch)
        objective.end_sweep()
        found[halo] = moments_of(objective)["first_2"].second
    bent, left = (float((found[halo] - found[exact]).norm()) for halo in (0, near))
    assert left < 0.1 * bent


def test_cotangents_are_taken_on_along_the_way_they_came() -> None:
    task = job(CONTENT, patch=128, palette_weight=0, **{**SMALL, "content_weight": 0.0})
    level = task.levels[-1]
    whole, picture = whole_of(level), level.extent.picture
    one, two, three = (
        with_margin(waves(picture.height, picture.width, seed), level.extent) for seed in (5, 6, 7)
    )

    def gradient_after(*canvases: Tensor, extrapolation: float, exact: Tensor | None = None) -> Tensor:
        """The gradient at the third canvas after sweeps over these; moments corrected to those of `exact`."""
        objective = objective_of(task, level, None)
        for canvas in canvases:
            if exact is not None and canvas is canvases[-1]:
                objective.accumulate_moments(exact, whole)
                objective.use_exact_moments(calibrate=True)
            objective.gradient(canvas, whole)
            objective.end_sweep(extrapolation=extrapolation)
        return objective.gradient(three, whole)

    of_one, of_two = (gradient_after(canvas, extrapolation=0.0) for canvas in (one, two))
    least = 1e-4 * float(of_two.abs().max())
    close = partial(torch.testing.assert_close, rtol=1e-3, atol=least)
    assert (of_two - of_one).abs().max() > 100 * least
    close(gradient_after(one, two, extrapolation=0.5), 1.5 * of_two - 0.5 * of_one)
    close(gradient_after(one, extrapolation=0.5), of_one)  # there are no two sweeps yet
    # Corrected and measured moments are of the same canvas: they differ by the padding only.
    corrected = gradient_after(one, two, extrapolation=0.0, exact=three)
    close(gradient_after(one, two, extrapolation=0.5, exact=three), corrected)


@pytest.mark.parametrize("sampler", ["sweep", "windows"])
def test_both_samplers_are_led(sampler: str) -> None:
    settings = {
        **SMALL,
        "size": 150,
        "coarsest": 150,
        "sweeps": 20,
        "network": NetworkName.WAVELET,
        "style_layers": {"first_1": 1},
    }
    task = job(CONTENT, patch=64, sampler=sampler, **settings)
    level = task.levels[-1]
    planes = level_planes(task, level)
    canvas, objective = initial_canvas(task, level, planes.regions), LevelObjective(task, level, planes)
    for sweep in range(3):
        patches = loop.sweep_patches(task, level, sweep)
        objective.begin_sweep(canvas, patches, sweep)
        assert list(objective.gradients(canvas, patches))
        objective.end_sweep(patches, sweep)
        canvas.pixels.mul_(0.9)
    extrapolations = [
        tensor
        for name, tensor in objective.state_dict().items()
        if " leads " in name and name.endswith("matrix")
    ]
    assert any(bool(matrix.any()) for matrix in extrapolations)


def test_extrapolation_falls_to_zero_with_the_steps_of_a_level() -> None:
    task = job(CONTENT, **{**SMALL, "sweeps": 40})
    extrapolations = [extrapolation(task.levels[-1], sweep) for sweep in range(41)]
    assert extrapolations[:21] == [EXTRAPOLATION] * 21
    assert extrapolations == sorted(extrapolations, reverse=True)
    assert extrapolations[40] == 0


def test_the_same_seed_makes_the_same_bytes() -> None:
    settings = {**SMALL, **FEW, "patch": 64, "init": Init.NOISE, "sweeps": 2}
    one, two = finished(job(CONTENT, **settings)), finished(job(CONTENT, **settings))
    other = finished(job(CONTENT, seed=1, **settings))
    assert torch.equal(one.pixels, two.pixels)
    assert not torch.equal(one.pixels, other.pixels)


@pytest.mark.parametrize(
    "settings",
    [{}, {"patch": 96, "overlap": 8}, {"sampler": Sampler.WINDOWS}, {"scale_odds": (0.5, 0.5), "size": 140}],
)
def test_the_order_of_patches_is_nothing(settings: dict[str, Any], monkeypatch: pytest.MonkeyPatch) -> None:
    layers = {**FEW["style_layers"], "first_4": 1.0}  # the last is seen from afar
    common = {**SMALL, **FEW, "style_layers": layers, "patch": 64, "sweeps": 2, "size": 110, "coarsest": 80}
    task = job(CONTENT, **{**common, **settings})
    sampled = loop.sweep_patches
    assert any(len(sampled(task, task.levels[-1], sweep)) > 1 for sweep in range(2))
    forwards = finished(task)
    monkeypatch.setattr(loop, "sweep_patches", lambda *key: sampled(*key)[::-1])
    # Sums of moments round differently in another order.
    assert (forwards.pixels - finished(task).pixels).abs().quantile(0.99) < 1e-3


def test_the_host_holds_one_patch_at_a_time(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    task = job(CONTENT, **{**SMALL, **FEW, "patch": 64, "sweeps": 1, "size": 150, "coarsest": 150})
    begun, taken = [0], [0]
    launched, take = LevelObjective._launch_gradient, update.CanvasUpdater.apply

    def launching(objective: LevelObjective, *arguments: Any) -> Any:
        assert begun == taken  # no patch begins before the one before it has stepped
        begun[0] += 1
        return launched(objective, *arguments)

    def taking(step: update.CanvasUpdater, patch: Patch, gradient: Tensor) -> None:
        take(step, patch, gradient)
        taken[0] += 1

    monkeypatch.setattr(LevelObjective, "_launch_gradient", launching)
    monkeypatch.setattr(update.CanvasUpdater, "apply", taking)
    finished(task)
    assert begun == taken
    assert taken[0] > 4


def test_borders_need_not_wait_for_the_end_of_the_sweep(monkeypatch: pytest.MonkeyPatch) -> None:
    task = job(CONTENT, **{**SMALL, **FEW, "patch": 64, "sweeps": 2, **WIDE})
    held: dict[int, list[int]] = {}

    def waiting(many: int) -> Canvas:
        monkeypatch.setattr(update, "MIN_DEFERRED_BYTES", many)
        at = RenderState()
        counts = held.setdefault(many, [])

        def stop() -> bool:
            counts.append(at.deferred.nbytes)
            return False

        return optimize(task, lambda level: None, lambda *sweep: None, stop, at)[0]

    late, early = waiting(2**40), waiting(0)
    assert torch.equal(late.pixels, early.pixels)
    assert 0 < max(held[0]) < 0.8 * max(held[2**40])


def test_borders_bring_no_more_than_a_band_of_the_canvas_into_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    task = job(CONTENT, **{**SMALL, **FEW, "patch": 64, "sweeps": 2, **WIDE})

    class Watchful(NullCheckpointer):
        def __init__(self) -> None:
            self.high: list[int] = []  # rows that are guarded together

        def before_write(self, canvas: Canvas, *boxes: Box) -> None:
            if len(boxes) > 1:
                self.high.append(max(box.top + box.height for box in boxes) - min(box.top for box in boxes))

    def banded(bytes_of_band: int) -> tuple[Canvas, list[int]]:
        monkeypatch.setattr(update, "BAND_BYTES", bytes_of_band)
        checkpointer = Watchful()
        found = optimize(
            task, lambda level: None, lambda *sweep: None, lambda: False, RenderState(checkpointer=checkpointer)
        )
        return found[0], checkpointer.high

    width = task.levels[-1].extent.width
    whole, tall = banded(2**30)
    cut, low = banded(24 * width * 40)
    assert max(low) <= 24 < min(tall)
    assert torch.equal(whole.pixels, cut.pixels)


@pytest.mark.parametrize(
    "settings",
    [
        {"patch": 64},
        {"patch": 128, "overlap": 8},
        {"patch": 64, "sampler": Sampler.WINDOWS},
        {"patch": 64, "scale_odds": (0.8, 0.2)},
        {"patch": 64, "sampler": Sampler.WINDOWS, "scale_odds": (0.8, 0.2)},
        {"patch": 64, "style_loss": StyleLoss.GRAM},
    ],
)
def test_every_way_of_covering_descends(settings: dict[str, Any]) -> None:
    terms = terms_of(job(CONTENT, **{**SMALL, **FEW, "size": 110, "coarsest": 110, "sweeps": 15, **settings}))
    assert len(terms) == 15
    assert sum(t.style for t in terms[-3:]) / 3 < 0.75 * terms[0].style


def test_windows_count_the_steps_of_every_pixel() -> None:
    canvas = finished(
        job(CONTENT, patch=64, sampler=Sampler.WINDOWS, **{**SMALL, "coarsest": 120, "size": 120})
    )
    assert canvas.steps.max() <= 6
    assert canvas.steps.min() < canvas.steps.max()


def test_identity_leaves_the_content() -> None:
    task = job(CONTENT, style=CONTENT, style_weight=0.0, patch=64, **SMALL)
    canvas = finished(task)
    plane = level_planes(task, task.levels[-1]).content
    assert plane is not None
    assert (canvas.pixels - plane).abs().mean() < 0.03


def test_stopping_answers_the_canvas_so_far() -> None:
    calls = []

    def stop() -> bool:
        calls.append(1)
        return len(calls) == 9

    canvas, complete = optimize(job(CONTENT, patch=64, **SMALL), lambda level: None, lambda *e: None, stop)
    assert not complete
    assert 0 < canvas.steps.max() <= 6


@pytest.mark.parametrize("corrected", [False, True])
def test_values_that_leave_the_finite_are_reported(corrected: bool) -> None:
    task = job(CONTENT, patch=128, **SMALL)
    objective, pixels, level = tiled_objective(task)
    (patch,) = grid_patches(level.extent, 128, task.unit, SweepRng(0, 0, 0))
    if corrected:  # by exact moments, with which those of the sweep are compared
        objective.accumulate_moments(pixels, patch)
        objective.use_exact_moments(calibrate=True)
    objective.accumulate_moments(pixels * float("nan"), patch)
    with pytest.raises(DivergedError, match="not finite"):
        objective.end_sweep()


def test_the_content_of_the_content_is_no_loss() -> None:
    task = job(CONTENT, patch=64, **SMALL)
    level = task.levels[-1]
    plane = level_planes(task, level).content
    assert plane is not None
    objective = objective_of(task, level, plane)
    for patch in grid_patches(level.extent, 64, task.unit, SweepRng(0, 0, 0)):
        objective.gradient(Canvas(level.extent, plane).read(patch.read), patch)
    assert objective.end_sweep().content == pytest.approx(0, abs=1e-9)


def test_content_is_weighed_over_the_whole_canvas() -> None:
    task = job(CONTENT, patch=64, **SMALL)
    level = task.levels[-1]
    plane = level_planes(task, level).content
    assert plane is not None
    content = ContentTarget(plane, task.network, task.weights.content_layers, 1)
    content.measure_energies(level.extent, 128, task.unit)
    features = task.network.features(plane[None], task.weights.content_layers)
    for layer, response in features.items():
        spread = response.var((2, 3), correction=0).mean().item()
        assert content.energies[layer] == pytest.approx(spread, rel=1e-3)


def test_padding_is_kept_out_of_the_moments() -> None:
    task = job(
        CONTENT,
        network=NetworkName.WAVELET,
        patch=64,
        content_weight=0.0,
        **{**SMALL, "size": 200, "coarsest": 200},
    )
    level = task.levels[-1]
    picture = level.extent.picture
    canvas = Canvas(level.extent, with_margin(waves(picture.height, picture.width, 5), level.extent))
    level_objective = LevelObjective(task, level, level_planes(task, level))
    patches = loop.sweep_patches(task, level, 0)
    level_objective.begin_sweep(canvas, patches, 0)
    objective = level_objective.scale_objective(1).objective
    exact = moments_of(objective)["first_2"].covariance
    for patch in patches:
        objective.accumulate_moments(canvas.read(patch.read), patch)
    plain = pull_of(objective).current_moments["first_2"].covariance
    objective.end_sweep()
    corrected = moments_of(objective)["first_2"].covariance
    assert (corrected - exact).norm() < 0.2 * (plain - exact).norm()


def test_kept_content_is_that_of_the_whole_canvas(monkeypatch: pytest.MonkeyPatch) -> None:
    settings = {
        **SMALL,
        "size": 150,
        "coarsest": 150,
        "network": NetworkName.WAVELET,
        "style_layers": {"first_1": 1},
        "content_layers": {"contour_1": 1},
    }
    task = job(CONTENT, patch=64, keep_content=True, **settings)
    level = task.levels[0]
    assert task.grid_stride(level) == 4
    plane = level_planes(task, level).content
    assert plane is not None
    content = CachedContentTarget(plane, task.network, {"contour_1": 1.0}, level.extent, 64)
    whole = ContentTarget(plane, task.network, {"contour_1": 1.0}, 1)
    passes: list[Patch] = []
    features = ContentTarget.features

    def counted(self: ContentTarget, patch: Patch) -> dict[str, Tensor]:
        passes.append(patch)
        return features(self, patch)

    monkeypatch.setattr(ContentTarget, "features", counted)
    for sweep in range(2 * GRID_PERIOD):
        for patch in loop.sweep_patches(task, level, sweep):
            found = content.features(patch)["contour_1"]
            halo = patch.read.padded(24)
            exact = features(whole, Patch(halo, halo, 1))["contour_1"][:, :, 6:-6, 6:-6]
            torch.testing.assert_close(found, exact, rtol=2**-7, atol=2e-3)
    assert len(passes) == 2 * len(content._tiles)


def test_a_patch_that_sees_all_of_the_canvas_comes_back_to_places_whose_content_is_kept(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    task = job(CONTENT, patch=128, keep_content=True, **SMALL)
    level = task.levels[-1]
    assert task.cycles_places(level)
    plane = level_planes(task, level).content
    assert plane is not None
    layers = task.weights.content_layers
    content, plain = (
        RecentContentTarget(plane, task.network, layers, CYCLED_PLACES),
        ContentTarget(plane, task.network, layers, 1),
    )
    passes: list[Patch] = []
    features = ContentTarget.features

    def counted(self: ContentTarget, patch: Patch) -> dict[str, Tensor]:
        passes.append(patch)
        return features(self, patch)

    monkeypatch.setattr(ContentTarget, "features", counted)
    seen: list[Patch] = []
    for sweep in range(3 * GRID_PERIOD):
        (patch,) = loop.sweep_patches(task, level, sweep)
        seen.append(patch)
        for layer, found in content.features(patch).items():
            assert torch.equal(found, features(plain, patch)[layer])
        assert len(content._recent) <= CYCLED_PLACES
    assert len(passes) <= 3 * CYCLED_PLACES
    assert len({*seen[:GRID_PERIOD]}) <= CYCLED_PLACES < len({*seen})
    assert not job(CONTENT, patch=128, keep_content=False, **SMALL).cycles_places(level)


def test_with_kept_content_every_pixel_is_still_seen_once_and_the_loss_descends() -> None:
    settings = {
        **SMALL,
        **FEW,
        "size": 110,
        "coarsest": 110,
        "sweeps": 15,
        "content_layers": {"contour_1": 1},
    }
    terms = terms_of(job(CONTENT, patch=64, keep_content=True, **settings))
    assert sum(t.style for t in terms[-3:]) / 3 < 0.75 * terms[0].style


def test_what_content_costs_decides_whether_it_is_kept() -> None:
    wavelet, vgg = (
        job(CONTENT, network=NetworkName.WAVELET, patch=64, **SMALL).network,
        random_vgg(NetworkName.VGG19, width_divisor=16),
    )
    assert not should_cache_content(wavelet, wavelet.layers, wavelet.content_layers, 512)
    layers = {*vgg.style_layers, *vgg.content_layers}
    assert should_cache_content(vgg, layers, vgg.content_layers, 512)
    assert not should_cache_content(vgg, layers, vgg.content_layers, 128)
    assert not should_cache_content(vgg, layers, (), 512)


def test_a_piece_of_a_sweep_is_not_taken_for_the_canvas() -> None:
    task = job(
        CONTENT,
        network=NetworkName.WAVELET,
        patch=64,
        content_weight=0.0,
        **{**SMALL, "size": 150, "coarsest": 150},
    )
    level = task.levels[-1]
    planes = level_planes(task, level)
    canvas, objective = initial_canvas(task, level, planes.regions), LevelObjective(task, level, planes)
    piece = loop.sweep_patches(task, level, 0)[:1]
    objective.begin_sweep(canvas, piece, 0)
    exact = moments_of(objective.scale_objective(1).objective)["first_2"].second.clone()
    for _ in objective.gradients(canvas, piece):
        pass
    assert torch.equal(moments_of(objective.scale_objective(1).objective)["first_2"].second, exact)
