"""Page-locked memory that the system refuses: copies are slower, and nothing else changes."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest
import torch
from torch import Tensor

from tests.pipeline.test_device import CONTENT, SMALL, STYLE
from tests.support.device_cost import on_device
from tests.support.fake_device import DEVICE
from tilestyle import CanvasMoved, PatchHalved, notices, render
from tilestyle.devices.pinned import try_pinned_empty
from tilestyle.devices.staging import AsyncCopy
from tilestyle.devices.transfer import to_device
from tilestyle.pipeline.events import Event

REFUSALS = (
    torch.OutOfMemoryError("CUDA out of memory."),
    RuntimeError("CUDA error: out of memory\nCUDA kernel errors might be asynchronously reported"),
    RuntimeError("CUDA error: OS call failed or operation not supported on this OS"),
    RuntimeError("CUDA error: invalid argument"),
    RuntimeError("HIP error: out of memory"),
)


def refusing(monkeypatch: pytest.MonkeyPatch, error: Exception, times: int) -> list[int]:
    """Let page-locked memory be refused so often; answers how often it was asked for, and caches emptied."""
    asked = [0, 0]

    def locked(shape: Sequence[int], dtype: torch.dtype) -> Tensor:
        asked[0] += 1
        if asked[0] <= times:
            raise error
        return torch.empty(shape, dtype=dtype)

    def emptied() -> None:
        asked[1] += 1

    monkeypatch.setattr("tilestyle.devices.pinned.pinned_empty", locked)
    monkeypatch.setattr("tilestyle.devices.pinned.empty_pinned_cache", emptied)
    monkeypatch.setattr(notices, "_logged", set())
    return asked


@pytest.mark.parametrize("error", REFUSALS, ids=str)
def test_without_memory_to_lock_there_is_a_notice(
    error: Exception, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    asked = refusing(monkeypatch, error, 10**6)
    assert try_pinned_empty((3, 4), torch.float32) is None
    assert try_pinned_empty((3, 4), torch.float32) is None
    assert asked == [4, 2]
    assert [record.message for record in caplog.records] == [
        "tilestyle: the system refuses more page-locked memory: copies to the GPU are slower"
    ]


def test_without_memory_to_lock_tensors_cross_all_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    window = torch.rand(3, 40, 60)[:, 5:20, 7:30]
    with on_device("host") as device:
        refusing(monkeypatch, REFUSALS[1], 10**6)
        there = to_device(window, DEVICE, torch.bfloat16)
        assert device.stalls.total() == 1
        assert torch.equal(AsyncCopy.start(there, torch.device("cpu")).result(), window.bfloat16())
        assert device.stalls.total() == 2


def test_memory_that_is_kept_for_later_is_locked_again(monkeypatch: pytest.MonkeyPatch) -> None:
    asked = refusing(monkeypatch, REFUSALS[1], 1)
    assert try_pinned_empty((3, 4), torch.float32) is not None
    assert asked == [2, 1]
    assert not notices._logged


def test_a_broken_device_is_not_taken_for_memory_that_cannot_be_locked(monkeypatch: pytest.MonkeyPatch) -> None:
    refusing(monkeypatch, RuntimeError("CUDA error: an illegal memory access was encountered"), 1)
    with pytest.raises(RuntimeError, match="illegal memory access"):
        try_pinned_empty((3, 4), torch.float32)


def test_a_shortage_of_memory_to_lock_does_not_halve_patches(monkeypatch: pytest.MonkeyPatch) -> None:
    expected = render(CONTENT, STYLE, SMALL).pixels
    events: list[Event] = []
    with on_device("host"):
        refusing(monkeypatch, REFUSALS[1], 10**6)
        found = render(CONTENT, STYLE, SMALL, observer=events.append).pixels
    assert np.array_equal(found, expected)
    assert not [event for event in events if isinstance(event, PatchHalved | CanvasMoved)]
