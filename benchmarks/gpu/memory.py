"""Peaks of the device's memory against what was promised, behind a wall of as much."""

from __future__ import annotations

import time
from functools import partial
from typing import Any
from unittest import mock

import torch

from benchmarks.gpu.core import GIB, MIB, Check, Group, Place, Row
from benchmarks.gpu.jobs import COMPACT, DEVICE, VGG19, WAVELET, Sized
from tilestyle.benchmark.memory_cap import cap_memory
from tilestyle.config.enums import NetworkName, Precision
from tilestyle.devices.device_memory import empty_caches
from tilestyle.devices.failures import is_out_of_memory, may_be_out_of_memory
from tilestyle.devices.peak_memory import PeakMemory
from tilestyle.devices.timer import synchronized_time
from tilestyle.errors import MemoryLimit
from tilestyle.networks.vgg import Vgg
from tilestyle.optim.loop import optimize
from tilestyle.pipeline.events import CanvasMoved, PatchHalved
from tilestyle.pipeline.out_of_memory import optimize_with_oom_retry
from tilestyle.planning.job import Job

WALL = 2 * GIB
SIDES = (2048, 4096, 8192)
LARGE = 16384
EVERYTHING = 2**50  # bytes: no wall at all
# What libraries say when they are refused memory.
COMPLAINTS = (
    "CUDA error: out of memory",
    "CUDA out of memory. Tried to allocate 2.00 GiB",
    "cuDNN error: CUDNN_STATUS_ALLOC_FAILED",
    "CUDA error: CUBLAS_STATUS_ALLOC_FAILED when calling `cublasCreate(handle)`",
    "CUDA error: CUBLAS_STATUS_NOT_INITIALIZED when calling `cublasCreate(handle)`",
    "cusolver error: CUSOLVER_STATUS_INTERNAL_ERROR, when calling `cusolverDnCreate(handle)`",
    "GET was unable to find an engine to execute this computation",
    "FIND was unable to find an engine to execute this computation",
    "MPS backend out of memory (MPS allocated: 1.00 GB)",
)


def _budgets(place: Place) -> list[Check]:
    networks = (VGG19, COMPACT, WAVELET)
    limits = (WALL,) if place.tiny else (GIB // 2, GIB, WALL)
    side = 96 if place.tiny else 2048
    return [
        Check(f"{limit / GIB:g} GiB, {name}", partial(_held, side, limit, name, 2), 30)
        for limit in limits
        for name in (networks[1:] if place.tiny else networks)
    ]


def _sizes(place: Place) -> list[Check]:
    sides = (64, 128) if place.tiny else SIDES
    network = COMPACT if place.tiny else VGG19
    return [Check(f"{side} x {side}", partial(_held, side, WALL, network, 1), 45) for side in sides]


def _large(place: Place) -> list[Check]:
    side, network = (160, COMPACT) if place.tiny else (LARGE, VGG19)
    return [Check(f"{side} x {side}", partial(_held, side, WALL, network, 1), 140)]


def _held(side: int, limit: int, network: NetworkName, sweeps: int, place: Place, row: Row) -> bool | None:
    """Sweeps of a canvas within a budget, behind a wall of as much: its patch, its peak, and no halving."""
    peak = PeakMemory(place.device)
    if place.cuda:
        cap_memory(place.device, limit)
    began = time.monotonic()
    try:
        job = Sized(side, side, network, sweeps=sweeps, home=None, settings={"memory": limit}).job(place)
    except MemoryLimit as error:  # which is an answer
        row["refused"] = str(error)
        return None
    prepared = time.monotonic()
    rescues: list[PatchHalved | CanvasMoved] = []
    optimize_with_oom_retry(job, lambda level: None, lambda *sweep: None, lambda: False, rescues.append)
    halved = _sides(rescues)
    synchronized_time(place.device)
    took = time.monotonic() - prepared
    actual, promised = peak.bytes(), job.device_bytes
    row.update(
        {
            "patch": job.patch_side,
            "canvas on": job.canvas_device.type,
            "limit, MiB": limit / MIB,
            "foretold, MiB": promised / MIB,
            "peak, MiB": actual / MIB,
            "beyond the canvas, MiB": (
                actual - job.memory_estimate.resident if job.canvas_device == place.device else actual
            )
            / MIB,
            "peak over foretold": actual / promised,
            "halved to": halved,
            "made ready, s": prepared - began,
            "MP/s": sweeps * side * side / 1e6 / took,
            **_elsewhere(place),
        }
    )
    row["says"] = f"{side}: {actual / MIB:.0f} of {limit / MIB:.0f} MiB, patch {job.patch_side}"
    return not halved and actual <= limit


def _elsewhere(place: Place) -> Row:
    """What else is taken: by tensors, by the driver's account, and of the host's memory for transfers."""
    if not place.cuda:
        return {}
    free, total = torch.cuda.mem_get_info(place.device)
    return {
        "in tensors, MiB": torch.cuda.max_memory_allocated(place.device) / MIB,
        "by the driver, MiB": (total - free) / MIB,
        "pinned, MiB": torch.cuda.host_memory_stats().get("allocated_bytes.peak", 0) / MIB,
    }


def _shortage(place: Place) -> list[Check]:
    return [
        Check("patches are halved", _halved, 40),
        Check("a canvas that no longer fits the device", _moved, 40, cuda=True),
        Check("what libraries say is understood", _understood, 5),
    ]


def _halved(place: Place, row: Row) -> bool:
    """A patch that does not fit: the render is to go on with smaller ones."""
    side, patch = (96, 64) if place.tiny else (1536, 1024)
    job = Sized(side, side, sweeps=2, patch=patch).job(place)
    original = Vgg.features

    def refusing(self: Vgg, pixels: torch.Tensor, layers: Any) -> dict[str, torch.Tensor]:
        if pixels.shape[-1] > patch // 2 and torch.is_grad_enabled():
            raise torch.OutOfMemoryError("CUDA out of memory (pretended)")
        return original(self, pixels, layers)

    if place.cuda:  # what it takes without a wall, and then with one of less
        peak = PeakMemory(place.device)
        optimize(job, lambda level: None, lambda *sweep: None, lambda: False)
        row["peak, MiB"] = peak.bytes() / MIB
        empty_caches()
        cap_memory(place.device, int(0.6 * peak.bytes()))
        return _went_on(Sized(side, side, sweeps=2, patch=patch).job(place), row)
    with mock.patch.object(Vgg, "features", refusing):
        return _went_on(job, row)


def _sides(rescues: list[PatchHalved | CanvasMoved]) -> list[int]:
    """Patch sides that a render went on with when memory had run out."""
    return [rescue.side for rescue in rescues if isinstance(rescue, PatchHalved)]


def _went_on(job: Job, row: Row) -> bool:
    """Whether a render came to its end, with smaller patches."""
    rescues: list[PatchHalved | CanvasMoved] = []
    try:
        canvas, complete = optimize_with_oom_retry(
            job, lambda level: None, lambda *sweep: None, lambda: False, rescues.append
        )
    finally:
        if job.network.device.type == "cuda":
            cap_memory(job.network.device, EVERYTHING)
    sides = _sides(rescues)
    finite = bool(torch.isfinite(canvas.pixels).all())
    row.update({"patches": [job.patch_side, *sides], "complete": complete, "finite": finite})
    row["says"] = f"patches {' '.join(map(str, row['patches']))}"
    return bool(sides) and complete and finite


def _moved(place: Place, row: Row) -> bool:
    """Memory that another program takes once the canvas is to be on the device: it goes to the host."""
    job = Sized(4064, 4064, sweeps=1, patch=256, precision=Precision.BF16, home=DEVICE).job(place)
    torch.cuda.empty_cache()
    cap_memory(place.device, int(0.45 * GIB))  # the canvas alone takes 0.6
    try:
        canvas, complete = optimize_with_oom_retry(job, lambda level: None, lambda *sweep: None, lambda: False)
    finally:
        cap_memory(place.device, EVERYTHING)
    row["canvas on"] = canvas.pixels.device.type
    return complete and bool(torch.isfinite(canvas.pixels).all())


def _understood(place: Place, row: Row) -> bool:
    errors = [RuntimeError(text) for text in COMPLAINTS]
    unknown = [error for error in errors if not (is_out_of_memory(error) or may_be_out_of_memory(error))]
    row["unknown"] = [str(error) for error in unknown]
    row["says"] = f"{len(COMPLAINTS) - len(row['unknown'])} of {len(COMPLAINTS)} complaints are understood"
    return not row["unknown"]


BUDGETS = Group("budgets", "peaks of memory within 0.5, 1 and 2 GiB, behind walls of as much", 30, _budgets)
SIZES = Group("memory", "canvases of 2048 to 8192 pixels a side inside 2 GiB of the device", 35, _sizes)
LARGEST = Group("large", "16384 x 16384 inside 2 GiB of the device", 60, _large)
SHORTAGE = Group("shortage", "memory that runs out, and renders that go on", 15, _shortage)
