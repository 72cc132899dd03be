"""The finish: against autograd, over patches, in the last sweeps of the finest level, and what it takes out."""

from math import inf
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from tests.conftest import job, waves
from tests.optim.test_loop import assert_is_the_reference, finished
from tilestyle import RenderConfig, render
from tilestyle.canvas.canvas import Canvas
from tilestyle.geometry.rng import SweepRng
from tilestyle.geometry.sampling import APRON, PatchContext, grid_patches
from tilestyle.losses import color_fringes
from tilestyle.losses.color_fringes import FRINGE_WEIGHT, FringeLoss, style_roughness
from tilestyle.planning.schedule import is_finishing
from tilestyle.stats.color_fringes import fringe_loss, fringe_loss_gradient, roughness_sum

CONTENT = waves(60, 80)
SMALL: dict[str, Any] = {"size": 80, "margin": 8, "coarsest": 56, "level_ratio": 1.5, "sweeps": 8}
SMALL |= {"network": "wavelet", "style_layers": {"first_1": 1}, "content_layers": {"contour_1": 1}}


@pytest.mark.parametrize("shape", [(9, 7), (3, 3), (1, 8), (8, 2), (1, 1)])
@pytest.mark.parametrize("usual", [0.0, 0.3])
def test_the_gradient_is_autograds(shape: tuple[int, int], usual: float) -> None:
    pixels = torch.rand(3, *shape, dtype=torch.float64, requires_grad=True)
    (expected,) = torch.autograd.grad(fringe_loss(pixels, usual) * pixels[0].numel(), pixels)
    torch.testing.assert_close(fringe_loss_gradient(pixels.detach(), usual), expected)


def test_gray_is_no_fringe_and_neither_is_what_changes_slowly() -> None:
    gray = torch.rand(1, 9, 9).expand(3, 9, 9)
    slopes = torch.linspace(0, 1, 9).expand(9, 9) * torch.tensor([1.0, -2.0, 0.5])[:, None, None]
    for pixels in (gray, slopes):
        assert fringe_loss_gradient(pixels, 0.0).abs().max() < 1e-5
        assert roughness_sum(pixels)[0] < 1e-9


def test_over_patches_it_is_that_of_the_whole_canvas() -> None:
    task = job(CONTENT, patch=48, **SMALL)
    level = task.levels[-1]
    canvas = Canvas(level.extent, torch.rand(3, level.extent.height, level.extent.width))
    usual = style_roughness(task, level)
    assert usual is not None
    pixels = canvas.pixels.clone().requires_grad_()
    (expected,) = torch.autograd.grad(FRINGE_WEIGHT * fringe_loss(pixels, usual) * level.extent.area, pixels)
    term, found = FringeLoss(task, level), torch.zeros_like(expected)
    patches = grid_patches(level.extent, 48, task.unit, SweepRng(3, 0, 0), context=PatchContext(apron=APRON))
    assert len(patches) > 3
    for patch in patches:
        part = term.gradient(canvas.read(patch.read))
        rows = torch.arange(patch.owned.top, patch.owned.top + patch.owned.height)
        columns = torch.arange(patch.owned.left, patch.owned.left + patch.owned.width)
        own = part[:, rows[:, None] - patch.read.top, columns - patch.read.left]
        found[:, rows[:, None] % level.extent.height, columns % level.extent.width] = own
    # But for the rim, where the torus goes on and the whole canvas ends.
    torch.testing.assert_close(found[:, 2:-2, 2:-2], expected[:, 2:-2, 2:-2], atol=1e-4, rtol=1e-4)


def test_one_canvas_sized_patch_is_the_reference(monkeypatch: pytest.MonkeyPatch) -> None:
    assert_is_the_reference(job(CONTENT, patch=128, **SMALL), monkeypatch)


def test_it_comes_at_the_end_and_can_be_left_out() -> None:
    task, without = (job(CONTENT, patch=128, finish=on, **SMALL) for on in (True, False))
    coarse, fine = task.levels
    assert [is_finishing(task.config, fine, sweep) for sweep in range(8)] == [False] * 6 + [True] * 2
    assert not any(is_finishing(task.config, coarse, sweep) for sweep in range(8))
    assert [FringeLoss(task, fine).is_active(sweep) for sweep in (5, 6)] == [False, True]
    assert not FringeLoss(without, fine).is_active(7)


def test_what_is_usual_is_looked_at_by_strips(monkeypatch: pytest.MonkeyPatch) -> None:
    task = job(CONTENT, patch=128, **SMALL)
    level = task.levels[-1]
    whole = style_roughness(task, level)
    monkeypatch.setattr(color_fringes, "STRIP_ROWS", 7)
    assert style_roughness(task, level) == pytest.approx(whole, rel=0.05)


def test_it_takes_out_colored_specks() -> None:
    specks = (CONTENT + 0.05 * torch.randn(CONTENT.shape, generator=torch.Generator().manual_seed(1))).clamp(
        0, 1
    )
    settings = {**SMALL, "coarsest": 80, "init": specks, "patch": 96, "sweeps": 24}
    left, taken = (
        roughness_sum(finished(job(CONTENT, finish=on, **settings)).picture())[0] for on in (False, True)
    )
    assert taken < 0.7 * left


def test_what_was_stopped_in_it_goes_on_to_the_same_bytes(tmp_path: Path) -> None:
    settings: dict[str, Any] = {**SMALL, "coarsest": 80, "sweeps": 4, "patch": 48, "precision": "fp32"}
    config, calls = RenderConfig(**settings), [0]

    def made(most: float = inf, work: Path | None = None) -> bytes:
        def stop() -> bool:
            calls[0] += 1
            return calls[0] > most

        calls[0] = 0
        picture = render(CONTENT, waves(70, 90, 1), config, stop=stop, work=work)
        return np.ascontiguousarray(picture.pixels).tobytes()

    expected, asked = made(), calls[0]
    assert made(asked - 3, tmp_path / "work") != expected
    assert made(work=tmp_path / "work") == expected
