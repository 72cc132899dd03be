"""What a sweep costs a device: operations, launches, bytes in either direction, and waits of the host."""

from __future__ import annotations

import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, fields
from typing import Any

import torch
from torch import Tensor
from torch.profiler import ProfilerActivity, profile
from torch.utils._python_dispatch import TorchDispatchMode

from benchmarks.gpu.core import Place, Row
from benchmarks.gpu.jobs import Sized
from tilestyle.devices.timer import synchronized_time
from tilestyle.optim.loop import optimize, sweep_patches

COPIES = ("aten::copy_", "aten::_to_copy")
SCALAR_READ = "aten::_local_scalar_dense"
SYNCHRONIZED = "synchronizing CUDA operation"  # as torch warns of one
TRANSFERS = ("bytes_to_device", "bytes_to_host", "blocking", "scalar_reads")
# Names in the JSON.
KEYS = {
    "bytes_to_device": "arrived",
    "bytes_to_host": "left",
    "scalar_reads": "asked",
    "synchronizations": "waited",
}


@dataclass(frozen=True)
class Counts:
    """Counts of one sweep; or, as the difference of two sweeps, of one patch."""

    patches: float
    operations: float  # of torch, whatever they launch
    launches: float  # of kernels; 0 where nothing counts them
    bytes_to_device: float
    bytes_to_host: float
    blocking: float  # copies in either direction that the host waits for
    scalar_reads: float  # numbers that the host waits for
    synchronizations: float  # of which CUDA warns

    def per_patch(self, larger: Counts) -> Counts:
        """The counts of one patch: by how much those of a sweep with more patches are larger."""
        patches = larger.patches - self.patches
        each = {f.name: (getattr(larger, f.name) - getattr(self, f.name)) / patches for f in fields(self)}
        return Counts(**each)

    def row(self) -> Row:
        """The counts under the keys of the JSON."""
        return {KEYS.get(f.name, f.name): round(getattr(self, f.name), 3) for f in fields(self)}


class Counting(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """Counts while it is entered."""

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.operations = self.blocking = self.scalar_reads = 0
        self.bytes_to_device = self.bytes_to_host = 0

    @classmethod
    def _should_skip_dynamo(cls) -> bool:
        """Avoid torch's compiler, whose import takes seconds."""
        return False

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        """Run an operation and count it."""
        result = func(*args, **(kwargs or {}))
        name = func._schema.name
        self.operations += 1
        self.scalar_reads += name == SCALAR_READ and args[0].device.type != "cpu"
        if name in COPIES:
            source, target = (args[1], args[0]) if name == "aten::copy_" else (args[0], result)
            self._count_copy(source, target, bool(_is_non_blocking(args, kwargs or {}, name)))
        return result

    def _count_copy(self, source: Tensor, target: Tensor, non_blocking: bool) -> None:
        to_device, from_device = target.device.type != "cpu", source.device.type != "cpu"
        if to_device == from_device:
            return
        host = source if to_device else target
        self.blocking += not (non_blocking and host.is_pinned())
        if to_device:
            self.bytes_to_device += target.nbytes
        else:
            self.bytes_to_host += source.nbytes


def _is_non_blocking(args: Any, kwargs: Mapping[str, Any], name: str) -> Any:
    """Whether a copy has `non_blocking` set."""
    if name == "aten::copy_" and len(args) > 2:
        return args[2]
    return kwargs.get("non_blocking", False)


def counted(place: Place, sized: Sized) -> Counts:
    """The second sweep of a job: not the first, which measures moments and fills caches."""
    with _sync_warnings(place) as warned:
        second, first = _dispatched(place, sized, warned)
    launches = _launched(place, sized) if place.cuda else 0
    return Counts(
        second["patches"],
        second["operations"] - first["operations"],
        launches,
        *(second[name] - first[name] for name in (*TRANSFERS, "synchronizations")),
    )


def _dispatched(place: Place, sized: Sized, warned: list[str]) -> tuple[dict[str, int], dict[str, int]]:
    """The counts after the second sweep, and after the first."""
    job = sized.job(place)
    ends: list[dict[str, int]] = []
    counting = Counting()

    def observe(*facts: Any) -> None:
        counts = {name: getattr(counting, name) for name in ("operations", *TRANSFERS)}
        patches = len(sweep_patches(job, job.levels[-1], len(ends)))
        ends.append({**counts, "synchronizations": len(warned), "patches": patches})

    with counting:
        optimize(job, lambda level: None, observe, lambda: len(ends) >= 2)
    return ends[1], ends[0]


def _launched(place: Place, sized: Sized) -> int:
    """Kernels of the second sweep."""
    return sum(not event.name.startswith(("Memcpy", "Memset")) for event in kernels(profiled(place, sized)[0]))


@contextmanager
def _sync_warnings(place: Place) -> Iterator[list[str]]:
    """CUDA's warnings inside the block, one for everything that the host waits for."""
    messages: list[str] = []
    if not place.cuda:
        yield messages
        return
    previous = torch.cuda.get_sync_debug_mode()

    def note(message: Any, *facts: Any, **named: Any) -> None:
        if SYNCHRONIZED in str(message):
            messages.append(str(message))

    with warnings.catch_warnings():
        warnings.simplefilter("always")
        warnings.showwarning = note
        torch.cuda.set_sync_debug_mode("warn")
        try:
            yield messages
        finally:
            torch.cuda.set_sync_debug_mode(previous)


def profiled(place: Place, sized: Sized) -> tuple[profile, float, int]:
    """The second sweep of a job under torch's profiler, its seconds, and its patches."""
    job = sized.job(place)
    device = place.device
    profiler = profile(activities=[ProfilerActivity.CPU] + [ProfilerActivity.CUDA] * place.cuda)
    moments: list[float] = []

    def observe(*facts: Any) -> None:
        moments.append(synchronized_time(device))
        if len(moments) == 1:
            profiler.start()
        elif len(moments) == 2:
            profiler.stop()

    optimize(job, lambda level: None, observe, lambda: len(moments) >= 2)
    return profiler, moments[1] - moments[0], len(sweep_patches(job, job.levels[-1], 1))


def kernels(profiler: profile) -> list[Any]:
    """The events on the device."""
    return [event for event in events(profiler) if "CUDA" in str(event.device_type)]


def events(profiler: profile) -> list[Any]:
    """Everything that the profiler has recorded."""
    return list(profiler.events() or [])  # type: ignore[no-untyped-call]
