"""A canvas in host memory that a device works on over the bus: the same picture as on the host."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from unittest import mock

import numpy as np
import pytest
import torch
from torch import Tensor

from tests.pipeline.test_device import CASES, CONTENT, SMALL, STYLE
from tests.support.device_cost import on_device
from tests.support.fake_device import DEVICE, DeviceTensor
from tilestyle import Work
from tilestyle.canvas.canvas import Canvas
from tilestyle.devices.bus_copies import _is_pitched, copy_window
from tilestyle.devices.zero_copy import zero_copy
from tilestyle.geometry.boxes import Box, CanvasExtent
from tilestyle.pipeline.api import render
from tilestyle.stats.color_histograms import MAX_CACHED_BINS


@dataclass
class Bus:
    """Copies windows at once, and counts them."""

    fetched: list[tuple[int, ...]] = field(default_factory=list)
    stored: int = 0
    waits: int = 0

    def fetch(self, shape: Sequence[int], parts: Sequence[tuple[Tensor, int, int]]) -> Tensor:
        window = torch.empty(tuple(shape), dtype=parts[0][0].dtype, device=DEVICE)
        for part, row, column in parts:
            _, height, width = part.shape
            window[:, row : row + height, column : column + width].copy_(part)
        self.fetched.append(tuple(shape))
        return window

    def store(self, pairs: Sequence[tuple[Tensor, Tensor]]) -> None:
        for window, values in pairs:
            window.copy_(values)
        self.stored += 1

    def wait(self) -> None:
        self.waits += 1

    def include_work(self) -> None:
        pass


@contextmanager
def bus_to_device() -> Iterator[Bus]:
    """The device sees the host's memory."""
    bus = Bus()
    with on_device("host"), ExitStack() as stack:
        for module in ("canvas.canvas", "losses.content"):
            stack.enter_context(
                mock.patch(f"tilestyle.{module}.zero_copy", lambda tensor, device: DeviceTensor(tensor))
            )
        for module in ("canvas.canvas", "losses.content", "optim.update"):
            stack.enter_context(mock.patch(f"tilestyle.{module}.bus_copies", lambda device: bus))
        yield bus


@pytest.mark.parametrize(
    "case", ["coarse layers", "mask", "scales", "kept content", "luminance", "gram", "vgg", "one patch"]
)
def test_the_picture_is_that_of_the_host(case: str) -> None:
    config = replace(SMALL, **CASES[case])
    with mock.patch("tilestyle.stats.sliced_wasserstein.CELLS_AT_ONCE", MAX_CACHED_BINS):
        expected = render(CONTENT, STYLE, config).pixels
    with bus_to_device() as bus:
        found = render(CONTENT, STYLE, config).pixels
    assert bus.stored > 0
    assert bus.waits > 0
    if case == "mask":  # a device adds cells of no weight, too
        assert np.quantile(np.abs(found - expected), 0.99) < 1e-3
    else:
        assert np.array_equal(found, expected)


@pytest.mark.parametrize("case", ["anchor", "windows", "overlap"])
def test_what_the_host_has_a_part_in_goes_through_buffers(case: str) -> None:
    with bus_to_device() as bus:
        render(CONTENT, STYLE, replace(SMALL, **CASES[case]))
    assert bus.stored == 0


def test_a_stopped_render_goes_on_to_the_same_picture(tmp_path: Path) -> None:
    with bus_to_device():
        expected = render(CONTENT, STYLE, SMALL).pixels
        calls = 0

        def stop() -> bool:
            nonlocal calls
            calls += 1
            return calls > 7  # within a sweep

        work = Work(tmp_path / "work", every=0.0)
        render(CONTENT, STYLE, SMALL, work=work, stop=stop)
        found = render(CONTENT, STYLE, SMALL, work=Work(tmp_path / "work", every=0.0)).pixels
    assert np.array_equal(found, expected)


def test_a_host_has_no_bus() -> None:
    canvas = Canvas(CanvasExtent(4, 4, Box(0, 0, 4, 4)), torch.zeros(3, 4, 4))
    assert canvas.seen_by(torch.device("cpu")) is None
    assert zero_copy(canvas.pixels, torch.device("cpu")) is None


def test_windows_with_whole_rows_between_their_planes_can_be_copied_by_engines() -> None:
    plane = torch.zeros(3, 8, 10)
    assert _is_pitched(plane[:, 2:5, 3:7])
    assert _is_pitched(plane.bfloat16()[:, :, :4])
    assert not _is_pitched(plane[:, :, ::2])
    assert not _is_pitched(plane.mT)
    assert not _is_pitched(torch.zeros(300).as_strided((3, 4, 4), (80, 30, 1)))


def test_without_engines_windows_are_copied_by_torch() -> None:
    plane, window = torch.zeros(3, 8, 10), torch.rand(3, 4, 5)
    with mock.patch("tilestyle.devices.bus_copies._runtime", lambda: None):
        copy_window(plane[:, 2:6, 1:6], window)
    assert torch.equal(plane[:, 2:6, 1:6], window)
    assert plane.count_nonzero() <= window.numel()
