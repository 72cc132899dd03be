"""The folder of a studio: what lies where, how much it may hold, and what goes first.

    studio.json          says that the folder is a studio's; `lock` keeps a second server out
    uploads/ID/          an uploaded file, its facts, a thumbnail and a small copy for drafts
    jobs/ID/             a job: its record, its inputs, its work folder, its result with tiles
    temporary/           what is being written; emptied at every start

All names are the studio's own: nothing of a request becomes part of a path.
"""

from __future__ import annotations

import errno
import json
import os
import secrets
import shutil
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import filelock
import platformdirs

from tilestyle.config.byte_size import format_bytes
from tilestyle.errors import OutputError, TilestyleError, WorkError
from tilestyle.files.atomic import atomic_write
from tilestyle.studio.refusals import Refused, split_message, unusable

MARKER, LOCK, FORMAT = "studio.json", "lock", 1
FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
REFRESH_SECONDS = 20.0


def default_root() -> Path:
    """Return the folder of the studio of this user."""
    return Path(platformdirs.user_data_dir("tilestyle")) / "studio"


def new_id() -> str:
    """Return a name for an upload or a job that nobody guesses."""
    return secrets.token_hex(8)


class Root:
    """The folder."""

    def __init__(self, path: Path, cap: int) -> None:
        """Create the folder, or open one that a studio has used, and lock it.

        Args:
            path: The folder.
            cap: Bytes that it may hold.

        Raises:
            WorkError: It holds something else, or another server uses it.
            OutputError: It cannot be created or written to.
        """
        self.path, self.cap = path.absolute(), cap
        self.uploads, self.jobs = self.path / "uploads", self.path / "jobs"
        self.temporary = self.path / "temporary"
        self._lock = filelock.FileLock(self.path / LOCK)
        self._sizes: dict[Path, int] = {}
        self._measured = 0.0
        try:
            self._claim()
        except OSError as error:
            if isinstance(error, OutputError | WorkError):
                raise
            raise OutputError(
                f"the folder {path} cannot be used ({error.strerror or error})", hint="choose another --root"
            ) from error

    def _claim(self) -> None:
        self.path.mkdir(parents=True, exist_ok=True)
        marker = self.path / MARKER
        if not marker.is_file() and any(entry.name != LOCK for entry in self.path.iterdir()):
            raise WorkError(
                f"{self.path} is not the folder of a studio: it holds other files",
                hint="give an empty folder or a new name as --root",
            )
        try:
            self._lock.acquire(timeout=0)
        except filelock.Timeout:
            raise WorkError(
                f"another studio uses {self.path}", hint="use its page, or give another --root"
            ) from None
        if marker.is_file():
            if _format_of(marker) > FORMAT:
                raise WorkError(
                    f"{self.path} was made by a later version of tilestyle", hint="give another --root"
                )
        else:
            write_json(marker, {"format": FORMAT})
        shutil.rmtree(self.temporary, ignore_errors=True)
        for folder in (self.uploads, self.jobs, self.temporary):
            folder.mkdir(exist_ok=True)

    def close(self) -> None:
        """Let others use the folder."""
        self._lock.release()

    def used(self, *, fresh: bool = False) -> int:
        """Return the bytes in the folder; measured again after some seconds, or if asked."""
        if fresh or time.monotonic() - self._measured > REFRESH_SECONDS:
            self._sizes = {
                entry: folder_bytes(entry) for kind in (self.uploads, self.jobs) for entry in _entries(kind)
            }
            self._measured = time.monotonic()
        return sum(self._sizes.values())

    def bytes_of(self, folder: Path) -> int:
        """Return the bytes in one of its folders, as last measured."""
        return self._sizes.get(folder, 0)

    def forget(self, folder: Path) -> None:
        """Note that a folder is gone."""
        self._sizes.pop(folder, None)

    def make_room(self, needed: int, oldest: Iterable[tuple[Path, Callable[[], None]]]) -> None:
        """Remove finished work, oldest first, until there is room for so many bytes.

        Nothing is removed if that would not be enough.

        Args:
            needed: Bytes.
            oldest: Folders that may go, in order, each with what removes it.

        Raises:
            Refused: There is not enough that may go.
        """
        if self.used() + needed > self.cap:
            self.used(fresh=True)
        removals, freed, going = iter(oldest), 0, []
        while self.used() + needed - freed > self.cap:
            folder, remove = next(removals, (None, None))
            if folder is None or remove is None:
                raise Refused(
                    507,
                    f"this needs {format_bytes(needed)}, and the studio may hold {format_bytes(self.cap)}, of "
                    f"which {format_bytes(self.used())} are in use",
                    "discard what you do not need, or start the studio with a larger --storage",
                )
            freed += self.bytes_of(folder)
            going.append(remove)
        self._check_disk(needed, freed)
        for remove in going:
            remove()
        self._check_disk(needed)  # what has gone may have had other names

    def _check_disk(self, needed: int, freed: int = 0) -> None:
        with suppress(OSError):
            free = shutil.disk_usage(self.path).free + freed
            if needed > free:
                raise disk_full(self.path, f"{format_bytes(needed)} are needed, {format_bytes(free)} are free")


def disk_full(path: Path, why: str) -> Refused:
    """Return the refusal of what does not fit on the disk."""
    return Refused(507, f"the disk of {path} is full: {why}", "free some space and try again")


@contextmanager
def refusing_disk_errors(path: Path) -> Iterator[None]:
    """Turn errors of the operating system while something is stored into a refusal."""
    try:
        yield
    except Refused:
        raise
    except OSError as error:
        if isinstance(error.__cause__ or error, FileNotFoundError):
            raise unusable(error) from error
        own = split_message(error)[0] if isinstance(error, TilestyleError) else str(error)
        reason, full = error.strerror or own, os.strerror(errno.ENOSPC)
        if error.errno in FULL:
            raise disk_full(path, reason) from error
        if full in reason:  # libvips has errors of the system as text only
            raise disk_full(path, full) from error
        raise Refused(500, f"{path} cannot be written ({reason})", "check the drive and try again") from error


def write_json(path: Path, content: Any) -> None:
    """Write a file of JSON, whole or not at all."""
    with atomic_write(path) as file:
        file.write(json.dumps(content, indent=1).encode())


def folder_bytes(folder: Path) -> int:
    """Return the disk space of the files in a folder, bytes."""
    total = 0
    for place, _, files in os.walk(folder):
        for name in files:
            with suppress(OSError):
                status = os.lstat(os.path.join(place, name))
                total += getattr(status, "st_blocks", status.st_size // 512 + 1) * 512
    return total


def link_or_copy(file: Path, copy: Path) -> None:
    """Give a file a second name, which stays when the first one is removed."""
    try:
        os.link(file, copy)
    except OSError:
        shutil.copyfile(file, copy)


def remove_folder(folder: Path) -> None:
    """Remove a folder of the studio; what cannot be removed now goes with the next one."""
    shutil.rmtree(folder, ignore_errors=True)


def _format_of(marker: Path) -> float:
    """Return the format of the folder that a file marks; ours if it does not say."""
    with suppress(ValueError, OSError, AttributeError, TypeError):
        return float(json.loads(marker.read_bytes())["format"])
    return FORMAT


def _entries(folder: Path) -> list[Path]:
    try:
        return [entry for entry in folder.iterdir() if entry.is_dir()]
    except OSError:
        return []
