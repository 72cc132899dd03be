"""Masks and maps: regions of the canvas, each with a style of its own."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from tests.conftest import FEW, waves
from tests.support.cli import run_cli
from tilestyle import RenderConfig, Style, render, texture
from tilestyle.canvas.canvas import Canvas, pixel_indices
from tilestyle.canvas.margin import with_margin
from tilestyle.config.enums import Optimizer, Precision, StyleLoss
from tilestyle.errors import PictureError, SettingError
from tilestyle.geometry.boxes import Box, Patch
from tilestyle.geometry.rng import SweepRng
from tilestyle.geometry.sampling import grid_patches
from tilestyle.losses.objective import Objective
from tilestyle.losses.planes import region_weights
from tilestyle.losses.scale_objective import ScaleObjective, ScaleSpec
from tilestyle.losses.style_statistics import style_moments
from tilestyle.optim import initial, loop
from tilestyle.optim.initial import initial_canvas
from tilestyle.optim.state import RenderState
from tilestyle.pipeline.prepare import prepare
from tilestyle.planning.job import Job, LevelTargets
from tilestyle.planning.masks import read_flat_mask
from tilestyle.reference.autograd_distances import gram_distance, statistics_distance, wasserstein_distance
from tilestyle.stats.moments import Moments, MomentSum

CONTENT, ONE, OTHER = waves(96, 128), waves(70, 90, 1), waves(64, 50, 2)
QUICK: dict[str, Any] = {"sweeps": 3, "coarsest": 64, "patch": 64, "precision": Precision.FP32, **FEW}
RED, BLUE, GREEN = (255, 0, 0), (0, 0, 255), (0, 255, 0)


def painted(*colors: tuple[int, int, int], height: int = 96, width: int = 128) -> Any:
    """Upright stripes, one of each color."""
    stripes = np.array(colors, np.uint8)[np.arange(width) * len(colors) // width]
    return np.broadcast_to(stripes, (height, width, 3)).copy()


def objective_of(task: Job) -> Objective:
    level = task.levels[-1]
    goal = LevelTargets(style_moments(task, level), None, region_weights(task, level))
    return ScaleObjective(task, level, goal, ScaleSpec(task.weights.layer_names)).objective


def test_weighted_cells_are_cells_counted_as_often() -> None:
    features = torch.rand(1, 4, 3, 5, dtype=torch.float64)
    weights = torch.randint(0, 3, (3, 5))
    found, expected = MomentSum(), MomentSum()
    found.add(features, weights.double())
    for count in (1, 2):
        for _ in range(count):
            expected.add(features[:, :, weights == count][..., None])
    assert found.moments().count == weights.sum()
    torch.testing.assert_close(found.moments().second, expected.moments().second)
    torch.testing.assert_close(found.moments().mean, expected.moments().mean)


@pytest.mark.parametrize("loss", list(StyleLoss))
def test_a_canvas_of_regions_has_autograds_gradient(loss: StyleLoss) -> None:
    ramp = np.linspace(0, 1, 128, dtype=np.float32)[None, :, None].repeat(96, 0).repeat(3, 2)
    settings = {**QUICK, "patch": 192, "palette_weight": 0}
    config = RenderConfig(blend_map=ramp, size=(128, 96), style_loss=loss, **settings)
    task = prepare([ONE, OTHER], config)
    network = task.network.to(torch.device("cpu"), torch.float64)
    task = Job(**{**vars(task), "network": network})
    level = task.levels[-1]
    extent = level.extent
    plane = region_weights(task, level)
    assert plane is not None
    pixels = with_margin(waves(96, 128, 5), extent).double().requires_grad_()
    whole = Box(0, 0, extent.height, extent.width)
    objective = objective_of(task)
    found = objective.gradient(pixels.detach(), Patch(whole, whole, 1), single_patch=True)
    features = network.features(pixels[None], task.weights.style_layers)
    total = torch.zeros((), dtype=torch.float64)
    for region, goals in enumerate(style_moments(task, level)):
        for layer, weight in task.weights.style_layers.items():
            weights = torch.nn.functional.avg_pool2d(plane._plane[None].double(), network.layers[layer].stride)
            share, flat = weights[0, region].flatten(), features[layer][0].flatten(1)
            mean, second = flat @ share / share.sum(), (flat * share) @ flat.mT / share.sum()
            ours, goal = Moments(1, mean, second), goals[layer].double()
            value = wasserstein_distance(ours, goal) if loss is StyleLoss.W2 else gram_distance(ours, goal)
            if loss is StyleLoss.STATISTICS:
                value = value + task.config.statistics_weight * statistics_distance(ours, goal)
            total = total + weight * share.mean() * value
    (expected,) = torch.autograd.grad(total * extent.area, pixels)
    # Targets are float32, and the slope of a deviation is steep near none.
    atol = (1e-3 if loss is StyleLoss.STATISTICS else 2e-5) * float(expected.abs().max())
    torch.testing.assert_close(found.double(), expected, rtol=1e-3, atol=atol)
    assert objective.end_sweep().style == pytest.approx(total.item(), rel=1e-4)


def test_a_mask_of_one_region_is_no_mask() -> None:
    config: dict[str, Any] = {**QUICK, "size": 90}
    expected = render(CONTENT, ONE, RenderConfig(**config)).pixels
    found = render(CONTENT, ONE, RenderConfig(mask=painted(RED), **config)).pixels
    # Weights of one are multiplied in, which rounds.
    np.testing.assert_allclose(found, expected, atol=1e-4)


def test_every_region_takes_the_colors_of_its_style() -> None:
    dark, light = 0.3 * waves(80, 80, 1), 0.7 + 0.3 * waves(80, 80, 2)
    styles = [Style(dark, "#ff0000"), Style(light, "#0000ff")]
    config = RenderConfig(
        mask=painted(RED, BLUE), size=(128, 96), **{**QUICK, "sweeps": 8, "learning_rate": 0.1}
    )
    pixels = texture(styles, config).pixels
    assert pixels[:, :48].mean() < 0.35
    assert pixels[:, 80:].mean() > 0.65


def test_a_style_is_taken_from_the_part_that_its_mask_says() -> None:
    style = torch.cat([0.3 * waves(80, 60, 1), 0.7 + 0.3 * waves(80, 60, 2)], 2)
    for colors, bright in (((RED, BLUE), False), ((BLUE, RED), True)):
        config = RenderConfig(mask=painted(RED), **QUICK)
        task = prepare(Style(style, painted(*colors, height=40, width=60)), config, CONTENT)
        (found,) = style_moments(task, task.levels[-1])
        part = style[:, :, 60:] if bright else style[:, :, :60]
        mean = style_moments(prepare(part, RenderConfig(**QUICK), CONTENT), task.levels[-1])[0]["color_2"].mean
        both = style_moments(prepare(style, RenderConfig(**QUICK), CONTENT), task.levels[-1])[0]["color_2"].mean
        assert (found["color_2"].mean - mean).norm() < 0.1 * (both - mean).norm()


def test_what_has_no_style_stays_the_content_to_the_byte(tmp_path: Path) -> None:
    content = (CONTENT.permute(1, 2, 0).numpy() * 255).astype(np.uint8)
    Image.fromarray(content).save(tmp_path / "content.png")
    Image.fromarray((ONE.permute(1, 2, 0).numpy() * 255).astype(np.uint8)).save(tmp_path / "style.png")
    Image.fromarray(painted(RED, GREEN)).save(tmp_path / "mask.png")
    words = ["render", "content.png", "-s", "style.png:#ff0000", "--mask", "mask.png", "-o", "o.png"]
    done = run_cli(tmp_path, *words, "--sweeps", "3", "--init", "noise", "--patch", "64")
    assert done.returncode == 0, done.stderr
    found = np.asarray(Image.open(tmp_path / "o.png"))
    assert np.array_equal(found[:, 66:], content[:, 66:])
    assert np.abs(found[:, :60].astype(int) - content[:, :60]).mean() > 10


def test_a_level_that_failed_to_begin_is_begun_again_to_the_same_bytes(monkeypatch: pytest.MonkeyPatch) -> None:
    task = prepare(
        [Style(ONE, "#ff0000")],
        RenderConfig(mask=painted(RED, GREEN), size=90, **{**QUICK, "sweeps": 2}),
        CONTENT,
    )

    def run(standing: RenderState) -> Canvas:
        return loop.optimize(task, lambda level: None, lambda *sweep: None, lambda: False, standing)[0]

    whole, expose, calls, at = run(RenderState()), initial.restore_unstyled_pixels, [0], RenderState()

    def failing(*facts: Any) -> None:
        calls[0] += 1
        if calls[0] == 2:
            raise MemoryError
        expose(*facts)

    monkeypatch.setattr(initial, "restore_unstyled_pixels", failing)
    with pytest.raises(MemoryError):
        run(at)
    assert at.level == 0
    assert torch.equal(run(at).pixels, whole.pixels)
    assert calls[0] > 2


def test_regions_share_the_canvas_whatever_its_size() -> None:
    config = RenderConfig(mask=painted(RED, GREEN, BLUE), size=300, **QUICK)
    task = prepare([Style(ONE, "#ff0000"), Style(OTHER, "#0000ff")], config, CONTENT)
    for level in task.levels:
        regions = region_weights(task, level)
        assert regions is not None
        assert regions.has_unstyled
        picture = level.extent.picture
        middle = Box(
            picture.top, picture.left + picture.width // 3 + 8, picture.height, picture.width // 3 - 16
        )
        assert float(regions.coverage(middle).max()) == 0
        under = pixel_indices([picture, middle], level.extent, torch.device("cpu"))
        each = [regions.coverage(box).flatten(1) for box in (picture, middle)]
        assert torch.equal(regions.coverage_at(under), torch.cat(each, 1))
        assert sum(regions.area_shares) == pytest.approx(2 / 3, abs=0.1)


def test_patches_of_a_sweep_count_every_region_whole() -> None:
    config = RenderConfig(mask=painted(RED, BLUE), size=(160, 160), **{**QUICK, "style_layers": {"first_1": 1}})
    task = prepare([Style(ONE, "#ff0000"), Style(OTHER, "#0000ff")], config)
    level = task.levels[-1]
    objective, regions = objective_of(task), region_weights(task, level)
    assert regions is not None
    canvas = Canvas(level.extent, with_margin(waves(160, 160, 5), level.extent))
    for patch in grid_patches(level.extent, 64, task.unit, SweepRng(0, 0, 3)):
        objective.gradient(canvas.read(patch.read), patch)
    counts = [
        float(objective.state_dict()[f"style {region} sums first_1 count"]) * 4 / level.extent.area
        for region in (0, 1)
    ]
    assert counts == pytest.approx(regions.area_shares, rel=1e-5)


def test_many_patches_go_on_from_what_was_kept_to_the_same_bytes() -> None:
    config = RenderConfig(mask=painted(RED, BLUE), size=200, **QUICK)
    styles = [Style(ONE, "#ff0000"), Style(OTHER, "#0000ff")]
    task = prepare(styles, config, CONTENT)
    objective = objective_of(task)
    level = task.levels[-1]
    canvas = initial_canvas(task, level, region_weights(task, level))
    patches = grid_patches(level.extent, 64, task.unit, SweepRng(0, 0, 3))
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


def test_masks_are_read_whatever_they_were_packed_with(tmp_path: Path) -> None:
    Image.fromarray(painted(RED, (128, 128, 128), BLUE)).resize((500, 300)).save(tmp_path / "m.jpg", quality=80)
    assert len(read_flat_mask(tmp_path / "m.jpg").colors) == 3
    with pytest.raises(PictureError, match="flat colors"):
        read_flat_mask(np.random.default_rng(0).integers(0, 255, (64, 64, 3), np.uint8))


@pytest.mark.parametrize(
    ("styles", "settings", "message"),
    [
        ([Style(ONE, "#ff0000")], {}, "the canvas has none"),
        ([Style(ONE, "#00ff00")], {"mask": painted(RED, BLUE)}, "#00ff00, but the mask has #0000ff, #ff0000"),
        (
            [Style(ONE, "#ff0000")],
            {"mask": painted(RED, BLUE), "size": 64},
            "no style is assigned to the mask's color #0000ff",
        ),
        ([ONE], {"blend_map": painted(RED)}, "at least two styles"),
        ([ONE, OTHER], {"blend_map": painted(RED), "mask": painted(RED)}, "blend map cannot be combined"),
        ([ONE, OTHER], {"blend_map": painted(RED), "locality": 0.5}, "locality"),
    ],
)
def test_what_does_not_go_together_is_refused(styles: Any, settings: dict[str, Any], message: str) -> None:
    with pytest.raises(SettingError, match=message):
        texture(styles, RenderConfig(**{**QUICK, **settings}))


def test_what_has_no_style_stays_the_content_with_exact_gradients() -> None:
    config = RenderConfig(
        mask=painted(RED, GREEN), optimizer=Optimizer.LBFGS, **{**QUICK, "patch": None, "sweeps": 2}
    )
    found = render(CONTENT, Style(ONE, "#ff0000"), config).pixels
    content = CONTENT.permute(1, 2, 0).numpy()
    assert np.array_equal(found[:, 66:], content[:, 66:])
    assert np.abs(found[:, :60] - content[:, :60]).mean() > 0.01


def test_a_run_with_masks_is_made_again_from_its_settings(tmp_path: Path) -> None:
    for name, pixels in (("content", CONTENT), ("style", ONE)):
        Image.fromarray((pixels.permute(1, 2, 0).numpy() * 255).astype(np.uint8)).save(tmp_path / f"{name}.png")
    Image.fromarray(painted(RED, GREEN)).save(tmp_path / "mask.png")
    Image.fromarray(painted(BLUE, RED)).save(tmp_path / "own.png")
    words = [
        "render",
        "content.png",
        "-s",
        "style.png:own.png",
        "-s",
        "style.png:#00ff00",
        "--mask",
        "mask.png",
    ]
    (tmp_path / "kept").mkdir()
    one = run_cli(tmp_path, *words, "-o", "one.png", "--sweeps", "1", "--save-config", "kept/run.toml")
    assert one.returncode == 0, one.stderr
    again = run_cli(tmp_path, "render", "--config", "kept/run.toml", "-o", "again.png")
    assert again.returncode == 0, again.stderr
    first, second = (np.asarray(Image.open(tmp_path / name)) for name in ("one.png", "again.png"))
    assert np.array_equal(first, second)
