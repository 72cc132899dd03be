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
from tilestyle.memory_size import gib
from tilestyle.version import __version__

FORMAT = 1
MANIFEST = "manifest.json"
LOCK, OWNER = "lock", "owner.json"
CONVERTED = "source-*"  # pictures made fit to be read by windows (images)
OURS = (MANIFEST, LOCK, OWNER, CONVERTED, "*.npz", "*.journal", "*.plane", ".tilestyle-*.part")


@dataclass(frozen=True)
class Work:
    """Where a render keeps what it has, and how often."""

    path: Path
    every: float = 600.0  # seconds between checkpoints
    restart: bool = False  # begin anew, whatever is there
    keep: bool = False  # do not remove the folder at the end
    command: Mapping[str, Any] = field(default_factory=dict)  # what would go on, as JSON


def check_disk(folder: Path, need: int, what: str) -> None:
    """Raise DiskError unless there is room for so many bytes more in a folder."""
    free = shutil.disk_usage(folder).free
    if need > free:
        raise DiskError(
            f"{what} needs {gib(need)} GiB of disk in {folder}, {gib(free)} GiB is free",
            hint="make room, or give another folder",
        )


class WorkFolder:
    """A locked folder; nobody else's while this process lives, however it dies."""

    def __init__(self, path: Path) -> None:
        """Create it, or take what is there. Raises WorkError when it is in use or not a work folder."""
        self.path = Path(path)
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
            raise WorkError(f"{path} holds {foreign[0].name}", hint="give an empty folder or a new name")
        self._lock = filelock.FileLock(self.path / LOCK)
        try:
            self._lock.acquire(timeout=0)
        except filelock.Timeout:
            raise WorkError(
                f"{path} is in use by {self._owner()}", hint="wait for it, or give another --work-dir"
            ) from None
        except OSError as error:
            raise OutputError(
                f"{path} cannot be written to ({error.strerror})", hint="choose another --work-dir"
            ) from error
        owner = {"process": os.getpid(), "host": socket.gethostname()}
        (self.path / OWNER).write_text(json.dumps(owner), encoding="utf-8")

    def manifest(self) -> dict[str, Any] | None:
        """What was kept, if anything. Raises WorkError when it cannot be understood."""
        file = self.path / MANIFEST
        if not file.exists():
            return None
        try:
            found = json.loads(file.read_text(encoding="utf-8"))
            form, version = found["format"], found["version"]
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise WorkError(f"{file} is damaged ({error})", hint="begin anew with --restart") from error
        if (form, version) != (FORMAT, __version__):
            raise WorkError(
                f"{self.path} was left by tilestyle {version}, this is {__version__}",
                hint="go on with that, or begin anew with --restart",
            )
        return dict(found)

    @property
    def command(self) -> dict[str, Any]:
        """What would go on with the render that was kept; nothing if none was, or a program kept it."""
        return dict((self.manifest() or {}).get("command", {}))

    def write(self, manifest: Mapping[str, Any], files: Collection[str]) -> None:
        """Make this the manifest, and remove what is not among the files that it speaks of."""
        with replacing(self.path / MANIFEST) as file:
            file.write(json.dumps({"format": FORMAT, "version": __version__, **manifest}, indent=1).encode())
        for path in self._files():
            if path.name not in {*files, MANIFEST, LOCK, OWNER} and not path.match(CONVERTED):
                path.unlink(missing_ok=True)

    def clear(self) -> None:
        """Remove what an earlier render left."""
        for path in self._files():
            if path.name not in (LOCK, OWNER):
                path.unlink(missing_ok=True)

    def close(self, *, remove: bool) -> None:
        """Unlock it; remove it, but for files that are not ours."""
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
        with suppress(OSError, ValueError, KeyError):
            owner = json.loads((self.path / OWNER).read_text(encoding="utf-8"))
            return f"process {owner['process']} on {owner['host']}"
        return "another process"
