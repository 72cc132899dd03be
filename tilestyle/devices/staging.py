"""Asynchronous copies of windows between the host and a device.

Only copies between a device and contiguous pinned memory are asynchronous. Pinning a window itself would also
pin the whole plane that it is a part of. So windows go through buffers that are pinned once: a few of fixed
size for uploads, which larger windows pass in chunks, and for downloads as many as are in flight at a time.
Copies have streams of their own: while the device computes one window, the next one is uploaded and the result
of the previous one is downloaded. Where the system refuses to pin memory, copies are synchronous.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import AbstractContextManager, nullcontext
from math import prod

import torch
from torch import Tensor

from tilestyle.devices.pinned import try_pinned_empty

# Devices whose copies are synchronous unless memory is pinned. (Apple's share the memory of the host.)
STAGED_DEVICE_TYPES = {"cuda"}
# Bytes of an upload buffer, and their number: one is filled while another is copied.
BUFFER_BYTES, BUFFER_COUNT = 16 * 2**20, 4
# Downloads in flight: one is in use on the host while another is copied.
DOWNLOADS_IN_FLIGHT = 2


class _CopyStreams:
    """Copy streams of a device without streams: everything happens in order."""

    def uploading(self) -> AbstractContextManager[object]:
        """Return the context in which uploads are queued."""
        return nullcontext()

    def downloading(self) -> AbstractContextManager[object]:
        """Return the context in which downloads are queued, after the work queued on the device so far."""
        return nullcontext()

    def record_event(self) -> torch.cuda.Event | None:
        """Return an event that completes when everything queued in this context has been done."""
        return None

    def wait_for_upload(self, tensor: Tensor, event: torch.cuda.Event | None) -> None:
        """Make the device's work wait for an upload."""

    def keep_until_downloaded(self, tensor: Tensor) -> None:
        """Keep a tensor's memory until its download is done."""


class _CudaCopyStreams(_CopyStreams):
    """Copy streams of a CUDA device."""

    def __init__(self, device: torch.device) -> None:
        """Create the streams."""
        self._device = device
        self._upload_stream, self._download_stream = (
            torch.cuda.Stream(device)  # type: ignore[no-untyped-call]
            for _ in range(2)
        )

    def uploading(self) -> AbstractContextManager[object]:
        context: AbstractContextManager[object] = torch.cuda.stream(self._upload_stream)
        return context

    def downloading(self) -> AbstractContextManager[object]:
        self._download_stream.wait_stream(torch.cuda.current_stream(self._device))
        context: AbstractContextManager[object] = torch.cuda.stream(self._download_stream)
        return context

    def record_event(self) -> torch.cuda.Event | None:
        event = torch.cuda.Event()  # type: ignore[no-untyped-call]
        event.record(torch.cuda.current_stream(self._device))
        return event

    def wait_for_upload(self, tensor: Tensor, event: torch.cuda.Event | None) -> None:
        current = torch.cuda.current_stream(self._device)
        if event is not None:
            current.wait_event(event)
        tensor.record_stream(current)

    def keep_until_downloaded(self, tensor: Tensor) -> None:
        tensor.record_stream(self._download_stream)


class _Buffer:
    """Pinned memory, with an event while it is being copied."""

    def __init__(self) -> None:
        self._bytes = torch.empty(0, dtype=torch.uint8)
        self.event: torch.cuda.Event | None = None

    def as_tensor(self, shape: tuple[int, ...], dtype: torch.dtype, min_bytes: int = 0) -> Tensor | None:
        """Return its beginning as a tensor, once no copy uses it; None if memory cannot be pinned.

        At least `min_bytes` are pinned.
        """
        if self.event is not None:
            self.event.synchronize()
            self.event = None
        count = prod(shape) * dtype.itemsize
        if count > self._bytes.numel():
            self._bytes = torch.empty(0, dtype=torch.uint8)  # freed before the next is allocated
            buffer = try_pinned_empty((max(count, min_bytes),), torch.uint8)
            if buffer is None:
                return None
            self._bytes = buffer
        return self._bytes[:count].view(dtype).view(shape)


class StagingBuffers:
    """Buffers and streams of one device, for one thread."""

    def __init__(self, device: torch.device) -> None:
        """Create the streams; buffers are pinned on first use."""
        self._device = device
        self._streams = _CudaCopyStreams(device) if device.type == "cuda" else _CopyStreams()
        self._upload_buffers = [_Buffer() for _ in range(BUFFER_COUNT)]
        self._next_buffer = 0
        self._free_download_buffers: list[_Buffer] = []  # not in use

    def upload(self, tensor: Tensor, dtype: torch.dtype) -> Tensor:
        """Copy a host tensor to the device in `dtype`, asynchronously, in the smaller of the two dtypes."""
        copy_dtype = min(dtype, tensor.dtype, key=lambda candidate: candidate.itemsize)
        with self._streams.uploading():
            copy = torch.empty(tensor.shape, dtype=copy_dtype, device=self._device)
        event = None
        for source, target in _matching_chunks(tensor.detach(), copy):
            buffer = self._upload_buffers[self._next_buffer]
            self._next_buffer = (self._next_buffer + 1) % BUFFER_COUNT
            staged = buffer.as_tensor(tuple(source.shape), copy_dtype, BUFFER_BYTES)
            if staged is not None:
                staged.copy_(source)
            with self._streams.uploading():
                target.copy_(source if staged is None else staged, non_blocking=staged is not None)
                buffer.event = event = self._streams.record_event()
        self._streams.wait_for_upload(copy, event)
        return copy.to(dtype)

    def download(self, tensor: Tensor) -> AsyncCopy:
        """Start to copy a device tensor to the host."""
        buffer = self._free_download_buffers.pop() if self._free_download_buffers else _Buffer()
        staged = buffer.as_tensor(tuple(tensor.shape), tensor.dtype)
        if staged is None:
            return AsyncCopy(tensor.cpu())
        with self._streams.downloading():
            staged.copy_(tensor, non_blocking=True)
            buffer.event = self._streams.record_event()
        self._streams.keep_until_downloaded(tensor)
        return AsyncCopy(staged, buffer, self._free_download_buffers)


class AsyncCopy:
    """A copy of a tensor that may still be in progress: if the result is requested later, there is no wait."""

    def __init__(
        self, tensor: Tensor, buffer: _Buffer | None = None, pool: list[_Buffer] | None = None
    ) -> None:
        """Take the tensor, the buffer it is copied into, and the pool that the buffer returns to."""
        self._tensor, self._buffer, self._pool = tensor, buffer, pool

    @classmethod
    def start(cls, tensor: Tensor, device: torch.device) -> AsyncCopy:
        """Start to copy a tensor to a device."""
        if device.type == "cpu" and is_staged(tensor.device):
            return staging_buffers(tensor.device).download(tensor)
        return cls(tensor.to(device))

    def result(self) -> Tensor:
        """Wait for the copy, and return the tensor, which is valid until `release` is called."""
        if self._buffer is not None and self._buffer.event is not None:
            self._buffer.event.synchronize()
        return self._tensor

    def release(self) -> None:
        """Return the buffer to its pool."""
        if self._buffer is not None and self._pool is not None:
            self._pool.append(self._buffer)
        self._buffer = None


def is_staged(device: torch.device) -> bool:
    """Return whether copies to and from a device go through buffers."""
    return device.type in STAGED_DEVICE_TYPES


_thread_buffers = threading.local()


def staging_buffers(device: torch.device) -> StagingBuffers:
    """Return the buffers of a device for this thread."""
    stages: dict[torch.device, StagingBuffers] = _thread_buffers.__dict__.setdefault("stages", {})
    if device not in stages:
        stages[device] = StagingBuffers(device)
    return stages[device]


def drop_staging_buffers() -> None:
    """Free this thread's buffers."""
    _thread_buffers.__dict__.clear()


def staged_bytes(window: int) -> int:
    """Return the page-locked memory for windows of so many bytes; torch rounds it up to powers of two."""
    return BUFFER_COUNT * BUFFER_BYTES + DOWNLOADS_IN_FLIGHT * (1 << max(0, window - 1).bit_length())


def _matching_chunks(source: Tensor, target: Tensor) -> Iterator[tuple[Tensor, Tensor]]:
    """Cut both tensors alike, into contiguous chunks of the target that fit in a buffer."""
    if target.nbytes <= BUFFER_BYTES:
        yield source, target
        return
    size = target[0].nbytes
    if size > BUFFER_BYTES:
        for source_part, target_part in zip(source, target, strict=True):
            yield from _matching_chunks(source_part, target_part)
        return
    count = BUFFER_BYTES // size
    yield from zip(torch.split(source, count), torch.split(target, count), strict=True)
