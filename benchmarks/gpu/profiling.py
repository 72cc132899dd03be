"""Where a patch's time goes: the kernels that take most of it, and how long the device has nothing to do."""

from __future__ import annotations

import re
from collections.abc import Iterable
from functools import partial
from typing import Any

from benchmarks.gpu.core import Check, Group, Place, Row
from benchmarks.gpu.counting import events, kernels, profiled
from benchmarks.gpu.jobs import COMPACT, DEVICE, FITTING, HOST, VGG19, Sized
from tilestyle.config.enums import NetworkName

TOP = 18  # kernels
PATCH = 1024
SHORT = 5.0  # microseconds of a kernel that is mostly launch


def _checks(place: Place) -> list[Check]:
    runs = ((COMPACT, DEVICE),) if place.tiny else ((VGG19, DEVICE), (VGG19, HOST), (COMPACT, DEVICE))
    return [
        Check(f"{network}, canvas on the {home}", partial(_spent, network, home), 40) for network, home in runs
    ]


def _spent(network: NetworkName, home: str, place: Place, row: Row) -> None:
    """A sweep under the profiler, whose own overhead is in all host times."""
    side, patch = (96, 64) if place.tiny else (FITTING[PATCH], PATCH)
    profiler, seconds, patches = profiled(place, Sized(side, side, network, home=home, patch=patch))
    device_events = kernels(profiler)
    spans = sorted((event.time_range.start, event.time_range.end) for event in device_events)
    busy = covered(spans)
    row.update({"patches": patches, "a patch, ms": 1e3 * seconds / patches})
    if spans:
        whole = max(end for _, end in spans) - spans[0][0]
        row.update(
            {
                "kernels and copies a patch": len(spans) / patches,
                "device idle, share": 1 - busy / whole,
                "short, share": sum(end - start < SHORT for start, end in spans) / len(spans),
                "says": f"{network} {home}: {len(spans) / patches:.0f} a patch, idle {1 - busy / whole:.0%}",
            }
        )
    row["top"] = longest(device_events or events(profiler), patches)
    row["host"] = longest((e for e in events(profiler) if e.name.startswith("cuda")), patches)[:8]


def covered(spans: Iterable[tuple[float, float]]) -> float:
    """Length of the union of spans, which are sorted by their starts."""
    total, last = 0.0, float("-inf")
    for start, end in spans:
        total += max(0.0, end - max(start, last))
        last = max(last, end)
    return total


def longest(recorded: Iterable[Any], patches: int) -> list[Row]:
    """Events by name: those that take longest together, microseconds a patch."""
    by_name: dict[str, list[float]] = {}
    for event in recorded:
        by_name.setdefault(event.name, []).append(event.time_range.end - event.time_range.start)
    top = sorted(by_name.items(), key=lambda item: -sum(item[1]))[:TOP]
    return [
        {
            "name": re.sub(r"\s+", " ", name)[:90],
            "a patch": len(taken) / patches,
            "us a patch": sum(taken) / patches,
        }
        for name, taken in top
    ]


GROUP = Group(
    "profile", "kernels that take most of a patch, launches, and how long the device is idle", 25, _checks
)
