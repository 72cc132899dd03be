"""RAM that this process can still allocate: limited by the machine, its cgroups and its own limits."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

import psutil


@dataclass(frozen=True)
class _CgroupFiles:
    """Names of the files of one version of cgroups."""

    limits: tuple[str, ...]
    usage: str
    cache: str  # key in memory.stat: file pages that the system reclaims before an allocation fails


CGROUP_V1 = _CgroupFiles(("memory.limit_in_bytes",), "memory.usage_in_bytes", "total_inactive_file")
CGROUP_V2 = _CgroupFiles(("memory.max", "memory.high"), "memory.current", "inactive_file")


def available_memory(root: Path = Path("/")) -> int:
    """Return the bytes of RAM that this process can still allocate; at least 0.

    It is the least of what the machine has available, of what is left in this process's cgroup and every cgroup
    above it (containers, batch systems; version 1 and 2), and of what the limits of the process leave (ulimit).

    Args:
        root: Folder that contains `proc` and the mounts of cgroups.
    """
    free = [psutil.virtual_memory().available, *_cgroups_free(root), *_rlimits_free()]
    return max(0, min(map(int, free)))


def _cgroups_free(root: Path) -> Iterator[int]:
    """Yield what is left in each cgroup of this process, bytes."""
    for line in _read_lines(root / "proc/self/cgroup"):
        number, _, fields = line.partition(":")
        controllers, _, path = fields.partition(":")
        if number == "0" and not controllers:
            files, kind, controller = CGROUP_V2, "cgroup2", None
        elif "memory" in controllers.split(","):
            files, kind, controller = CGROUP_V1, "cgroup", "memory"
        else:
            continue
        if not path.startswith("/"):
            continue
        for mounted, mount_point in _cgroup_mounts(root, kind, controller):
            cgroup = PurePosixPath(path)
            # A container may see only its own cgroup, under a path that does not exist inside it.
            is_inside = cgroup.is_relative_to(mounted) and ".." not in cgroup.parts
            relative = cgroup.relative_to(mounted) if is_inside else PurePosixPath()
            folder = mount_point / relative
            for group in (folder, *folder.parents):
                if group.is_relative_to(mount_point):
                    yield from _bytes_left(group, files)


def _cgroup_mounts(root: Path, kind: str, controller: str | None) -> Iterator[tuple[str, Path]]:
    """Yield where cgroups of a kind are mounted: (part of their tree, folder)."""
    for line in _read_lines(root / "proc/self/mountinfo"):
        mount_fields, _, filesystem_fields = line.partition(" - ")
        mount, filesystem = mount_fields.split(), filesystem_fields.split()
        if len(mount) < 5 or len(filesystem) < 3 or filesystem[0] != kind:
            continue
        if controller is None or controller in filesystem[2].split(","):
            yield mount[3], root / mount[4].replace("\\040", " ").lstrip("/")


def _bytes_left(group: Path, files: _CgroupFiles) -> Iterator[int]:
    """Yield what each limit of a cgroup leaves, bytes."""
    used = _read_number(group / files.usage)
    if used is None:
        return
    stat = dict(line.split(" ", 1) for line in _read_lines(group / "memory.stat") if " " in line)
    with contextlib.suppress(ValueError):
        used -= min(used, int(stat.get(files.cache, "0")))
    for name in files.limits:
        limit = _read_number(group / name)
        if limit is not None:
            yield max(0, limit - used)


def _rlimits_free() -> Iterator[int]:
    """Yield what the limits of the process leave, bytes."""
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


def _read_number(file: Path) -> int | None:
    """Return the number in a file; None if there is no file or no number ("max")."""
    with contextlib.suppress(OSError, ValueError):
        return int(file.read_text())
    return None


def _read_lines(file: Path) -> list[str]:
    """Return the lines of a file; empty if it cannot be read."""
    try:
        return file.read_text(errors="replace").splitlines()
    except OSError:
        return []
