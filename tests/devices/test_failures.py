"""Memory that runs out at any place of a render: it ends right, or in one line."""

from __future__ import annotations

import errno
import itertools
import shutil
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode

from tests.conftest import FEW, waves
from tilestyle import RenderConfig, render
from tilestyle.canvas.canvas import Canvas
from tilestyle.cli.display import announcement
from tilestyle.config.enums import NetworkName
from tilestyle.devices.failures import is_out_of_memory, short_device_errors
from tilestyle.errors import MemoryLimit, TilestyleError
from tilestyle.pipeline import estimate, out_of_memory, timings
from tilestyle.pipeline.events import Event, Started
from tilestyle.pipeline.workdir import Work

CONTENT, STYLE = waves(60, 80), waves(30, 32, 1)
# Two levels; the last has several patches, rims, measured moments and a coarse layer.
CONFIG = RenderConfig(
    size=64,
    patch=64,
    coarsest=48,
    sweeps=(1, 2),
    margin=8,
    device="cpu",
    network=NetworkName.WAVELET,
    style_layers={"color_2": 1, "first_1": 1, "first_4": 1},
    content_layers={"contour_2": 1},
)
ERRORS = (
    torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 MiB."),
    RuntimeError("[enforce fail] DefaultCPUAllocator: can't allocate memory: you tried to allocate 9 bytes."),
    RuntimeError("could not create a primitive"),
    MemoryError(),
    OSError(errno.ENOMEM, "Cannot allocate memory"),
)


@cache
def takes_memory(func: Any) -> bool:
    """Whether an operation is no view, and not in place. (Torch takes long to say so.)"""
    return not func.is_view and not func._schema.name.endswith("_")


class Running(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """Counts operations that take memory, and refuses it to a row of them, from one on."""

    def __init__(self, at: int = -1, error: BaseException | None = None, row: int = 1) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.count = 0
        self._refused = range(at, at + row)
        self._error = error

    @classmethod
    def _should_skip_dynamo(cls) -> bool:
        """Not asked of a compiler, whose import takes seconds."""
        return False

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        """Refuse, or compute."""
        kwargs = kwargs or {}
        answer = func(*args, **kwargs)
        if not takes_memory(func) or "out" in kwargs or self.count >= self._refused.stop > 0:
            return answer
        known = {x.untyped_storage().data_ptr() for x in args if isinstance(x, Tensor)}
        made = [x for x in (answer if isinstance(answer, tuple) else (answer,)) if isinstance(x, Tensor)]
        if all(x.untyped_storage().data_ptr() in known for x in made):  # a view, or a number
            return answer
        self.count += 1
        if self.count - 1 in self._refused and self._error is not None:
            raise self._error
        return answer


def estimated(event: Event) -> None:
    """An observer that shows the first line, time and all, as the command line does."""
    if isinstance(event, Started):
        announcement(event)


class Steps:
    """The canvases that renders end with."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.last: Tensor | None = None
        persist = out_of_memory.optimize_with_oom_retry

        def noted(*arguments: Any, **options: Any) -> tuple[Canvas, bool]:
            canvas, complete = persist(*arguments, **options)
            self.last = canvas.steps.clone()
            return canvas, complete

        monkeypatch.setattr("tilestyle.pipeline.run.optimize_with_oom_retry", noted)


KINDS: dict[str, dict[str, Any]] = {
    "plain": {"size": 80, "coarsest": 64},
    "overlap": {"overlap": 16, **FEW},
    "local": {"locality": 0.5, "sweeps": 1, "size": 80, "coarsest": 80, "patch": 96, **FEW},
    "kept": {"keep_content": True, **FEW},
    "lbfgs": {"optimizer": "lbfgs", "patch": None, **FEW},
}
PLACES = 3  # of each kind, spread over the whole render


@pytest.mark.parametrize("kind", KINDS)
def test_memory_may_run_out_anywhere(kind: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """In the estimate, in moments, a patch, a step, a checkpoint, between levels, at the end."""
    config = replace(CONFIG, **KINDS[kind])
    work = Work(tmp_path / "work", every=0.0)
    steps = Steps(monkeypatch)
    expected = render(CONTENT, STYLE, config, observer=estimated, work=work).pixels
    with Running() as peaceful:  # the first time, libraries and caches take more
        assert np.array_equal(render(CONTENT, STYLE, config, observer=estimated, work=work).pixels, expected)
    assert steps.last is not None
    usual = steps.last
    errors = itertools.cycle(ERRORS)
    ended = 0
    for place in range(PLACES):
        at, error = (2 * place + 1) * peaceful.count // (2 * PLACES), next(errors)
        with Running(at, error) as running:
            try:
                found = render(CONTENT, STYLE, config, observer=estimated, work=work).pixels
            except TilestyleError as said:
                assert "\n" not in str(said) and "memory" in str(said) + type(said).__name__.lower(), said
                found = None
        assert running.count > at
        if found is None:  # what had been kept is gone on with
            found = render(CONTENT, STYLE, config, observer=estimated, work=work).pixels
        else:
            ended += 1
        assert found.shape == expected.shape
        assert abs(found - expected).mean() < 0.1
        if kind not in ("overlap", "lbfgs"):  # where steps are not counted, or are drawn anew
            assert torch.equal(steps.last, usual), (at, error)
    assert ended or kind == "lbfgs"  # whose patches are the least there can be


@pytest.mark.parametrize(("error", "row"), [(ERRORS[0], 1), (ERRORS[1], 10_000), (ERRORS[3], 1)])
def test_the_estimate_never_ends_a_render(
    error: Exception, row: int, fresh_cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """However little of the attempt succeeds, the time is unknown and the render begins."""
    monkeypatch.setattr(estimate, "WORTH_MEASURING", 0)
    events: list[Event] = []
    render(CONTENT, STYLE, replace(CONFIG, **FEW), observer=events.append)
    started = events[0]
    assert isinstance(started, Started)
    assert started.seconds()
    shutil.rmtree(fresh_cache)
    timings.forget()
    with Running() as peaceful:  # the first time, libraries and caches take more
        assert started.seconds()
    for place in range(PLACES):
        shutil.rmtree(fresh_cache, ignore_errors=True)
        timings.forget()
        with Running(place * peaceful.count // 4, error, row):
            assert announcement(started).endswith(" in RAM")


@pytest.mark.parametrize("error", ERRORS, ids=lambda error: type(error).__name__)
def test_a_shortage_is_said_in_one_line(error: Exception) -> None:
    assert is_out_of_memory(error)
    with (
        pytest.raises(MemoryLimit, match="memory ran out while it was painted") as caught,
        short_device_errors("it was painted"),
    ):
        raise error
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    "error", [RuntimeError("shapes differ"), OSError(errno.ENOSPC, "full"), ValueError("x"), MemoryLimit("x")]
)
def test_other_errors_are_not_taken_for_a_shortage(error: Exception) -> None:
    assert not is_out_of_memory(error)
    with pytest.raises(type(error)), short_device_errors("it was painted"):
        raise error
