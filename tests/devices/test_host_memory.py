"""Which memory a process may take: the machine's, its control groups', and its own limits'."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from types import SimpleNamespace

import psutil
import pytest
import torch

from tilestyle.devices import device_memory, host_memory
from tilestyle.devices.host_memory import available_memory
from tilestyle.planning.memory_budget import MemoryBudget
from tilestyle.planning.memory_limits import MemoryLimits
from tilestyle.planning.memory_model import MemoryEstimate

MACHINE = 64 * 2**30
GIB = 2**30
V2 = "30 23 0:26 {root} /sys/fs/cgroup rw,nosuid shared:4 - cgroup2 cgroup2 rw,nsdelegate"
V1 = "36 25 0:31 {root} /sys/fs/cgroup/memory rw,nosuid shared:15 - cgroup cgroup rw,memory"
OTHER = "37 25 0:32 / /sys/fs/cgroup/cpu rw,nosuid shared:16 - cgroup cgroup rw,cpu,cpuacct"


@pytest.fixture(autouse=True)
def _machine(monkeypatch: pytest.MonkeyPatch) -> None:
    """A machine with so much memory, and a process without limits of its own."""
    monkeypatch.setattr(psutil, "virtual_memory", lambda: SimpleNamespace(available=MACHINE))
    monkeypatch.setattr(host_memory, "_rlimits_free", lambda: iter(()))


def tree(root: Path, cgroup: str, mounts: list[str], groups: Mapping[str, Mapping[str, object]]) -> Path:
    """A made-up file system with control groups."""
    (root / "proc/self").mkdir(parents=True)
    (root / "proc/self/cgroup").write_text(cgroup)
    (root / "proc/self/mountinfo").write_text("22 1 8:1 / / rw - ext4 /dev/sda rw\n" + "\n".join(mounts) + "\n")
    for name, files in groups.items():
        folder = root / "sys/fs/cgroup" / name
        folder.mkdir(parents=True, exist_ok=True)
        for file, value in files.items():
            (folder / file).write_text(f"{value}\n")
    return root


def two(limit: object, current: object = 0, high: object = "max", cache: int = 0) -> dict[str, object]:
    """Files of a group of version 2."""
    stat = f"anon 5\nfile 7\ninactive_file {cache}\nactive_file 1"
    return {"memory.max": limit, "memory.high": high, "memory.current": current, "memory.stat": stat}


def one(limit: object, usage: object = 0, cache: int = 0) -> dict[str, object]:
    """Files of a group of version 1."""
    return {
        "memory.limit_in_bytes": limit,
        "memory.usage_in_bytes": usage,
        "memory.stat": f"inactive_file 1\ntotal_inactive_file {cache}",
    }


UNLIMITED = 9223372036854771712  # what version 1 says
CASES: dict[str, tuple[str, list[str], dict[str, dict[str, object]], int]] = {
    "nothing": ("", [], {}, MACHINE),
    "no limit": ("0::/job", [V2.format(root="/")], {"job": two("max", GIB)}, MACHINE),
    "max": ("0::/job", [V2.format(root="/")], {"job": two(4 * GIB, GIB)}, 3 * GIB),
    "high": ("0::/job", [V2.format(root="/")], {"job": two(4 * GIB, GIB, high=2 * GIB)}, GIB),
    "cache": ("0::/job", [V2.format(root="/")], {"job": two(4 * GIB, 3 * GIB, cache=2 * GIB)}, 3 * GIB),
    "full": ("0::/job", [V2.format(root="/")], {"job": two(GIB, 2 * GIB)}, 0),
    "zero": ("0::/job", [V2.format(root="/")], {"job": two(0, 0)}, 0),
    "more than the machine": ("0::/job", [V2.format(root="/")], {"job": two(2 * MACHINE, 0)}, MACHINE),
    "nested, inner": (
        "0::/a/b",
        [V2.format(root="/")],
        {"a": two(8 * GIB, GIB), "a/b": two(2 * GIB, GIB)},
        GIB,
    ),
    "nested, outer": (
        "0::/a/b/c",
        [V2.format(root="/")],
        {"a": two(8 * GIB, 7 * GIB), "a/b": two("max", 5), "a/b/c": two(5 * GIB, GIB)},
        GIB,
    ),
    "a container's namespace": ("0::/", [V2.format(root="/")], {"": two(3 * GIB, GIB)}, 2 * GIB),
    "a container without one": (
        "0::/docker/abc",
        [V2.format(root="/docker/abc")],
        {"": two(3 * GIB, GIB)},
        2 * GIB,
    ),
    "a path that is not there": ("0::/../x", [V2.format(root="/y")], {"": two(3 * GIB, GIB)}, 2 * GIB),
    "no usage": ("0::/job", [V2.format(root="/")], {"job": {"memory.max": GIB}}, MACHINE),
    "no stat": (
        "0::/job",
        [V2.format(root="/")],
        {"job": {"memory.max": 2 * GIB, "memory.current": GIB}},
        GIB,
    ),
    "nonsense": ("0::/job", [V2.format(root="/")], {"job": two("many", "some")}, MACHINE),
    "cut lines": ("0\n0:\n:::\n7:memory", ["36 25", V2.format(root="/")], {"": two(GIB)}, MACHINE),
    "version 1": (
        "4:memory:/job\n3:cpu:/x",
        [OTHER, V1.format(root="/")],
        {"memory/job": one(4 * GIB, GIB)},
        3 * GIB,
    ),
    "version 1, no limit": (
        "4:memory:/job",
        [V1.format(root="/")],
        {"memory/job": one(UNLIMITED, GIB)},
        MACHINE,
    ),
    "version 1, cache": (
        "4:memory:/job",
        [V1.format(root="/")],
        {"memory/job": one(4 * GIB, 4 * GIB, cache=GIB)},
        GIB,
    ),
    "version 1, nested": (
        "9:hugetlb,memory:/a/b",
        [V1.format(root="/")],
        {"memory/a": one(2 * GIB, GIB), "memory/a/b": one(UNLIMITED, 5)},
        GIB,
    ),
    "both": (
        "4:memory:/job\n0::/user",
        [V1.format(root="/"), V2.format(root="/").replace("/sys/fs/cgroup", "/sys/fs/cgroup/unified")],
        {"memory/job": one(4 * GIB, GIB), "unified/user": two(2 * GIB, GIB)},
        GIB,
    ),
}


@pytest.mark.parametrize("case", CASES)
def test_the_least_limit_counts(case: str, tmp_path: Path) -> None:
    cgroup, mounts, groups, expected = CASES[case]
    assert available_memory(tree(tmp_path, cgroup, mounts, groups)) == expected


@pytest.mark.parametrize("limited", ["RLIMIT_AS", "RLIMIT_DATA"])
def test_limits_of_the_process_count(limited: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    resource = pytest.importorskip("resource")
    monkeypatch.undo()
    monkeypatch.setattr(psutil, "virtual_memory", lambda: SimpleNamespace(available=MACHINE))
    used = psutil.Process().memory_info()
    monkeypatch.setattr(psutil.Process, "memory_info", lambda process: used)
    taken = used.vms if limited == "RLIMIT_AS" else getattr(used, "data", used.rss)

    def told(kind: int) -> tuple[int, int]:
        here = taken + GIB if kind == getattr(resource, limited) else resource.RLIM_INFINITY
        return here, resource.RLIM_INFINITY

    monkeypatch.setattr(resource, "getrlimit", told)
    assert available_memory(tmp_path) == GIB


def test_budgets_ask_for_it(monkeypatch: pytest.MonkeyPatch) -> None:
    cpu, limits = torch.device("cpu"), MemoryLimits()
    large = MemoryEstimate(0, 0, 0, 3 * GIB, 0, 0, 0)
    for free, is_mapped in ((2 * GIB, True), (20 * GIB, False)):
        monkeypatch.setattr(device_memory, "available_memory", lambda free=free: free)
        assert device_memory.free_bytes(cpu) == free
        assert MemoryBudget(cpu, limits, free, free).should_memory_map(large) is is_mapped


def test_this_machine_has_some() -> None:
    assert available_memory() >= 0
