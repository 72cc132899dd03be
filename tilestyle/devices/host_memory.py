"""RAM that this process may still take: of the machine, of its control groups, and of its own limits."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

import psutil


@dataclass(frozen=True)
class _Files:
    """What the files of one version of control groups are called."""

    limits: tuple[str, ...]
    usage: str
    cache: str  # in memory.stat: pages of files that the system takes back before it refuses memory


VERSION_1 = _Files(("memory.limit_in_bytes",), "memory.usage_in_bytes", "total_inactive_file")
VERSION_2 = _Files(("memory.max", "memory.high"), "memory.current", "inactive_file")


def available_memory(root: Path = Path("/")) -> int:
    """Return the bytes of RAM that this process may still take; at least 0.

    The least of what the machine has free, of what is left in this process's control group and every group
    above it (containers, batch systems; version 1 and 2), and of what the process's own limits leave (ulimit).

    Args:
        root: Folder in which `proc` and the mounts of control groups are looked for.
    """
    free = [psutil.virtual_memory().available, *_groups(root), *_limits()]
    return max(0, min(map(int, free)))


def _groups(root: Path) -> Iterator[int]:
    """What is left in each control group that this process is in."""
    for line in _lines(root / "proc/self/cgroup"):
        number, _, rest = line.partition(":")
        controllers, _, path = rest.partition(":")
        if number == "0" and not controllers:
            files, kind, controller = VERSION_2, "cgroup2", None
        elif "memory" in controllers.split(","):
            files, kind, controller = VERSION_1, "cgroup", "memory"
        else:
            continue
        if not path.startswith("/"):
            continue
        for mounted, point in _mounts(root, kind, controller):
            within = PurePosixPath(path)
            # A container may see its own group alone, under a path that is not there for it.
            inside = within.is_relative_to(mounted) and ".." not in within.parts
            inner = within.relative_to(mounted) if inside else PurePosixPath()
            folder = point / inner
            for group in (folder, *folder.parents):
                if group.is_relative_to(point):
                    yield from _left(group, files)


def _mounts(root: Path, kind: str, controller: str | None) -> Iterator[tuple[str, Path]]:
    """Where control groups of a kind are mounted: which part of their tree, and the folder."""
    for line in _lines(root / "proc/self/mountinfo"):
        before, _, after = line.partition(" - ")
        where, how = before.split(), after.split()
        if len(where) < 5 or len(how) < 3 or how[0] != kind:
            continue
        if controller is None or controller in how[2].split(","):
            yield where[3], root / where[4].replace("\\040", " ").lstrip("/")


def _left(group: Path, files: _Files) -> Iterator[int]:
    """What each limit of a control group leaves."""
    used = _number(group / files.usage)
    if used is None:
        return
    stat = dict(line.split(" ", 1) for line in _lines(group / "memory.stat") if " " in line)
    with contextlib.suppress(ValueError):
        used -= min(used, int(stat.get(files.cache, "0")))
    for name in files.limits:
        limit = _number(group / name)
        if limit is not None:
            yield max(0, limit - used)


def _limits() -> Iterator[int]:
    """What the process's own limits leave."""
    try:
        import resource  # not on Windows
    except ImportError:
        return
    process = psutil.Process().memory_info()
    for name, used in (("RLIMIT_AS", process.vms), ("RLIMIT_DATA", getattr(process, "data", process.rss))):
        kind = getattr(resource, name, None)
        if kind is None:
            continue
        limit = resource.getrlimit(kind)[0]
        if limit not in (resource.RLIM_INFINITY, -1):
            yield max(0, limit - used)


def _number(file: Path) -> int | None:
    """The number in a file; None without a file, or without a number ("max")."""
    with contextlib.suppress(OSError, ValueError):
        return int(file.read_text())
    return None


def _lines(file: Path) -> list[str]:
    try:
        return file.read_text(errors="replace").splitlines()
    except OSError:
        return []
