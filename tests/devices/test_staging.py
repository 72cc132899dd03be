"""What goes between host and device: the window alone, in the smaller type, without waiting."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator

import pytest
import torch
from torch import Tensor

from tests.pipeline.test_device import SMALL
from tests.support.device_cost import on_device
from tests.support.fake_device import DEVICE, FakeDevice
from tilestyle.config.enums import NetworkName
from tilestyle.devices import staging
from tilestyle.devices.staging import (
    BUFFER_BYTES,
    BUFFER_COUNT,
    DOWNLOADS_IN_FLIGHT,
    AsyncCopy,
    drop_staging_buffers,
    staging_buffers,
)
from tilestyle.devices.transfer import to_device
from tilestyle.networks.random_vgg import random_vgg
from tilestyle.planning.memory_model import (
    CANVAS_BYTES,
    PIXEL_BYTES,
    MemoryInputs,
    PictureSizes,
    estimate_memory,
)
from tilestyle.planning.schedule import Pyramid, plan_levels

CPU = torch.device("cpu")
# Windows of a plane [3, 96, 400], as they come.
WINDOWS: dict[str, Callable[[Tensor], Tensor]] = {
    "window": lambda plane: plane[:, 5:21, 7:31][None],
    "rows": lambda plane: plane[:, 5:21],
    "column": lambda plane: plane[:, :, 9:10],
    "turned": lambda plane: plane[:, 5:21, 7:31].mT,
    "one plane thrice": lambda plane: plane[:1, 5:21, 7:31].expand(3, -1, -1),
    "by channels last": lambda plane: plane[None, :, 5:21, 7:31].contiguous(memory_format=torch.channels_last),
    "number": lambda plane: plane[0, 0, 0],
    "nothing": lambda plane: plane[:, :0],
}
TYPES = (torch.float32, torch.bfloat16)


@pytest.fixture(params=[BUFFER_BYTES, 512])  # bytes of a buffer: more than a window has, and fewer than a row
def device(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[FakeDevice]:
    monkeypatch.setattr(staging, "BUFFER_BYTES", request.param)
    with on_device("host") as found:
        yield found


def numbered(dtype: torch.dtype) -> Tensor:
    return torch.arange(3 * 96 * 400, dtype=torch.float32).view(3, 96, 400).div(7).to(dtype)


@pytest.mark.parametrize(("own", "asked"), [*itertools.product(TYPES, TYPES)])
@pytest.mark.parametrize("kind", WINDOWS)
def test_no_more_than_the_window_is_sent(
    kind: str, own: torch.dtype, asked: torch.dtype, device: FakeDevice
) -> None:
    window = WINDOWS[kind](numbered(own))
    found = to_device(window, DEVICE, asked)
    assert device.sent == window.numel() * min(own.itemsize, asked.itemsize)
    assert not device.stalls
    assert found.dtype is asked
    assert torch.equal(found.cpu(), window.to(asked))


@pytest.mark.parametrize("kind", WINDOWS)
def test_no_more_than_the_window_lands(kind: str, device: FakeDevice) -> None:
    window = WINDOWS[kind](numbered(torch.float32))
    there = WINDOWS[kind](numbered(torch.float32).to(DEVICE))
    device.reset()
    landing = AsyncCopy.start(there, CPU)
    assert device.received == window.nbytes
    assert not device.stalls
    assert torch.equal(landing.result(), window)


def test_what_is_there_already_is_not_copied(device: FakeDevice) -> None:
    there = numbered(torch.float32).to(DEVICE)
    device.reset()
    assert to_device(there, DEVICE, torch.float32) is there
    assert AsyncCopy.start(there, DEVICE).result() is there
    assert device.sent == device.received == 0


def test_buffers_are_locked_once(device: FakeDevice) -> None:
    window = numbered(torch.float32)[:, 5:21, 7:31]
    for count in range(2 * BUFFER_COUNT):
        landing = AsyncCopy.start(to_device(window + count, DEVICE, torch.float32), CPU)
        assert torch.equal(landing.result(), window + count)
        landing.release()
    assert len(device.pinned_bytes) == BUFFER_COUNT + 1
    assert max(device.pinned_bytes) <= max(staging.BUFFER_BYTES, window.nbytes)
    drop_staging_buffers()
    to_device(window, DEVICE, torch.float32)
    assert len(device.pinned_bytes) > BUFFER_COUNT + 1


def test_what_lands_stays_until_it_is_done_with(device: FakeDevice) -> None:
    there = [numbered(torch.float32).add(count).to(DEVICE) for count in range(3)]
    one, two = (AsyncCopy.start(each, CPU) for each in there[:2])
    assert torch.equal(one.result(), there[0].cpu())
    one.release()
    three = AsyncCopy.start(there[2], CPU)
    assert torch.equal(two.result(), there[1].cpu())
    assert torch.equal(three.result(), there[2].cpu())
    assert one.result().data_ptr() == three.result().data_ptr()


def test_a_buffer_is_written_when_what_was_in_it_has_been_copied(
    device: FakeDevice, monkeypatch: pytest.MonkeyPatch
) -> None:
    events: list[Event] = []

    class Event:
        """Of a copy."""

        waited = False

        def synchronize(self) -> None:
            self.waited = True

    def event() -> Event:
        events.append(Event())
        return events[-1]

    monkeypatch.setattr(staging_buffers(DEVICE)._streams, "record_event", event)
    for _ in range(BUFFER_COUNT + 2):
        to_device(numbered(torch.float32)[0, 0, :4], DEVICE, torch.float32)
    assert [each.waited for each in events] == [True] * 2 + [False] * BUFFER_COUNT
    landing = AsyncCopy.start(numbered(torch.float32).to(DEVICE), CPU)
    assert not events[-1].waited
    landing.result()
    assert events[-1].waited


def test_what_is_locked_counts_as_memory_of_the_host() -> None:
    network = random_vgg(NetworkName.VGG19, width_divisor=8)
    steps = plan_levels(1000, 1000, SMALL, Pyramid(128, 512, 16))

    def needed(where: torch.device, *, blended: bool) -> int:
        placed = network.to(where, torch.float32)
        task = MemoryInputs(placed, network.style_layers, network.content_layers, overlapping=blended)
        return estimate_memory(
            task, steps, 512, PictureSizes((1000, 1000), ((300, 400),), (1000, 1000)), 1000
        ).staging

    assert needed(CPU, blended=False) == 0
    for blended, pixel in ((True, PIXEL_BYTES), (False, CANVAS_BYTES)):
        found = needed(torch.device("meta"), blended=blended) - BUFFER_COUNT * BUFFER_BYTES
        assert DOWNLOADS_IN_FLIGHT * pixel * 512**2 <= found < 2 * DOWNLOADS_IN_FLIGHT * pixel * 512**2
