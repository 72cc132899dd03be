"""What a sweep asks of a device: operations, launches, bytes either way, and what the host waits for."""

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

from benchmarks.gpu.core import Place
from benchmarks.gpu.jobs import Sized
from tilestyle.devices.timer import synchronized_time
from tilestyle.optim.loop import optimize, sweep_patches

COPIES = ("aten::copy_", "aten::_to_copy")
ASKED = "aten::_local_scalar_dense"
SYNCHRONISED = "synchronizing CUDA operation"  # as torch warns of one


@dataclass(frozen=True)
class Counts:
    """Of one sweep; or, as the difference of two sweeps, of one patch."""

    patches: float
    operations: float  # of torch, whatever they launch
    launches: float  # of kernels; 0 where nothing counts them
    arrived: float  # bytes, on the device
    left: float  # bytes, for the host
    blocking: float  # copies either way that the host waits for
    asked: float  # numbers that the host waits for
    waited: float  # by the account of CUDA

    def a_patch(self, more: Counts) -> Counts:
        """Of a patch: what a sweep of `more` patches costs more. What every sweep costs is not in it."""
        patches = more.patches - self.patches
        each = {f.name: (getattr(more, f.name) - getattr(self, f.name)) / patches for f in fields(self)}
        return Counts(**each)


class Counting(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """Counts while it is entered."""

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.operations = self.arrived = self.left = self.blocking = self.asked = 0

    @classmethod
    def _should_skip_dynamo(cls) -> bool:
        """Not asked of a compiler, whose import takes seconds."""
        return False

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        """Run it and see where it went."""
        found = func(*args, **(kwargs or {}))
        name = func._schema.name
        self.operations += 1
        self.asked += name == ASKED and args[0].device.type != "cpu"
        if name in COPIES:
            source, target = (args[1], args[0]) if name == "aten::copy_" else (args[0], found)
            self._crossing(source, target, bool(_flag(args, kwargs or {}, name)))
        return found

    def _crossing(self, source: Tensor, target: Tensor, unwaited: bool) -> None:
        there, back = target.device.type != "cpu", source.device.type != "cpu"
        if there == back:
            return
        host = source if there else target
        self.blocking += not (unwaited and host.is_pinned())
        if there:
            self.arrived += target.nbytes
        else:
            self.left += source.nbytes


def _flag(args: Any, kwargs: Mapping[str, Any], name: str) -> Any:
    """Whether a copy is not waited for."""
    if name == "aten::copy_" and len(args) > 2:
        return args[2]
    return kwargs.get("non_blocking", False)


def counted(place: Place, sized: Sized) -> Counts:
    """The second sweep of a job: not the first, which measures moments and fills caches."""
    with _waiting(place) as waited:
        counting, first = _dispatched(place, sized, waited)
    launches = _launched(place, sized) if place.cuda else 0
    return Counts(
        counting["patches"],
        counting["operations"] - first["operations"],
        launches,
        *(counting[name] - first[name] for name in ("arrived", "left", "blocking", "asked", "waited")),
    )


def _dispatched(place: Place, sized: Sized, waited: list[str]) -> tuple[dict[str, int], dict[str, int]]:
    """What had been counted after the second sweep, and after the first."""
    job = sized.job(place)
    ends: list[dict[str, int]] = []
    counting = Counting()

    def observe(*facts: Any) -> None:
        counts = {
            name: getattr(counting, name) for name in ("operations", "arrived", "left", "blocking", "asked")
        }
        patches = len(sweep_patches(job, job.levels[-1], len(ends)))
        ends.append({**counts, "waited": len(waited), "patches": patches})

    with counting:
        optimize(job, lambda level: None, observe, lambda: len(ends) >= 2)
    return ends[1], ends[0]


def _launched(place: Place, sized: Sized) -> int:
    """Kernels of the second sweep."""
    return sum(not event.name.startswith(("Memcpy", "Memset")) for event in kernels(profiled(place, sized)[0]))


@contextmanager
def _waiting(place: Place) -> Iterator[list[str]]:
    """What CUDA warns of while the block runs: everything that the host waits for."""
    heard: list[str] = []
    if not place.cuda:
        yield heard
        return
    before = torch.cuda.get_sync_debug_mode()

    def hear(message: Any, *facts: Any, **named: Any) -> None:
        if SYNCHRONISED in str(message):
            heard.append(str(message))

    with warnings.catch_warnings():
        warnings.simplefilter("always")
        warnings.showwarning = hear
        torch.cuda.set_sync_debug_mode("warn")
        try:
            yield heard
        finally:
            torch.cuda.set_sync_debug_mode(before)


def profiled(place: Place, sized: Sized) -> tuple[profile, float, int]:
    """The second sweep of a job under torch's profiler, its seconds, and its patches."""
    job = sized.job(place)
    device = place.device
    watch = profile(activities=[ProfilerActivity.CPU] + [ProfilerActivity.CUDA] * place.cuda)
    moments: list[float] = []

    def observe(*facts: Any) -> None:
        moments.append(synchronized_time(device))
        if len(moments) == 1:
            watch.start()
        elif len(moments) == 2:
            watch.stop()

    optimize(job, lambda level: None, observe, lambda: len(moments) >= 2)
    return watch, moments[1] - moments[0], len(sweep_patches(job, job.levels[-1], 1))


def kernels(watch: profile) -> list[Any]:
    """What ran on the device."""
    return [event for event in events(watch) if "CUDA" in str(event.device_type)]


def events(watch: profile) -> list[Any]:
    """All that was seen."""
    return list(watch.events() or [])  # type: ignore[no-untyped-call]
