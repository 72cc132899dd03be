"""Coarse layers seen from afar."""

import pytest
import torch

from tests.conftest import job, waves
from tilestyle.canvas.canvas import Canvas
from tilestyle.canvas.margin import with_margin
from tilestyle.config.enums import NetworkName
from tilestyle.geometry.boxes import Box
from tilestyle.geometry.rng import SweepRng
from tilestyle.losses.coarse import CoarseLayersObjective
from tilestyle.losses.planes import level_planes
from tilestyle.losses.style_statistics import style_moments
from tilestyle.planning.job import Job, LevelTargets

CONTENT = waves(200, 280)


def coarse_of(task: Job, draw: SweepRng) -> tuple[CoarseLayersObjective, Canvas]:
    level = task.levels[-1]
    coarse = CoarseLayersObjective(
        task,
        level,
        LevelTargets(style_moments(task, level), level_planes(task, level).content),
        4,
        {"shape_3": "shape_1"},
    )
    picture = level.extent.picture
    canvas = Canvas(level.extent, with_margin(waves(picture.height, picture.width, 5), level.extent))
    coarse.compute_gradient(canvas, draw)
    return coarse, canvas


@pytest.mark.parametrize("side", [64, 128])
def test_the_gradient_is_that_of_the_loss(side: int) -> None:
    task = job(
        CONTENT,
        patch=side,
        style_weight=0.0,
        content_weight=0.5,
        network=NetworkName.WAVELET,
        content_layers={"shape_3": 1},
        size=280,
        coarsest=280,
    )
    draw = SweepRng(3, 0, 7)
    coarse, canvas = coarse_of(task, draw)
    coarse.end_sweep()
    height, width = canvas.extent.height, canvas.extent.width
    # Through boxes anywhere on the torus, as patches read it.
    gradient = torch.cat(
        [
            torch.cat([coarse.gradient(Box(y, x, height // 2, width // 2)) for x in (0, width // 2)], 2)
            for y in (0, height // 2)
        ],
        1,
    )
    direction = torch.randn_like(canvas.pixels) * 0.01 + gradient / gradient.abs().max()
    contents = []
    for way in (0.02, -0.02):
        coarse.compute_gradient(Canvas(canvas.extent, canvas.pixels + way * direction), draw)
        contents.append(coarse.end_sweep().content)
    slope = (contents[0] - contents[1]) / 0.04 * task.weights.content * canvas.extent.area
    assert slope == pytest.approx(float((gradient * direction).sum()), rel=0.01)


def test_terms_come_from_both_octaves() -> None:
    task = job(CONTENT, network=NetworkName.WAVELET, patch=128, size=280)
    assert set(task.scale_groups(task.levels[-1])) == {1, 4}
    assert set(
        job(CONTENT, network=NetworkName.WAVELET, patch=512, size=280).scale_groups(task.levels[-1])
    ) == {1}
    only_coarse = job(
        CONTENT,
        network=NetworkName.WAVELET,
        patch=128,
        size=280,
        style_layers={"first_5": 1},
        content_layers={"shape_5": 1},
    )
    assert set(only_coarse.scale_groups(task.levels[-1])) == {1}
