"""A device that is not the host, made of host memory: it refuses what a real one refuses, and counts waiting.

Tensors on it compute as tensors do, so a render gives the same numbers as on the host; but they cannot be
mixed with tensors of the host, and have no numpy arrays. It bears the name of torch's `meta` device, which has
no memory of its own to be taken by mistake.

Counted are kernels, and copies in both directions with their bytes. A copy that CUDA would have the host wait
for is a stall: all but those that are asynchronous, between the device and contiguous pinned
memory.
"""

from __future__ import annotations

import os
import sys
from collections import Counter
from functools import cache
from pathlib import Path
from types import FrameType
from typing import Any

import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode

import tilestyle

DEVICE = torch.device("meta")
# Copies from one device to another are what these are for; indices may lie on the host.
CROSSING = {"aten::copy_", "aten::_to_copy", "aten::index", "aten::index_put_"}
# Neither views nor kernels.
FREE = {
    "aten::_local_scalar_dense",
    "aten::_unsafe_view",
    "aten::empty",
    "aten::empty_like",
    "aten::empty_strided",
    "aten::lift_fresh",
    "aten::new_empty",
    "aten::new_empty_strided",
}
PLAIN = {int, float, bool, type(None), torch.dtype, torch.device}  # types of what is no tensor and holds none


class DeviceTensor(Tensor):
    """A tensor on the device, whose numbers are in the host tensor `host`."""

    host: Tensor
    has_float64 = False  # whether the device has float64

    @staticmethod
    def __new__(cls, host: Tensor) -> DeviceTensor:
        """Of the same shape and layout."""
        if host.dtype is torch.float64 and not DeviceTensor.has_float64:
            raise TypeError("the device has no float64, as Apple's have none")
        tensor: DeviceTensor = Tensor._make_wrapper_subclass(
            cls,
            host.shape,
            strides=host.stride(),
            storage_offset=host.storage_offset(),
            dtype=host.dtype,
            device=DEVICE,
        )
        tensor.host = host
        return tensor

    def tolist(self) -> Any:
        """Its numbers, waited for."""
        return self.cpu().tolist()

    def numpy(self, *, force: bool = False) -> Any:
        """Its numbers as an array, only if a copy on the host is asked for."""
        if not force:
            raise TypeError("a tensor on the device has no array: copy it to the host first")
        return self.cpu().numpy()

    __torch_function__ = torch._C._disabled_torch_function_impl  # type: ignore[assignment]

    @classmethod
    def __torch_dispatch__(  # type: ignore[override]
        cls, func: Any, types: Any, args: Any = (), kwargs: Any = None
    ) -> Any:
        """Only `FakeDevice` knows how to compute with it."""
        raise RuntimeError(f"{func} of a tensor on the device, outside of it")


class FakeDevice(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """While it is entered, there is the device."""

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.computed = 0  # operations
        self.waited: Counter[str] = Counter()  # of those, that leave the device, by name
        self._pinned: dict[int, torch.UntypedStorage] = {}  # by where they begin
        self.pinned_bytes: list[int] = []  # bytes of each
        self.rounded: set[str] = set()  # operations with numbers that are rounded, in place or not
        self.reset()

    def reset(self) -> None:
        """Count from here on."""
        self.launches: Counter[str] = Counter()  # kernels on the device, by name
        self.stalls: Counter[str] = Counter()  # what the host waits for, by where
        self.sent = self.received = 0  # bytes from the host, and to it

    @classmethod
    def _should_skip_dynamo(cls) -> bool:
        """Not asked of a compiler, whose import takes seconds."""
        return False

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        """Compute on the host, but as the device would."""
        kwargs = dict(kwargs or {})
        name, is_view = _facts(func)
        tensors: list[Tensor] = []
        host_args, host_kwargs = _on_host(args, tensors), _on_host(kwargs, tensors)
        on_device = [x for x in tensors if isinstance(x, DeviceTensor)]
        if (
            on_device
            and name not in CROSSING
            and any(x.ndim for x in tensors if not isinstance(x, DeviceTensor))
        ):
            raise RuntimeError(f"{name} of tensors on two devices: {[tuple(x.shape) for x in tensors]}")
        stays = isinstance(args[0], DeviceTensor) if name == "aten::copy_" else bool(on_device)
        if kwargs.get("device") is not None:
            stays = torch.device(kwargs["device"]) == DEVICE
            host_kwargs["device"] = torch.device("cpu")
        pinned = bool(host_kwargs.pop("pin_memory", False)) and not stays
        result = func(*host_args, **host_kwargs)
        if name == "aten::_local_scalar_dense":
            stays = False
        if pinned:
            storage = result.untyped_storage()
            self._pinned[storage.data_ptr()] = storage
            self.pinned_bytes.append(storage.nbytes())
        if (on_device or stays) and not is_view:
            self._count(name, args, kwargs, on_device=on_device, result=None if stays else result)
        self.computed += bool(on_device)
        if not stays:
            self.waited[name.removeprefix("aten::")] += bool(on_device)
            return result
        if name.endswith("_"):  # in place
            return args[0]
        return _on_device(result)

    def _count(self, name: str, args: Any, kwargs: Any, *, on_device: list[DeviceTensor], result: Any) -> None:
        """Count an operation, the bytes it takes across, and whether the host has to wait for it.

        `result` is its result on the host, if that leaves the device.
        """
        if name not in FREE:
            self.launches[name.removeprefix("aten::")] += 1
        if any(x.is_floating_point() for x in on_device):
            self.rounded.add(name.removeprefix("aten::").rstrip("_"))
        if result is not None:
            self.received += sum(x.nbytes for x in _tensors(result))
            if name != "aten::copy_" or not self._is_free(args[0], args[2:], kwargs):
                self._stall(name)
            return
        host = [x for x in _tensors((args, kwargs)) if not isinstance(x, DeviceTensor)]
        if host and name in CROSSING:
            self.sent += sum(x.nbytes for x in host)
            copied = args[1] if name == "aten::copy_" else args[0]
            waiting = () if name == "aten::_to_copy" else args[2:]
            if len(host) > 1 or copied is not host[0] or not self._is_free(copied, waiting, kwargs):
                self._stall(name)

    def _is_free(self, memory: Tensor, waiting: Any, kwargs: Any) -> bool:
        """Whether a copy from or to this memory of the host is not waited for."""
        if not memory.numel():
            return True
        is_async = kwargs.get("non_blocking") or any(waiting)
        return bool(is_async) and memory.is_contiguous() and memory.untyped_storage().data_ptr() in self._pinned

    def _stall(self, name: str) -> None:
        package = str(Path(tilestyle.__file__).parent) + os.sep  # a checkout may have the same name
        frame: FrameType | None = sys._getframe()  # not by traceback, which reads the source of every frame
        while frame is not None and not frame.f_code.co_filename.startswith(package):
            frame = frame.f_back
        place = f"{frame.f_code.co_filename.removeprefix(package)}: {frame.f_lineno}" if frame else "elsewhere"
        self.stalls[f"{name.removeprefix('aten::')} in {place}"] += 1


def _tensors(value: Any) -> list[Tensor]:
    """All that are in it. (torch's own way takes ten times as long as a small operation.)"""
    if isinstance(value, Tensor):
        return [value]
    if isinstance(value, list | tuple):
        return [x for part in value for x in _tensors(part)]
    return _tensors([*value.values()]) if isinstance(value, dict) else []


@cache
def _facts(func: Any) -> tuple[str, bool]:
    """The name of an operation, and whether it makes a view: torch takes long to say so."""
    return func._schema.name, func.is_view


def _on_host(value: Any, tensors: list[Tensor]) -> Any:
    """The same with memory of the host; all tensors that are in it are noted."""
    if type(value) in PLAIN:  # most of them
        return value
    if isinstance(value, Tensor):
        tensors.append(value)
        return value.host if isinstance(value, DeviceTensor) else value
    if isinstance(value, list | tuple):
        return type(value)([part if type(part) in PLAIN else _on_host(part, tensors) for part in value])
    if isinstance(value, dict):
        return {key: _on_host(part, tensors) for key, part in value.items()}
    return value


def _on_device(value: Any) -> Any:
    """The same with tensors on the device."""
    if isinstance(value, Tensor):
        return DeviceTensor(value)
    if isinstance(value, list | tuple):
        return type(value)([_on_device(part) for part in value])
    return value
