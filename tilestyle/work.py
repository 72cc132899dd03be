"""The work folder of a render: its lock, its manifest, and which files in it are whose."""

from __future__ import annotations

import json
import os
import shutil
import socket
from collections.abc import Collection, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import filelock

from tilestyle.errors import DiskError, OutputError, WorkError
from tilestyle.images.atomic import replacing
from tilestyle.memory_size import size_of
from tilestyle.ranks import ALONE, Ranks
from tilestyle.version import __version__

FORMAT = 3
MANIFEST = "manifest.json"
LOCK, OWNER = "lock", "owner.json"
# File systems on which a machine may see late what another has written.
INCOHERENT = ("nfs", "nfs4", "cifs", "smb3", "9p", "fuse.sshfs")
# Pictures made fit to be read by windows (images); and what runs before have filmed (film.py).
CARRIED = ("source-*", "film-*.mkv")
OURS = (MANIFEST, LOCK, OWNER, *CARRIED, "*.npz", "*.journal", "*.plane", ".tilestyle-*.part")


@dataclass(frozen=True)
class Work:
    """Where a render keeps what it has, and how often."""

    path: Path
    every: float = 600.0  # seconds between checkpoints
    restart: bool = False  # begin anew, whatever is there
    keep: bool = False  # do not remove the folder at the end
    command: Mapping[str, Any] = field(default_factory=dict)  # what would go on, as JSON
    ranks: Ranks = ALONE  # who renders it


def check_disk(folder: Path, need: int, what: str) -> None:
    """Raise DiskError unless there is room for so many bytes more in a folder."""
    free = shutil.disk_usage(folder).free
    if need > free:
        raise DiskError(
            f"{what} needs {size_of(need)} of disk in {folder}, {size_of(free)} is free",
            hint="make room, or give another folder",
        )


def file_system(path: Path) -> str:
    """The kind of file system that a path is on, as Linux calls it; elsewhere, nothing."""
    mounts = Path("/proc/self/mounts")
    if not mounts.exists():
        return ""
    found = {}
    for line in mounts.read_text(encoding="utf-8").splitlines():
        _, place, kind, *_ = line.split()
        found[place] = kind
    parents = [path.resolve(), *path.resolve().parents]
    return next((found[str(place)] for place in parents if str(place) in found), "")


def manifest_of(path: Path) -> dict[str, Any] | None:
    """What a folder keeps, if anything. Raises WorkError when it cannot be understood."""
    file = path / MANIFEST
    if not file.exists():
        return None
    try:
        found = json.loads(file.read_text(encoding="utf-8"))
        form, version = found["format"], found["version"]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise WorkError(f"{file} is damaged ({error})", hint="begin anew with --restart") from error
    if (form, version) != (FORMAT, __version__):
        raise WorkError(
            f"{path} was left by tilestyle {version}, this is {__version__}",
            hint="go on with that, or begin anew with --restart",
        )
    return dict(found)


def command_of(path: Path) -> dict[str, Any]:
    """What would go on with the render that was kept; nothing if none was, or a program kept it."""
    return dict((manifest_of(path) or {}).get("command", {}))


class WorkFolder:
    """A locked folder; nobody else's while this process lives, however it dies.

    The first of several ranks locks it, the others are its guests.
    """

    def __init__(self, path: Path, ranks: Ranks = ALONE) -> None:
        """Create it, or take what is there.

        Raises WorkError when it is in use, not a work folder, or not the same folder for all ranks.
        """
        self.path = Path(path)
        self._lock: filelock.FileLock | None = None
        if ranks.first:
            self._take()
        self._check_shared(ranks)

    def _take(self) -> None:
        path = self.path
        try:
            self.path.mkdir(exist_ok=True)
        except FileExistsError:
            raise OutputError(f"{path} is not a folder", hint="choose another --work-dir") from None
        except OSError as error:
            raise OutputError(
                f"{path} cannot be made ({error.strerror})", hint="choose another --work-dir"
            ) from error
        foreign = sorted(set(self.path.iterdir()) - self._files())
        if foreign and not (self.path / MANIFEST).exists():
            raise WorkError(f"{self.path} holds {foreign[0].name}", hint="give an empty folder or a new name")
        lock = filelock.FileLock(path / LOCK)
        try:
            lock.acquire(timeout=0)
        except filelock.Timeout:
            raise WorkError(
                f"{path} is in use by {self._owner()}", hint="wait for it, or give another --work-dir"
            ) from None
        except OSError as error:
            raise OutputError(
                f"{path} cannot be written to ({error.strerror})", hint="choose another --work-dir"
            ) from error
        self._lock = lock
        owner = {"process": os.getpid(), "host": socket.gethostname()}
        (self.path / OWNER).write_text(json.dumps(owner), encoding="utf-8")

    def _check_shared(self, ranks: Ranks) -> None:
        owner = ranks.told(self._owned())
        if ranks.first:
            return
        if self._owned() != owner:
            raise WorkError(
                f"{ranks} on {socket.gethostname()} does not see the files of {self.path} on {owner['host']}",
                hint="give a --work-dir that all machines share",
            )
        kind = file_system(self.path)
        if owner["host"] != socket.gethostname() and kind in INCOHERENT:
            raise WorkError(
                f"{self.path} is on {kind}, where machines see each other's changes late",
                hint="give a --work-dir on a coherent file system, such as Lustre or GPFS",
            )

    def manifest(self) -> dict[str, Any] | None:
        """What was kept, if anything. Raises WorkError when it cannot be understood."""
        return manifest_of(self.path)

    def write(self, manifest: Mapping[str, Any], files: Collection[str]) -> None:
        """Make this the manifest, and remove what is not among the files that it speaks of."""
        with replacing(self.path / MANIFEST) as file:
            file.write(json.dumps({"format": FORMAT, "version": __version__, **manifest}, indent=1).encode())
        for path in self._files():
            if path.name not in {*files, MANIFEST, LOCK, OWNER} and not any(map(path.match, CARRIED)):
                path.unlink(missing_ok=True)

    def clear(self) -> None:
        """Remove what an earlier render left."""
        for path in self._files():
            if path.name not in (LOCK, OWNER):
                path.unlink(missing_ok=True)

    def close(self, *, remove: bool) -> None:
        """Unlock it; remove it, but for files that are not ours."""
        if self._lock is None:
            return
        if remove:
            for path in self._files():
                if path.name != LOCK:
                    path.unlink(missing_ok=True)
        self._lock.release()
        if remove:
            (self.path / LOCK).unlink(missing_ok=True)
            with suppress(OSError):  # somebody put something there
                self.path.rmdir()

    def _files(self) -> set[Path]:
        return {path for pattern in OURS for path in self.path.glob(pattern)}

    def _owner(self) -> str:
        with suppress(KeyError, TypeError):
            owner = self._owned()
            return f"process {owner['process']} on {owner['host']}"
        return "another process"

    def _owned(self) -> Any:
        with suppress(OSError, ValueError):
            return json.loads((self.path / OWNER).read_text(encoding="utf-8"))
        return None
