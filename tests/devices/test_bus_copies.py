"""Windows of host memory, copied to a device and back while it works."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, nullcontext
from typing import Any
from unittest import mock

import pytest
import torch
from torch import Tensor

from tilestyle.devices import bus_copies
from tilestyle.devices.bus_copies import FETCHED_WINDOWS, STORES_IN_FLIGHT, BusCopies, copy_window

CPU = torch.device("cpu")


class Event:
    """Counts who waits for it."""

    waited: list[Event] = []  # noqa: RUF012

    def __init__(self) -> None:
        self.recorded = False

    def record(self, stream: object) -> None:
        self.recorded = True

    def synchronize(self) -> None:
        assert self.recorded
        Event.waited.append(self)


@pytest.fixture
def bus() -> Iterator[BusCopies]:
    """Copies of a device whose streams are one after the other."""
    Event.waited = []
    stream = mock.Mock(return_value=mock.Mock())
    with ExitStack() as stack:
        for name, stands_for in {
            "Stream": stream,
            "current_stream": stream,
            "stream": lambda stream: nullcontext(),
            "Event": Event,
            "synchronize": lambda device: None,
        }.items():
            stack.enter_context(mock.patch.object(torch.cuda, name, stands_for))
        stack.enter_context(mock.patch.object(Tensor, "record_stream", lambda self, stream: None))
        stack.enter_context(mock.patch.object(bus_copies, "_runtime", lambda: None))
        yield BusCopies(CPU)


def test_parts_make_a_window(bus: BusCopies) -> None:
    plane = torch.rand(3, 9, 11)
    parts: list[Any] = [(plane[:, 6:, 2:7], 0, 0), (plane[:, :2, 2:7], 3, 0)]
    window = bus.fetch((3, 5, 5), parts)
    assert torch.equal(window, torch.cat([plane[:, 6:, 2:7], plane[:, :2, 2:7]], 1))
    bus.store([(plane[:, 6:, 2:7], torch.zeros(3, 3, 5))])
    assert plane[:, 6:, 2:7].count_nonzero() == 0
    assert plane[:, :6].count_nonzero() > 0


@pytest.mark.parametrize("small", [False, True])
def test_the_host_waits_where_it_is_far_ahead(
    bus: BusCopies, small: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    plane = torch.rand(3, 8, 8)
    monkeypatch.setattr(bus_copies, "FETCHED_BYTES", 10**9 if small else plane.nbytes)
    for count in range(1, 3 * FETCHED_WINDOWS):
        bus.fetch((3, 8, 8), [(plane, 0, 0)])
        assert len(Event.waited) == (0 if small else max(0, count - FETCHED_WINDOWS))
    bus.wait()
    bus.fetch((3, 8, 8), [(plane, 0, 0)])
    assert len(Event.waited) == (0 if small else 2 * FETCHED_WINDOWS - 1)


def test_few_results_are_under_way(bus: BusCopies) -> None:
    plane = torch.rand(3, 8, 8)
    for count in range(1, 6):
        bus.store([(plane, torch.zeros(3, 8, 8))])
        assert len(Event.waited) == max(0, count - STORES_IN_FLIGHT)


def test_no_window_is_copied_by_engines_that_cannot(monkeypatch: pytest.MonkeyPatch) -> None:
    runtime = mock.Mock()
    runtime.cudaMemcpy3DAsync.side_effect = AssertionError
    monkeypatch.setattr(bus_copies, "_runtime", lambda: runtime)
    plane, columns = torch.rand(3, 8, 8), torch.zeros(3, 4, 8)
    copy_window(columns.mT, plane[:, :, ::2])
    assert torch.equal(columns.mT, plane[:, :, ::2])
    copy_window(plane[:, :0], plane[:, :0])
