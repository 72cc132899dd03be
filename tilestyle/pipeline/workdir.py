"""The work folder of a render: its lock, its manifest, and which files in it are whose."""

from __future__ import annotations

import errno
import json
import os
import shutil
import socket
import stat
from collections.abc import Callable, Collection, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import filelock

from tilestyle.config.byte_size import size_of
from tilestyle.distributed import ALONE, Ranks
from tilestyle.errors import DiskError, OutputError, TilestyleError, WorkError
from tilestyle.files import ownership
from tilestyle.files.atomic import replacing
from tilestyle.files.paths import content_of
from tilestyle.notices import notice
from tilestyle.pipeline import manifest
from tilestyle.pipeline.manifest import Manifest

MANIFEST, CELLS = "manifest.json", "cells.json"  # of a render, and of a sheet (comparison.py)
LOCK, OWNER = "lock", "owner.json"
# File systems on which a machine may see late what another has written.
INCOHERENT = ("nfs", "nfs4", "cifs", "smb3", "9p", "fuse.sshfs")
# Pictures made fit to be read by windows (images); and what runs before have filmed (film_parts.py).
CARRIED = ("source-*", "film-*.mkv")
PLANE = ".plane"  # what the names of planes end with
OURS = (MANIFEST, LOCK, OWNER)
# What a file system without locks answers.
UNLOCKABLE = (errno.ENOLCK, errno.ENOSYS, errno.EINVAL, errno.EOPNOTSUPP, errno.ENOTSUP)
ELSEWHERE = "give another --work-dir"


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
    """Raise DiskError unless there is room for so many bytes more in a folder, as far as its drive can tell."""
    try:
        total, _, free = shutil.disk_usage(folder)
    except OSError:
        return
    if total and need > free:  # some network drives answer 0 for everything
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


@contextmanager
def translated(path: Path, kept: Callable[[], bool] = lambda: False) -> Iterator[None]:
    """The errors of the system in a work folder, in our words; `kept` tells whether there is a checkpoint.

    Raises DiskError for a full disk, OutputError for anything else.
    """
    try:
        yield
    except TilestyleError:
        raise
    except OSError as error:
        full = error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
        hint = "the last checkpoint is kept: " if kept() else ""
        hint += "make room" if full else "check the drive"
        raise (DiskError if full else OutputError)(
            f"{path} cannot be written ({error.strerror or error})",
            hint=f"{hint} and give the same command again",
        ) from error


def acquired(file: Path) -> filelock.FileLock | None:
    """A lock that this process holds; None on a drive that has no locks, which is said.

    Raises filelock.Timeout where another process holds it, OSError where the file cannot be made.
    """
    lock = filelock.FileLock(file)
    try:
        lock.acquire(timeout=0)
    except filelock.Timeout:
        raise
    except (OSError, NotImplementedError) as error:
        if isinstance(error, OSError) and error.errno not in UNLOCKABLE:
            raise
        notice(f"the drive of {file.parent} has no locks: nothing else may use that folder meanwhile")
        return None
    return lock


def manifest_of(path: Path) -> Manifest | None:
    """What a folder keeps, if anything. Raises WorkError when it is not ours, or cannot be understood."""
    with translated(path):
        if not ownership.is_marked(path):
            raise foreign(path)
    return manifest.read(path / MANIFEST)


def foreign(path: Path, name: str | None = None) -> WorkError:
    """What to raise for a folder that is not one of ours."""
    old = path / MANIFEST
    with suppress(OSError, ValueError, TypeError, LookupError, RecursionError):
        if json.loads(content_of(old, manifest.LARGEST))["format"] in (1, 2, 3):
            return WorkError(
                f"{path} was left by an earlier version of tilestyle",
                hint=f"finish it with that, or {ELSEWHERE}",
            )
    if ownership.header(path) is not None:
        return WorkError(f"{path} was left by another version of tilestyle, or is damaged", hint=ELSEWHERE)
    holds = f" (it holds {printable(name)})" if name else ""
    return WorkError(
        f"{path} is not a work folder of tilestyle{holds}", hint="give an empty folder or a new name"
    )


def _is_blank(path: Path) -> bool:
    """Whether a file is an ordinary one without content."""
    facts = path.lstat()
    return stat.S_ISREG(facts.st_mode) and not facts.st_size


def printable(text: str) -> str:
    """A text from a file as it can be shown: short, without what a terminal would obey."""
    return "".join(letter if letter.isprintable() else "?" for letter in text[:80])


class WorkFolder:
    """A locked folder; nobody else's while this process lives, however it dies.

    The first of several ranks locks it, the others are its guests.
    """

    def __init__(self, path: Path, ranks: Ranks = ALONE, manifest: str = MANIFEST) -> None:
        """Create it, or take what is there; `manifest` is the file that says what is kept.

        Raises WorkError when it is in use, not a work folder, or not the same folder for all ranks.
        """
        self.path = Path(path)
        self._lock: filelock.FileLock | None = None
        self._taken = False
        self._manifest = manifest
        if ranks.first:
            self._take()
            self._taken = True
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
        try:
            self._mark()
            for name in (LOCK, OWNER):  # neither is to be written through a link, nor to wait for a pipe
                if ownership.is_special(path / name):
                    ownership.claim(path / name)
            self._acquire()
            for name in {MANIFEST, CELLS} - {self._manifest}:
                if name in ownership.names(path):
                    raise WorkError(f"{path} keeps work of another command", hint=ELSEWHERE)
            owner = {"process": os.getpid(), "host": socket.gethostname()}
            (path / OWNER).write_text(json.dumps(owner), encoding="utf-8")
            ownership.recover(path / self._manifest)
        except OSError as error:
            self._release()
            if isinstance(error, TilestyleError):
                raise
            raise OutputError(
                f"{path} cannot be written to ({error.strerror})", hint="choose another --work-dir"
            ) from error
        except BaseException:
            self._release()
            raise

    def take_again(self) -> None:
        """Make the folder ours again where somebody has emptied or removed it meanwhile.

        Without its marker, the next command would refuse the folder. Raises WorkError, OutputError.
        """
        if not ownership.is_marked(self.path):
            self._release()
            self._take()

    def _mark(self) -> None:
        """Make a new or empty folder ours. Raises WorkError for one that is neither empty nor ours."""
        if ownership.is_marked(self.path):
            return
        # What a kill between making, marking and locking may have left.
        nothing = {ownership.MARKER, LOCK}
        found = {each.name: each for each in self.path.iterdir()}
        others = [name for name in sorted(found) if name not in nothing or not _is_blank(found[name])]
        if others:
            raise foreign(self.path, others[0])
        ownership.mark(self.path, LOCK, OWNER)

    def _acquire(self) -> None:
        try:
            self._lock = acquired(self.path / LOCK)
        except filelock.Timeout:
            raise WorkError(
                f"{self.path} is in use by {self._owner()}", hint=f"wait for it, or {ELSEWHERE}"
            ) from None

    def _release(self) -> None:
        if self._lock is not None:
            self._lock.release()
        self._lock = None

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

    @property
    def keeps(self) -> bool:
        """Whether there is a checkpoint, damaged or not."""
        return os.path.lexists(self.path / self._manifest)

    def manifest(self) -> Manifest | None:
        """What was kept, if anything. Raises WorkError when it cannot be understood."""
        return manifest_of(self.path)

    def write(self, kept: Manifest) -> None:
        """Make this the manifest, and remove what is not among the files that it speaks of. Raises OSError."""
        content = manifest.encoded(kept)
        ownership.claim(self.path / MANIFEST)
        with replacing(self.path / MANIFEST) as file:
            file.write(content)
        staying = {*kept.files, *OURS}
        for path in self._files():
            if path.name not in staying and not any(map(path.match, CARRIED)):
                self._unlink(path)
        ownership.compact(self.path)

    def tidy(self, staying: Collection[str]) -> None:
        """Remove planes of ours that a killed run has left, but for some: nobody else uses them."""
        for path in self._files():
            if path.suffix == PLANE and path.name not in staying:
                self._unlink(path)

    def clear(self) -> None:
        """Remove what an earlier render left. Raises OSError."""
        # The manifest first: whatever happens on the way, no checkpoint is left that lacks its files.
        for path in sorted(self._files(), key=lambda path: path.name != self._manifest):
            if path.name not in (LOCK, OWNER):
                ownership.remove(path)

    def close(self, *, remove: bool) -> None:
        """Unlock it; remove it, but for files that are not ours."""
        if not self._taken:
            return
        self._taken = False
        try:
            if remove:
                self.clear()
                ownership.remove(self.path / OWNER)
                ownership.unmark(self.path)
                (self.path / LOCK).unlink(missing_ok=True)
                self._leave()
        except (OSError, MemoryError) as error:
            reason = getattr(error, "strerror", None) or "no memory"
            notice(f"the work folder {self.path} cannot be removed ({reason}): remove it by hand")
        finally:
            self._release()
        # On network drives an open file that is removed stays under another name until it is closed.
        if remove and not ownership.is_marked(self.path):
            self._leave()

    def _leave(self) -> None:
        """Remove the folder, unless somebody put something there."""
        with suppress(OSError):
            self.path.rmdir()

    def _files(self) -> set[Path]:
        return {self.path / name for name in ownership.names(self.path)}

    def _unlink(self, path: Path) -> None:
        """Remove a file that is not needed any more; where that fails, the next checkpoint tries again."""
        with suppress(OSError):
            ownership.remove(path)

    def _owner(self) -> str:
        with suppress(KeyError, TypeError, ValueError):
            owner = self._owned()
            return f"process {int(owner['process'])} on {printable(str(owner['host']))}"
        return "another process"

    def _owned(self) -> Any:
        with suppress(OSError, ValueError, RecursionError):
            return json.loads(content_of(self.path / OWNER, 2**12))
        return None
