"""Content, content map and regions at the size of a level."""

import weakref
from typing import Any
from unittest import mock

import numpy as np
import pytest
from torch import Tensor

from tests.conftest import FEW, waves
from tilestyle import RenderConfig, Style
from tilestyle.canvas.margin import with_margin
from tilestyle.config.enums import Optimizer, Precision
from tilestyle.losses.planes import LevelPlanes
from tilestyle.optim import loop
from tilestyle.optim.initial import begin_level
from tilestyle.pipeline.prepare import prepare
from tilestyle.planning.job import Job
from tilestyle.planning.schedule import Level

RED, GREEN = (255, 0, 0), (0, 255, 0)


def masked_job(**settings: Any) -> Job:
    """A job with every plane: content, content map, and a region beside which the content stays."""
    mask = np.array([RED, GREEN], np.uint8)[np.arange(48) // 24]
    config = RenderConfig(
        mask=np.broadcast_to(mask, (40, 48, 3)).copy(),
        content_map=np.linspace(0, 1, 40 * 48).reshape(40, 48),
        size=64,
        coarsest=45,
        sweeps=1,
        patch=96,
        precision=Precision.FP32,
        **{**FEW, **settings},
    )
    return prepare([Style(waves(40, 40, 1), "#ff0000")], config, waves(40, 48))


@pytest.mark.parametrize("optimizer", [Optimizer.ADAM, Optimizer.LBFGS])
def test_each_is_resampled_once_a_level(optimizer: Optimizer) -> None:
    job = masked_job(optimizer=optimizer)
    assert len(job.levels) > 1
    resampled = mock.Mock(side_effect=with_margin)
    with mock.patch("tilestyle.losses.planes.with_margin", resampled):
        loop.optimize(job, lambda level: None, lambda *sweep: None, lambda: False)
    sources = [id(call.args[0]) for call in resampled.call_args_list]
    for picture in (job.content, job.content_map, job.region_weights):
        assert sources.count(id(picture)) == len(job.levels)


def test_those_of_a_level_are_released_before_the_next_begins(monkeypatch: pytest.MonkeyPatch) -> None:
    held: list[weakref.ref[Tensor]] = []
    seen_alive: list[int] = []

    def begun(job: Job, level: Level, state: Any) -> LevelPlanes:
        level_planes = begin_level(job, level, state)
        assert level_planes.content is not None
        held.append(weakref.ref(level_planes.content))
        return level_planes

    def on_level(level: Level) -> None:
        seen_alive.append(sum(reference() is not None for reference in held))

    monkeypatch.setattr(loop, "begin_level", begun)
    job = masked_job()
    loop.optimize(job, on_level, lambda *sweep: None, lambda: False)
    assert len(held) == len(job.levels) > 1
    assert seen_alive == [0] * len(job.levels)
