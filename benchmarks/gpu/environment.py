"""The card, the versions, and what the card does at its best: what all shares are shares of."""

from __future__ import annotations

import os
import platform
from contextlib import ExitStack
from functools import partial
from typing import Any

import torch

import tilestyle
from benchmarks.gpu.core import GIB, Check, Group, Place, Row, best
from tilestyle.benchmark.speed import matrix_peak
from tilestyle.config.enums import Precision
from tilestyle.devices.transfer import float64_device
from tilestyle.planning.device_choice import DTYPES, choose_precision, find_device

MATRIX = 8192  # side of the products, for float32 and float64 less
COPIED = 2**30  # bytes
LAUNCHES = 1000


def _checks(place: Place) -> list[Check]:
    return [
        Check("the card", _card, 20),
        Check("matrix peaks", _peaks, 30),
        Check("bandwidths and launches", _bandwidths, 20),
    ]


def _card(place: Place, row: Row) -> bool:
    device = find_device("auto")
    row.update(
        {
            "python": platform.python_version(),
            "torch": torch.__version__,
            "tilestyle": tilestyle.__version__,
            "processors": os.cpu_count(),
            "threads": torch.get_num_threads(),
            "auto is": f"{device}, {DTYPES[choose_precision(Precision.AUTO, device)]}",
            "distances on": str(float64_device(device)),
        }
    )
    if not place.cuda:
        row["says"] = f"torch {torch.__version__}, a host"
        return device.type == place.device.type
    facts = torch.cuda.get_device_properties(place.device)
    free, total = torch.cuda.mem_get_info(place.device)
    capability = torch.cuda.get_device_capability(place.device)
    row.update(
        {
            "card": facts.name,
            "capability": list(capability),
            "kernels for": torch.cuda.get_arch_list(),
            "CUDA": torch.version.cuda,
            "cuDNN": torch.backends.cudnn.version(),  # type: ignore[no-untyped-call]
            "GiB": total / GIB,
            "context and others, GiB": (total - free) / GIB,
            "allocator": os.environ.get("PYTORCH_CUDA_ALLOC_CONF") or os.environ.get("PYTORCH_ALLOC_CONF"),
            "says": f"{facts.name}, {total / GIB:.0f} GiB, torch {torch.__version__}",
        }
    )
    return device.type == "cuda"


def _peaks(place: Place, row: Row) -> None:
    """TFLOP/s of products of large square matrices."""
    side = 256 if place.tiny else MATRIX
    ways: dict[str, tuple[torch.dtype, int, str]] = {
        "bf16": (torch.bfloat16, side, "highest"),
        "tf32": (torch.float32, side, "high"),
        "fp32": (torch.float32, side // 2, "highest"),
        "fp64": (torch.float64, side // 4, "highest"),
    }
    peaks: dict[str, Any] = {}
    with ExitStack() as stack:
        stack.callback(torch.set_float32_matmul_precision, torch.get_float32_matmul_precision())
        for name, (dtype, size, precision) in ways.items():
            torch.set_float32_matmul_precision(precision)
            one, other = (torch.randn(size, size, device=place.device).to(dtype) for _ in range(2))
            seconds = best(partial(torch.matmul, one, other), place.device, 5)
            peaks[name] = 2 * size**3 / seconds / 1e12
            del one, other
    row["TFLOP/s"] = peaks
    place.note(peaks=peaks)
    row["says"] = ", ".join(f"{name} {peak:.3g}" for name, peak in peaks.items()) + " TFLOP/s"


def peak_of(place: Place, dtype: torch.dtype) -> float:
    """TFLOP/s of the best products in an arithmetic: as noted, else measured now."""
    name = "bf16" if dtype is torch.bfloat16 else "fp32"
    peaks = place.noted("peaks") or {}
    if name not in peaks:
        peaks[name] = matrix_peak(place.device, dtype) / 1e12
        place.note(peaks=peaks)
    return float(peaks[name])


def _bandwidths(place: Place, row: Row) -> None:
    """GB/s within the device and to and from the host, and microseconds of a launch."""
    count = (2**20 if place.tiny else COPIED) // 4
    device = place.device
    one, other = torch.zeros(count, device=device), torch.empty(count, device=device)
    row["within the device, GB/s"] = 2 * one.nbytes / best(lambda: other.copy_(one), device) / 1e9
    few = torch.zeros(8, device=device)

    def launch() -> None:
        for _ in range(LAUNCHES):
            few.add_(1)

    row["a launch, us"] = best(launch, device) / LAUNCHES * 1e6
    part = one[: count // 8]
    for name, pinned in (("pinned", True), ("pageable", False)) if place.cuda else (("pageable", False),):
        here = torch.zeros(len(part), pin_memory=pinned)
        to = best(partial(part.copy_, here, non_blocking=True), device)
        back = best(partial(here.copy_, part, non_blocking=True), device)
        row[f"{name}: to and from the device, GB/s"] = [part.nbytes / to / 1e9, part.nbytes / back / 1e9]


GROUP = Group("environment", "the card, the versions, matrix peaks, bandwidths", 15, _checks)
