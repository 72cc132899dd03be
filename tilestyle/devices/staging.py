"""Windows of the host's memory on their way to a device and back, while both go on working.

Only copies from or to pinned memory without gaps are not waited for. Pinning a window would pin, with its gaps,
the whole of the plane that it lies in. So windows go through buffers that are pinned once: some of one size for
what is sent, larger windows piece by piece, and for what lands as many as are on their way at a time. Copies
have streams of their own: the next window is sent while the device is at work on the one before, and what has
been computed lands while it is at work on the next. Where the system locks no memory for them, copies wait.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import AbstractContextManager, nullcontext
from math import prod

import torch
from torch import Tensor

from tilestyle.devices.pinned import pinned

# Devices whose copies wait for memory that is not pinned. (Apple's share the host's.)
PINNING = {"cuda"}
# Bytes of a buffer for what is sent, and how many there are: one is filled while another is copied from.
SLOT, SLOTS = 16 * 2**20, 4
# Windows that land at a time: one is at work on the host, one on its way.
LANDING = 2


class _Streams:
    """The streams of copies of a device that has none: everything happens in order."""

    def sending(self) -> AbstractContextManager[object]:
        """Where copies to the device are ordered."""
        return nullcontext()

    def landing(self) -> AbstractContextManager[object]:
        """Where copies from the device are ordered, after what has been asked of it up to now."""
        return nullcontext()

    def event(self) -> torch.cuda.Event | None:
        """What has been copied when all that is ordered here up to now has been."""
        return None

    def sent(self, there: Tensor, event: torch.cuda.Event | None) -> None:
        """Have the device's work wait for what is being sent."""

    def leaving(self, there: Tensor) -> None:
        """Have what is being copied from the device outlive its last use there."""


class _CudaStreams(_Streams):
    """Of a CUDA device."""

    def __init__(self, device: torch.device) -> None:
        self._device = device
        self._sending, self._landing = (
            torch.cuda.Stream(device)  # type: ignore[no-untyped-call]
            for _ in range(2)
        )

    def sending(self) -> AbstractContextManager[object]:
        context: AbstractContextManager[object] = torch.cuda.stream(self._sending)
        return context

    def landing(self) -> AbstractContextManager[object]:
        self._landing.wait_stream(torch.cuda.current_stream(self._device))
        context: AbstractContextManager[object] = torch.cuda.stream(self._landing)
        return context

    def event(self) -> torch.cuda.Event | None:
        event = torch.cuda.Event()  # type: ignore[no-untyped-call]
        event.record(torch.cuda.current_stream(self._device))
        return event

    def sent(self, there: Tensor, event: torch.cuda.Event | None) -> None:
        current = torch.cuda.current_stream(self._device)
        if event is not None:
            current.wait_event(event)
        there.record_stream(current)

    def leaving(self, there: Tensor) -> None:
        there.record_stream(self._landing)


class _Buffer:
    """Pinned memory, and what of it is still being copied."""

    def __init__(self) -> None:
        self._bytes = torch.empty(0, dtype=torch.uint8)
        self.event: torch.cuda.Event | None = None

    def view(self, shape: tuple[int, ...], dtype: torch.dtype, least: int = 0) -> Tensor | None:
        """Its beginning as a tensor, when nothing is being copied any more; None where there is no such memory.

        What is locked has at least so many bytes.
        """
        if self.event is not None:
            self.event.synchronize()
            self.event = None
        count = prod(shape) * dtype.itemsize
        if count > self._bytes.numel():
            self._bytes = torch.empty(0, dtype=torch.uint8)  # before there is another
            room = pinned((max(count, least),), torch.uint8)
            if room is None:
                return None
            self._bytes = room
        return self._bytes[:count].view(dtype).view(shape)


class Stage:
    """The buffers and streams of one device, for one thread."""

    def __init__(self, device: torch.device) -> None:
        self._device = device
        self._streams = _CudaStreams(device) if device.type == "cuda" else _Streams()
        self._slots = [_Buffer() for _ in range(SLOTS)]
        self._turn = 0
        self._landing: list[_Buffer] = []  # that nothing lands in

    def send(self, tensor: Tensor, dtype: torch.dtype) -> Tensor:
        """A tensor of the host on the device, in `dtype`: it travels in the smaller of its types."""
        travelling = min(dtype, tensor.dtype, key=lambda each: each.itemsize)
        with self._streams.sending():
            there = torch.empty(tensor.shape, dtype=travelling, device=self._device)
        event = None
        for source, target in _pieces(tensor.detach(), there):
            slot = self._slots[self._turn]
            self._turn = (self._turn + 1) % SLOTS
            room = slot.view(tuple(source.shape), travelling, SLOT)
            if room is not None:
                room.copy_(source)
            with self._streams.sending():
                target.copy_(source if room is None else room, non_blocking=room is not None)
                slot.event = event = self._streams.event()
        self._streams.sent(there, event)
        return there.to(dtype)

    def land(self, there: Tensor) -> Landing:
        """Begin to bring a tensor to the host."""
        buffer = self._landing.pop() if self._landing else _Buffer()
        room = buffer.view(tuple(there.shape), there.dtype)
        if room is None:
            return Landing(there.cpu())
        with self._streams.landing():
            room.copy_(there, non_blocking=True)
            buffer.event = self._streams.event()
        self._streams.leaving(there)
        return Landing(room, buffer, self._landing)


class Landing:
    """A tensor on its way to where it is wanted: asked for later, it costs no waiting."""

    def __init__(
        self, tensor: Tensor, buffer: _Buffer | None = None, pool: list[_Buffer] | None = None
    ) -> None:
        self._tensor, self._buffer, self._pool = tensor, buffer, pool

    @classmethod
    def of(cls, tensor: Tensor, device: torch.device) -> Landing:
        """Begin to bring a tensor to a device."""
        if device.type == "cpu" and is_staged(tensor.device):
            return stage(tensor.device).land(tensor)
        return cls(tensor.to(device))

    def get(self) -> Tensor:
        """The tensor, arrived; there until `done` is called."""
        if self._buffer is not None and self._buffer.event is not None:
            self._buffer.event.synchronize()
        return self._tensor

    def done(self) -> None:
        """Give its memory to the next."""
        if self._buffer is not None and self._pool is not None:
            self._pool.append(self._buffer)
        self._buffer = None


def is_staged(device: torch.device) -> bool:
    """Whether what goes to a device, or comes from it, goes through buffers."""
    return device.type in PINNING


_stages = threading.local()


def stage(device: torch.device) -> Stage:
    """The buffers of a device that this thread has."""
    found: dict[torch.device, Stage] = _stages.__dict__.setdefault("found", {})
    if device not in found:
        found[device] = Stage(device)
    return found[device]


def forget() -> None:
    """Give up this thread's buffers."""
    _stages.__dict__.clear()


def staged_bytes(window: int) -> int:
    """Page-locked memory where windows of so many bytes come back: torch rounds it up to powers of two."""
    return SLOTS * SLOT + LANDING * (1 << max(0, window - 1).bit_length())


def _pieces(source: Tensor, target: Tensor) -> Iterator[tuple[Tensor, Tensor]]:
    """Both cut alike, so that a piece of the target fits in a buffer, and has no gaps as the whole has none."""
    if target.nbytes <= SLOT:
        yield source, target
        return
    size = target[0].nbytes
    if size > SLOT:
        for one, other in zip(source, target, strict=True):
            yield from _pieces(one, other)
        return
    count = SLOT // size
    yield from zip(torch.split(source, count), torch.split(target, count), strict=True)
