"""Self-similarity: the closed form against autograd, patches against the whole, and what it does not see."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from tests.conftest import job, waves
from tests.losses.test_exact import NEAR, canvas_of
from tests.optim.test_loop import assert_is_the_reference, finished, terms_of
from tilestyle import RenderConfig, render
from tilestyle.config.enums import ContentLoss, NetworkName, Normalize, Optimizer, Sampler
from tilestyle.geometry.boxes import Box
from tilestyle.geometry.rng import SweepRng
from tilestyle.geometry.sampling import halo_tiles
from tilestyle.losses.content import ContentTarget
from tilestyle.losses.exact import ExactObjective
from tilestyle.losses.planes import level_planes
from tilestyle.networks.base import FeatureNetwork
from tilestyle.networks.random_vgg import random_vgg
from tilestyle.planning.job import Job
from tilestyle.reference.autograd_distances import mean_distance, self_similarity
from tilestyle.reference.untiled_losses import content_loss
from tilestyle.stats import self_similarity as similarity

CONTENT = waves(60, 80)
ALIKE: dict[str, Any] = {"content_loss": ContentLoss.SELF_SIMILARITY, "content_weight": 0.3}
SMALL: dict[str, Any] = {"size": 80, "sweeps": 6, "margin": 8, "coarsest": 64, **ALIKE}


@pytest.mark.parametrize("flat", [False, True])
def test_the_gradient_is_autograds(flat: bool) -> None:
    found = torch.randn(5, 40, dtype=torch.float64)
    if flat:  # rows of one place's distances are below the least
        found = 1 + 1e-3 * found
    wanted = torch.rand(5, 40, dtype=torch.float64)
    found.requires_grad_()
    loss = self_similarity(found, wanted, 1e-2, 0.4)
    (expected,) = torch.autograd.grad(loss, found)
    value, gradient = similarity.self_similarity_loss(found.detach(), wanted, 1e-2, 0.4)
    torch.testing.assert_close(value, loss)
    torch.testing.assert_close(gradient, expected)
    assert expected.abs().max() > 1e-4


@pytest.mark.parametrize("least", [0.0, 0.2])
def test_so_it_is_where_places_have_weights(least: float) -> None:
    found, wanted = torch.randn(5, 40, dtype=torch.float64), torch.rand(5, 40, dtype=torch.float64)
    weights = torch.rand(40, dtype=torch.float64).sub(0.3).clamp(min=least)
    found.requires_grad_()
    loss = self_similarity(found, wanted, 1e-2, 0.4, weights)
    (expected,) = torch.autograd.grad(loss, found)
    value, gradient = similarity.self_similarity_loss(found.detach(), wanted, 1e-2, 0.4, weights)
    torch.testing.assert_close(value, loss)
    torch.testing.assert_close(gradient, expected)
    assert expected.abs().max() > 1e-4


def test_places_without_weight_are_as_if_they_were_not_there() -> None:
    found, wanted = torch.randn(5, 40), torch.rand(5, 40)
    weights = (torch.arange(40) < 25).float()
    loss, gradient = similarity.self_similarity_loss(found, wanted, 1e-2, 0.4, weights)
    part, part_gradient = similarity.self_similarity_loss(found[:, :25], wanted[:, :25], 1e-2, 0.4)
    share = (25 / 40) ** 2  # of the pairs
    torch.testing.assert_close(loss, share * part)
    torch.testing.assert_close(gradient[:, :25], share * part_gradient)
    assert not gradient[:, 25:].any()
    assert not similarity.self_similarity_loss(found, wanted, 1e-2, 0.4, torch.zeros(40))[1].any()


def test_it_sees_which_places_are_alike_and_nothing_else() -> None:
    wanted = torch.randn(6, 50, dtype=torch.float64)
    turn = torch.linalg.qr(torch.randn(6, 6, dtype=torch.float64)).Q
    brightness = torch.rand(50, dtype=torch.float64) + 0.5
    for other in (wanted, turn @ wanted, wanted * brightness):
        assert self_similarity(other, wanted, 0.0, 1.0) < 1e-12
    assert self_similarity(wanted.roll(1, 1), wanted, 0.0, 1.0) > 0.1


@pytest.mark.parametrize("value", [0.0, 1.0])
def test_places_that_are_all_alike_have_no_loss_and_no_slope_that_is_not_finite(value: float) -> None:
    flat, other = torch.full((3, 20), value), torch.rand(3, 20)
    loss, gradient = similarity.self_similarity_loss(other, flat, 1e-3, similarity.MIN_DISTANCE)
    assert loss < 1e-2
    assert gradient.abs().max() < 1
    loss, gradient = similarity.self_similarity_loss(flat, other, 1e-3, 0.1)
    assert bool(torch.isfinite(gradient).all())
    assert loss > 0


def test_places_are_of_the_sweep_and_the_patch() -> None:
    cells, place = Box(1, 2, 30, 40), Box(-5, 3, 240, 320)

    def places(draw: SweepRng, at: Box = place, most: int = 100) -> list[tuple[int, int]]:
        rows, columns = similarity.sample_cells(cells, draw, at, most)
        return list(zip(rows.tolist(), columns.tolist(), strict=True))

    first = places(SweepRng(1, 2, 3))
    assert first == places(SweepRng(1, 2, 3))
    assert len(set(first)) == 100
    assert all(1 <= row < 31 and 2 <= column < 42 for row, column in first)
    others = [
        places(SweepRng(1, 2, 4)),
        places(SweepRng(2, 2, 3)),
        places(SweepRng(1, 2, 3), Box(-5, 4, 240, 320)),
    ]
    assert all(len(set(first) & set(other)) < 30 for other in others)
    every = places(SweepRng(1, 2, 3), most=1200)
    assert every == [(row, column) for row in range(1, 31) for column in range(2, 42)]


@pytest.mark.parametrize("samples", [100, 1000])
def test_one_canvas_sized_patch_is_the_reference(samples: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(similarity, "MAX_SAMPLES", samples)
    few = {
        "network": "wavelet",
        "style_layers": {"first_1": 1},
        "content_layers": {"contour_2": 1, "shape_3": 1},
        "sweeps": 4,
    }
    assert_is_the_reference(job(CONTENT, patch=128, **{**SMALL, **few}), monkeypatch)


@pytest.mark.parametrize("normalize", list(Normalize))
@pytest.mark.parametrize("samples", [30, 1000])
def test_over_tiles_it_is_the_untiled_loss_within_them(
    normalize: Normalize, samples: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With halos, whose cells are those of the whole canvas."""
    monkeypatch.setattr(similarity, "MAX_SAMPLES", samples)
    settings = {**ALIKE, **NEAR, "size": 150, "coarsest": 150, "margin": 9, "patch": 96, "style_weight": 0.0}
    task = job(waves(100, 150), normalize=normalize, optimizer=Optimizer.LBFGS, **settings)
    canvas, level = canvas_of(task)
    unit = max(task.network.layers[name].stride for name in task.weights.layer_names)
    patches = halo_tiles(level.extent, task.patch_side, unit, task.halo)
    assert len(patches) >= 6
    pixels = canvas.pixels.clone().requires_grad_()
    loss = content_loss(task, pixels, level_planes(task, level).content, patches=patches)
    (expected,) = torch.autograd.grad(0.3 * loss * level.extent.area, pixels)
    terms, found = ExactObjective(task, level, level_planes(task, level))(canvas)
    assert terms.content == pytest.approx(loss.item(), rel=1e-4)
    assert loss.item() > 0.01
    assert (found - expected).norm() < 1e-3 * expected.norm()


def test_it_is_measured_in_the_mean_distance_of_the_whole_content() -> None:
    task = job(CONTENT, patch=64, **SMALL)
    level = task.levels[-1]
    plane = level_planes(task, level).content
    assert plane is not None
    content = ContentTarget(plane, task.network, task.weights.content_layers, 1)
    content.loss_form = ContentLoss.SELF_SIMILARITY
    content.measure_energies(level.extent, 128, task.unit)
    for layer, response in task.network.features(plane[None], task.weights.content_layers).items():
        expected = mean_distance(response[0].flatten(1), content.min_norm(layer)).item()
        assert content.energies[layer] == pytest.approx(expected, rel=1e-3)


SEVERAL: dict[str, Any] = {**SMALL, "size": 110, "coarsest": 110, "sweeps": 6, "patch": 64, "palette_weight": 0}
FEW: dict[str, Any] = {"network": "wavelet", "style_layers": {"first_1": 1}, "content_layers": {"contour_1": 1}}


@pytest.mark.parametrize(
    "settings",
    [
        {},
        {"overlap": 8, "patch": 96},
        {"keep_content": True},
        {"sampler": Sampler.WINDOWS, "scale_odds": (0.8, 0.2)},
        {"network": "wavelet", "content_layers": {"contour_1": 1, "shape_4": 1}},  # one of them seen from afar
    ],
)
def test_every_way_of_covering_holds_the_content(settings: dict[str, Any]) -> None:
    kept, left = (
        terms_of(job(waves(100, 150), **{**SEVERAL, **FEW, "content_weight": weight, **settings}))
        for weight in (3.0, 1e-9)
    )
    assert kept[-1].content < 0.9 * left[-1].content


def test_what_was_stopped_goes_on_to_the_same_bytes(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(similarity, "MAX_SAMPLES", 40)
    settings: dict[str, Any] = {**SEVERAL, **FEW, "sweeps": 3, "precision": "fp32"}
    config, asked = RenderConfig(**settings), iter(range(100))

    def made(stop: Callable[[], bool] | None = None, work: Path | None = None) -> bytes:
        return np.ascontiguousarray(
            render(CONTENT, waves(70, 90, 1), config, stop=stop, work=work).pixels
        ).tobytes()

    expected = made()
    assert made(lambda: next(asked) >= 5, tmp_path / "work") != expected
    assert made(work=tmp_path / "work") == expected


def test_trained_networks_hold_it_too() -> None:
    network: FeatureNetwork = random_vgg(NetworkName.VGG16, width_divisor=16)
    task = job(CONTENT, patch=128, **{**SMALL, "coarsest": 80, "sweeps": 3})
    vgg = Job(**{**vars(task), "network": network, "weights": weights_of(task, network)})
    assert bool(torch.isfinite(finished(vgg).pixels).all())


def weights_of(task: Job, network: FeatureNetwork) -> Any:
    weights = task.weights.for_layers({})
    return type(weights)(
        **{
            **{name: getattr(weights, name) for name in weights.__dataclass_fields__},
            "style_layers": {"relu1_1": 1.0},
            "content_layers": {"relu3_1": 1.0},
        }
    )
