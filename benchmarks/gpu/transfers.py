"""What goes between host and device: that it arrives whole, that nothing waits, and how much it is."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import replace
from functools import partial

import torch

from benchmarks.gpu.core import MIB, Check, Group, Place, Row, best
from benchmarks.gpu.counting import counted
from benchmarks.gpu.jobs import COMPACT, DEVICE, HOST, VGG19, Sized
from tilestyle.devices.staging import AsyncCopy, drop_staging_buffers
from tilestyle.devices.timer import synchronized_time
from tilestyle.devices.transfer import to_device
from tilestyle.optim.adam import Adam
from tilestyle.optim.device_update import PIXEL_BYTES

LAUNCHES = 250  # at most, of a patch with VGG-19, the canvas on the device
CYCLES = 200_000_000  # of a device that is kept busy: about a tenth of a second
BUSY = 0.03  # seconds; a call that takes longer has waited for the device
PATCH = 1024
# Heights of one and of two rows of patches with their laps, and widths of canvases.
ROWS, WIDTHS = (1016, 2032), (4064, 16256)


def _checks(place: Place) -> list[Check]:
    widths = (120,) if place.tiny else WIDTHS
    return [
        Check("a window pins no more than itself", _pinned, 20, cuda=True),
        Check("sending and landing do not wait", _unwaited, 15, cuda=True),
        Check("what is sent and landed is whole", _whole, 20),
        *(Check(f"a patch, canvas on the device, {w} wide", partial(_patch, DEVICE, w), 40) for w in widths),
        Check(f"a patch, canvas on the host, {widths[0]} wide", partial(_patch, HOST, widths[0]), 60),
        Check("a step of Adam", _step, 20),
    ]


def _pinned(place: Place, row: Row) -> bool:
    """Pinned memory that one window of a large canvas takes, which comes in powers of two."""
    plane = torch.zeros(3, 8192, 8192)
    window = plane[:, 5 : 5 + PATCH, 7 : 7 + PATCH][None]
    to_device(window[:, :, :1, :1], place.device, torch.bfloat16)  # begins CUDA, and its account
    drop_staging_buffers()
    allocated = torch.cuda.host_memory_stats()["allocated_bytes.allocated"]
    to_device(window, place.device, torch.bfloat16)
    synchronized_time(place.device)
    taken = torch.cuda.host_memory_stats()["allocated_bytes.allocated"] - allocated
    own = window.numel() * window.element_size()
    row.update(
        {
            "window, MiB": own / MIB,
            "pinned, MiB": taken / MIB,
            "says": f"a window pins {taken / own:.3g} of itself",
        }
    )
    return bool(taken <= 2 * own)


def _unwaited(place: Place, row: Row) -> bool:
    """The host's seconds while the device is busy with something else."""
    plane = torch.rand(3, 4096, 4096)
    window = plane[:, 5 : 5 + PATCH, 7 : 7 + PATCH][None]
    gradient = torch.rand(3, PATCH, PATCH, device=place.device)
    host = torch.device("cpu")
    ways: dict[str, Callable[[], object]] = {
        "sending": partial(to_device, window, place.device, torch.bfloat16),
        "landing": partial(AsyncCopy.start, gradient, host),
    }
    for warm in (True, False):  # pinned memory is allocated once
        for name, run in ways.items():
            synchronized_time(place.device)
            if not warm:
                torch.cuda._sleep(CYCLES)  # type: ignore[no-untyped-call]
            began = time.perf_counter()
            run()
            row[f"{name}, ms"] = 1e3 * (time.perf_counter() - began)
    row["sending alone, ms"] = 1e3 * best(
        partial(to_device, window, place.device, torch.bfloat16), place.device
    )
    return bool(max(row["sending, ms"], row["landing, ms"]) < 1e3 * BUSY)


def _whole(place: Place, row: Row) -> bool:
    """Many windows in turn, each filled with its own number: a buffer reused too early would show."""
    side, part, count = (96, 32, 20) if place.tiny else (2048, 512, 200)
    plane, means, wrong = torch.zeros(3, side, side), [], 0
    copies: list[tuple[int, AsyncCopy]] = []
    for index in range(count):
        plane.fill_(index % 251)
        window = plane[:, 3 : 3 + part, 1 : 1 + part][None]
        means.append(to_device(window, place.device, torch.float32).double().mean())
    expected = torch.arange(count, dtype=torch.float64) % 251
    wrong += int((torch.stack(means).cpu() - expected).abs().gt(1e-6).sum())
    for index in range(count):
        full = torch.full((3, part, part), float(index), device=place.device)
        copies.append((index, AsyncCopy.start(full, torch.device("cpu"))))
        if len(copies) > 2:
            number, copy = copies.pop(0)
            wrong += int((copy.result() != number).any())
            copy.release()
    row["wrong"] = wrong
    return wrong == 0


def _patch(home: str, width: int, place: Place, row: Row) -> bool:
    """The cost of one more patch: the difference between canvases of one row of patches and of two."""
    patch, heights = (64, (64, 120)) if place.tiny else (PATCH, ROWS)
    # Content is shown with every patch, so that what travels is a window of it, too.
    network = COMPACT if place.tiny else VGG19
    base = Sized(0, width, network, home=home, patch=patch, settings={"keep_content": False})
    one_row, two_rows = (counted(place, replace(base, height=height)) for height in heights)
    counts = one_row.per_patch(two_rows)
    window = 3 * 4 * patch**2
    arrived, left = counts.bytes_to_device, counts.bytes_to_host
    row.update((name, value) for name, value in counts.row().items() if name != "patches")
    row.update({"arrived, windows": arrived / window, "left, windows": left / window})
    row["says"] = (
        f"{home}, {width} wide: {counts.launches or counts.operations:.0f} "
        f"{'launches' if counts.launches else 'operations'}, "
        f"{arrived / window:.2g} + {left / window:.2g} windows"
    )
    if not place.cuda:
        return arrived == left == 0
    never_waits = max(counts.scalar_reads, counts.blocking, counts.synchronizations) < 0.5
    if home == DEVICE:
        return never_waits and counts.launches <= LAUNCHES and arrived + left < 0.01 * window
    # All planes of the canvas are stepped on the device: their own bytes once each way, and the content's.
    planes, content = PIXEL_BYTES * patch**2, 3 * 2 * patch**2
    return never_waits and arrived <= 1.02 * (planes + content) and left <= 1.02 * planes


def _step(place: Place, row: Row) -> None:
    """Milliseconds a megapixel: where canvases are on the host, the host makes it, with the threads it has."""
    side = 128 if place.tiny else PATCH
    threads = torch.get_num_threads()
    host = torch.device("cpu")
    ways = {"host": (host, threads), "host, one thread": (host, 1), "device": (place.device, threads)}
    for name, (device, count) in ways.items():
        torch.set_num_threads(count)
        planes = {
            key: torch.rand(channels, side, side, device=device)
            for key, channels in (("pixels", 3), ("first", 3), ("second", 3), ("steps", 1))
        }
        gradient = torch.rand(3, side, side, device=device)
        seconds = best(partial(Adam().update, planes, gradient, 0.0), place.device)
        row[f"{name}, ms/MP"] = 1e3 * seconds / (side * side / 1e6)
    torch.set_num_threads(threads)
    row["threads"] = threads


GROUP = Group(
    "transfers", "what a patch sends and launches; that nothing waits, and that all arrives", 40, _checks
)
