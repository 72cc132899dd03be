"""Memory of a device that runs out: what is tried first, and what the render goes on with."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any
from unittest import mock

import numpy as np
import pytest
import torch
from torch import Tensor

from tests.devices.test_gpus import BESIDE, BROKEN, CERTAIN, DOUBTFUL, OURS
from tests.pipeline.test_device import CASES, CONTENT, HALF, SMALL, STYLE
from tests.support.device_cost import on_device
from tests.support.fake_device import DEVICE
from tilestyle import CanvasMoved, PatchHalved, RenderConfig, Work, render
from tilestyle.canvas.canvas import Canvas
from tilestyle.canvas.storage import MemoryStore
from tilestyle.cli.display import announcement
from tilestyle.config.enums import Optimizer
from tilestyle.devices.malloc import release_cached_memory
from tilestyle.distributed import Communicator
from tilestyle.errors import DeviceError, MemoryLimit
from tilestyle.geometry.boxes import Patch
from tilestyle.losses.objective import Objective
from tilestyle.losses.planes import LevelPlanes, level_planes
from tilestyle.optim import initial
from tilestyle.optim.state import RenderState
from tilestyle.optim.update import CanvasUpdater
from tilestyle.pipeline import out_of_memory
from tilestyle.pipeline.events import Event
from tilestyle.pipeline.prepare import prepare
from tilestyle.planning.job import Job
from tilestyle.planning.schedule import Level

# Two levels; the last of several patches, with rims.
CONFIG = replace(SMALL, size=80, coarsest=64, **CASES["coarse layers"])
QUIET: tuple[Any, Any, Any] = (lambda level: None, lambda *sweep: None, lambda: False)


class Card:
    """Memory of the device: who works on it may be refused some."""

    def __init__(
        self, monkeypatch: pytest.MonkeyPatch, failing: Callable[[Card], BaseException | None]
    ) -> None:
        self.calls = 0
        self.home = ""  # of the canvas that is stepped
        self.side = 0  # of the patch
        self.last: Canvas | None = None
        take = CanvasUpdater.apply

        def refuse(step: CanvasUpdater, patch: Patch, gradient: Tensor) -> None:
            self.calls += 1
            self.last = step._canvas
            self.home, self.side = step._canvas.pixels.device.type, max(patch.read.height, patch.read.width)
            error = failing(self)
            if error is not None:
                raise error
            take(step, patch, gradient)

        monkeypatch.setattr(CanvasUpdater, "apply", refuse)


def told(config: RenderConfig, events: list[Event], **named: Any) -> np.ndarray[Any, Any]:
    """A render's pixels; what it goes on with is noted."""

    def note(event: Event) -> None:
        if isinstance(event, PatchHalved | CanvasMoved):
            events.append(event)

    return render(CONTENT, STYLE, config, observer=note, **named).pixels


@pytest.fixture(autouse=True)
def _no_more_memory_than_needed(monkeypatch: pytest.MonkeyPatch) -> None:
    """The canvas is small beside what a patch is reckoned to take."""
    monkeypatch.setattr(out_of_memory, "MIN_FREED_SHARE", 0.0)


@pytest.mark.parametrize("call", [1, 3, 5, 8])
def test_a_canvas_that_no_longer_fits_moves_and_the_picture_is_the_same(
    call: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    events: list[Event] = []
    card = Card(monkeypatch, lambda card: torch.OutOfMemoryError(CERTAIN[0]) if card.calls == call else None)
    with on_device("device"):
        found = told(CONFIG, events)
    assert events == [CanvasMoved()]
    assert card.home == "cpu"
    assert card.last is not None
    steps = card.last.steps
    card.calls = 10**6
    assert np.abs(found - told(CONFIG, [])).mean() < 0.05
    assert torch.equal(steps, card.last.steps)  # every pixel, once a sweep


@pytest.mark.parametrize(
    "case", ["coarse layers", "mask", "anchor", "luminance", "kept content", "overlap", "windows"]
)
def test_whatever_belongs_to_a_canvas_moves_with_it(case: str, monkeypatch: pytest.MonkeyPatch) -> None:
    events: list[Event] = []
    Card(monkeypatch, lambda card: torch.OutOfMemoryError(CERTAIN[0]) if card.calls == 2 else None)
    with on_device("device"):
        found = told(replace(SMALL, **CASES[case]), events)
    assert events == [CanvasMoved()]
    assert np.isfinite(found).all()


@pytest.mark.parametrize("first", [True, False])
def test_planes_of_a_level_that_do_not_fit_are_made_in_ram(
    first: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """No patch is at work then: smaller ones would be of no use."""
    zeros = MemoryStore.zeros
    events: list[Event] = []
    made: list[int] = []

    def refused(store: MemoryStore, channels: int, height: int, width: int, name: str = "") -> Tensor:
        if name == "first" and store.device == DEVICE:
            made.append(height)
            if first or len(made) > 1:
                raise torch.OutOfMemoryError(CERTAIN[0])
        return zeros(store, channels, height, width, name)

    monkeypatch.setattr(MemoryStore, "zeros", refused)
    monkeypatch.setattr(out_of_memory, "MIN_FREED_SHARE", 1e9)
    monkeypatch.setattr("tilestyle.pipeline.run.estimate_seconds", lambda job: None)
    with on_device("device"):
        found = told(CONFIG, events)
    assert events == [CanvasMoved()]
    monkeypatch.setattr(MemoryStore, "zeros", zeros)
    assert np.array_equal(found, told(CONFIG, []))


def test_content_and_regions_that_do_not_fit_beside_a_canvas_are_made_in_ram(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Of the last level, whose canvas has been enlarged by then."""
    made: list[int] = []
    events: list[Event] = []

    def refused(job: Job, level: Level) -> LevelPlanes:
        made.append(level.index)
        if level.index and job.store.device == DEVICE:
            raise torch.OutOfMemoryError(CERTAIN[0])
        return level_planes(job, level)

    monkeypatch.setattr(initial, "level_planes", refused)
    monkeypatch.setattr(out_of_memory, "MIN_FREED_SHARE", 1e9)
    monkeypatch.setattr("tilestyle.pipeline.run.estimate_seconds", lambda job: None)
    config = replace(CONFIG, mask=HALF)
    with on_device("device"):
        found = told(config, events)
    assert (events, made) == ([CanvasMoved()], [0, 1, 1])
    assert np.quantile(np.abs(found - told(config, [])), 0.99) < 1e-3


def test_where_the_canvas_would_free_little_patches_are_halved(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(out_of_memory, "MIN_FREED_SHARE", 1e9)
    events: list[Event] = []
    config = replace(SMALL, patch=128, size=180, coarsest=180)
    card = Card(monkeypatch, lambda card: torch.OutOfMemoryError(CERTAIN[0]) if card.side > 64 else None)
    with on_device("device"):
        told(config, events)
    assert events == [PatchHalved(64)]
    assert card.home == DEVICE.type


def test_at_the_least_patch_the_canvas_moves_after_all(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(out_of_memory, "MIN_FREED_SHARE", 1e9)
    events: list[Event] = []

    def failing(card: Card) -> BaseException | None:
        return torch.OutOfMemoryError(CERTAIN[0]) if card.home == DEVICE.type else None

    Card(monkeypatch, failing)
    with on_device("device"):
        told(replace(SMALL, patch=128, size=40, coarsest=40), events)
    assert events[-1] == CanvasMoved()
    assert {type(event) for event in events[:-1]} == {PatchHalved}


@pytest.mark.parametrize("kind", ["little RAM", "host limit", "in RAM already"])
def test_without_room_in_ram_patches_are_halved(kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    config = replace(SMALL, patch=128)
    with on_device("host" if kind == "in RAM already" else "device"):
        job = prepare(STYLE, config, CONTENT)
    if kind == "little RAM":
        monkeypatch.setattr(out_of_memory, "free_bytes", lambda device: job.memory_estimate.resident)
    elif kind == "host limit":
        job = replace(job, memory_limits=replace(job.memory_limits, host=job.memory_estimate.resident - 1))
    assert not out_of_memory.can_move(job)
    assert not out_of_memory.is_worth_moving(job, RenderState())


@pytest.mark.parametrize("text", [*BESIDE, *DOUBTFUL])
def test_what_libraries_are_refused_is_tried_once_more_as_it_was(
    text: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    released = mock.Mock(wraps=release_cached_memory)
    monkeypatch.setattr(out_of_memory, "release_cached_memory", released)
    events: list[Event] = []
    Card(monkeypatch, lambda card: RuntimeError(text) if card.calls == 5 else None)
    told(replace(SMALL, size=110, coarsest=110), events)
    assert events == []
    assert released.call_args_list == [mock.call(pinned=True)]


@pytest.mark.parametrize("text", [BESIDE[0], DOUBTFUL[0]])
def test_what_fails_twice_in_one_place_is_a_shortage(text: str, monkeypatch: pytest.MonkeyPatch) -> None:
    events: list[Event] = []
    calls = itertools.count()
    Card(monkeypatch, lambda card: RuntimeError(text) if card.side > 64 and next(calls) < 9 else None)
    told(replace(SMALL, patch=128, size=180, coarsest=180), events)
    assert events == [PatchHalved(64)]
    assert next(calls) == 2


def test_each_place_has_its_second_attempt(monkeypatch: pytest.MonkeyPatch) -> None:
    events: list[Event] = []
    card = Card(monkeypatch, lambda card: RuntimeError(DOUBTFUL[0]) if card.calls in (2, 5, 9) else None)
    told(replace(SMALL, size=80, coarsest=80, sweeps=2), events)
    assert card.calls > 9
    assert events == []


def test_a_device_that_only_fails_ends_in_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    Card(monkeypatch, lambda card: RuntimeError(DOUBTFUL[0]))
    with pytest.raises(
        MemoryLimit, match=r"too little memory for the smallest patch.*unable to find an engine"
    ) as caught:
        told(replace(SMALL, patch=128), [])
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("text", [*BROKEN, *OURS])
def test_what_is_no_shortage_is_not_tried_again(text: str, monkeypatch: pytest.MonkeyPatch) -> None:
    card = Card(monkeypatch, lambda card: RuntimeError(text))
    with pytest.raises(RuntimeError) as caught:
        told(SMALL, [])
    assert card.calls == 1
    assert isinstance(caught.value, DeviceError) is (text in BROKEN)


@pytest.mark.parametrize(("text", "kind"), [(DOUBTFUL[0], RuntimeError), (CERTAIN[0], MemoryLimit)])
def test_of_several_ranks_none_tries_alone(
    text: str, kind: type[Exception], monkeypatch: pytest.MonkeyPatch
) -> None:
    job = prepare(STYLE, SMALL, CONTENT)
    optimize = mock.Mock(side_effect=RuntimeError(text))
    monkeypatch.setattr(out_of_memory, "optimize", optimize)
    monkeypatch.setattr(type(job), "comm", Communicator(1, 2))
    with pytest.raises(kind):
        out_of_memory.optimize_with_oom_retry(job, *QUIET)
    assert optimize.call_count == 1


def test_lbfgs_is_tried_once_more(monkeypatch: pytest.MonkeyPatch) -> None:
    config = replace(SMALL, optimizer=Optimizer.LBFGS, patch=192, size=80, coarsest=80)
    expected = told(config, [])
    gradient, calls = Objective.gradient, itertools.count()

    def refused(objective: Objective, *arguments: Any, **named: Any) -> Tensor:
        if next(calls) == 2:
            raise RuntimeError(DOUBTFUL[3])
        return gradient(objective, *arguments, **named)

    monkeypatch.setattr(Objective, "gradient", refused)
    events: list[Event] = []
    found = told(config, events)
    assert events == []
    assert found.shape == expected.shape


def test_a_render_whose_canvas_has_moved_is_resumed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    events: list[Event] = []
    Card(monkeypatch, lambda card: torch.OutOfMemoryError(CERTAIN[0]) if card.calls == 4 else None)
    asked = iter(range(10**6))
    work = Work(tmp_path / "work", every=0.0)
    with on_device("device"):
        told(CONFIG, events, work=work, stop=lambda: next(asked) > 9)
        assert events == [CanvasMoved()]
        assert work.path.exists()
        found = told(CONFIG, events, work=work)
    assert np.isfinite(found).all()
    assert not work.path.exists()


def test_it_is_said_in_one_line() -> None:
    assert announcement(CanvasMoved()) == "out of device memory: moving the canvas to RAM"
