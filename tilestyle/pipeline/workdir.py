"""The work folder of a render: its lock, its manifest, and which of its files are tilestyle's."""

from __future__ import annotations

import atexit
import errno
import json
import os
import socket
import stat
from collections.abc import Callable, Collection, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import filelock

from tilestyle.distributed import SINGLE, Communicator
from tilestyle.errors import DiskError, OutputError, TilestyleError, WorkError
from tilestyle.files import durable, ownership
from tilestyle.files.atomic import atomic_write
from tilestyle.files.mounts import file_system_type
from tilestyle.files.paths import read_limited
from tilestyle.notices import notice
from tilestyle.pipeline import manifest
from tilestyle.pipeline.manifest import Manifest

# Manifests of a render, and of a comparison sheet (recipes.comparison).
MANIFEST, CELLS_MANIFEST = "manifest.json", "cells.json"

if TYPE_CHECKING:
    from tilestyle.pipeline.resume_point import ResumePoint
LOCK, OWNER = "lock", "owner.json"
# File systems on which a machine may see late what another machine has written.
INCOHERENT_FILE_SYSTEMS = ("nfs", "nfs4", "cifs", "smb3", "9p", "fuse.sshfs")
# Files that a new checkpoint keeps: pictures converted for reading in windows (images), and parts of a film of
# earlier runs (motion.film_parts).
CARRIED_PATTERNS = ("source-*", "film-*.mkv", "film-*-frames")
PLANE_SUFFIX = ".plane"  # suffix of the files of memory-mapped planes
STANDARD_FILES = (MANIFEST, LOCK, OWNER)
# Error numbers of file systems without locks.
NO_LOCK_ERRNOS = (errno.ENOLCK, errno.ENOSYS, errno.EINVAL, errno.EOPNOTSUPP, errno.ENOTSUP)
OTHER_FOLDER_HINT = "give another --work-dir"


@dataclass(frozen=True)
class Work:
    """Where a render saves its checkpoints, and how often.

    Attributes:
        path: The folder.
        every: Seconds between checkpoints.
        restart: Whether to discard what is there and start over.
        keep: Whether to keep the folder at the end.
        command: The command that would resume the render, as JSON; the command line sets it.
        ranks: The communicator of the processes that render together.
        about: Says what is rendered, as JSON, where settings and inputs do not say it.
        agree: Asked whether to resume an earlier run rather than start over; None: resume.
    """

    path: Path
    every: float = 600.0
    restart: bool = False
    keep: bool = False
    command: Mapping[str, Any] = field(default_factory=dict)
    ranks: Communicator = SINGLE
    about: Callable[[], Mapping[str, Any]] | None = None
    agree: Callable[[ResumePoint], bool] | None = None


@contextmanager
def translating_errors(path: Path, has_checkpoint: Callable[[], bool] = lambda: False) -> Iterator[None]:
    """Turn operating system errors in a work folder into errors of tilestyle.

    Args:
        path: The folder.
        has_checkpoint: Whether there is a checkpoint to resume from; the message says so.

    Raises:
        DiskError: The disk is full.
        OutputError: Any other error.
    """
    try:
        yield
    except TilestyleError:
        raise
    except OSError as error:
        full = error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
        hint = "the last checkpoint is kept: " if has_checkpoint() else ""
        hint += "free some space" if full else "check the drive"
        raise (DiskError if full else OutputError)(
            f"{path} cannot be written ({error.strerror or error})",
            hint=f"{hint} and run the same command again",
        ) from error


def try_lock(file: Path) -> filelock.FileLock | None:
    """Lock a file for this process, without waiting.

    Args:
        file: The lock file.

    Returns:
        The lock, or None on a drive that has no locks; a notice says so.

    Raises:
        filelock.Timeout: Another process holds it.
        OSError: The file cannot be created.
    """
    lock = filelock.FileLock(file)
    try:
        lock.acquire(timeout=0)
    except filelock.Timeout:
        raise
    except (OSError, NotImplementedError) as error:
        if isinstance(error, OSError) and error.errno not in NO_LOCK_ERRNOS:
            raise
        notice(f"the drive of {file.parent} does not support locks: let no other process use that folder now")
        return None
    return lock


def is_unused(path: Path) -> bool:
    """Return whether a work folder is tilestyle's, holds no work, and no process uses it."""
    if not ownership.is_marked(path) or any((path / name).exists() for name in (MANIFEST, CELLS_MANIFEST)):
        return False
    if not (path / LOCK).exists():
        return True
    try:
        lock = try_lock(path / LOCK)
    except (filelock.Timeout, OSError):
        return False
    if lock is not None:
        lock.release()
    return True


def is_locked(path: Path) -> bool:
    """Return whether another process uses a work folder now."""
    if not (path / LOCK).exists():
        return False
    try:
        lock = try_lock(path / LOCK)
    except filelock.Timeout:
        return True
    except OSError:
        return False
    if lock is not None:
        lock.release()
    return False


def load_manifest(path: Path) -> Manifest | None:
    """Return the manifest of a work folder; None if it has none.

    Raises:
        WorkError: It is not a work folder, or the manifest cannot be read.
    """
    with translating_errors(path):
        if not ownership.is_marked(path):
            raise foreign_folder_error(path)
    return manifest.read_manifest(path / MANIFEST)


def foreign_folder_error(path: Path, name: str | None = None) -> WorkError:
    """Return the error for a folder that is not a work folder of this version of tilestyle.

    Args:
        path: The folder.
        name: A file in it that is not tilestyle's, for the message.
    """
    old = path / MANIFEST
    with suppress(OSError, ValueError, TypeError, LookupError, RecursionError):
        if json.loads(read_limited(old, manifest.MAX_BYTES))["format"] in (1, 2, 3):
            return WorkError(
                f"{path} was left by an earlier version of tilestyle",
                hint=f"finish it with that version, or {OTHER_FOLDER_HINT}",
            )
    if ownership.marker_header(path) is not None:
        return WorkError(
            f"{path} was left by another version of tilestyle, or is damaged", hint=OTHER_FOLDER_HINT
        )
    holds = f" (it holds {printable(name)})" if name else ""
    return WorkError(
        f"{path} is not a work folder of tilestyle{holds}", hint="give an empty folder or a new name"
    )


def _is_empty_file(path: Path) -> bool:
    """Return whether a path is a regular file without content."""
    status = path.lstat()
    return stat.S_ISREG(status.st_mode) and not status.st_size


def printable(text: str) -> str:
    """Return a text from a file in a form safe to display: short, and without control characters."""
    return "".join(letter if letter.isprintable() else "?" for letter in text[:80])


def remove_finished(path: Path) -> None:
    """Remove the work folder of a render that is complete, if it is still there.

    Args:
        path: The folder.
    """
    with suppress(WorkError, OSError):
        if ownership.is_marked(path):
            LockedWorkDir(path).close(remove=True)


class LockedWorkDir:
    """A locked work folder; no other process can use it while this one lives.

    Of several ranks the first one locks it, and the others use it with it.
    """

    def __init__(self, path: Path, ranks: Communicator = SINGLE, manifest_name: str = MANIFEST) -> None:
        """Create the folder, or open an existing one, and lock it.

        Args:
            path: The folder.
            ranks: The communicator of the processes that render together.
            manifest_name: The file that says what the folder holds.

        Raises:
            WorkError: The folder is in use, not a work folder, or not the same folder for all ranks.
            OutputError: It cannot be created or written to.
        """
        self.path = Path(path)
        self._lock: filelock.FileLock | None = None
        self._is_owner = False
        self._manifest_name = manifest_name
        if ranks.is_rank_zero:
            self._claim()
            self._is_owner = True
        self._check_shared(ranks)

    def _claim(self) -> None:
        """Create or open the folder, lock it, and write down which process owns it."""
        path, is_new = self.path, not os.path.lexists(self.path)
        try:
            self.path.mkdir(exist_ok=True)
        except FileExistsError:
            raise OutputError(f"{path} is not a folder", hint="choose another --work-dir") from None
        except OSError as error:
            raise OutputError(
                f"{path} cannot be created ({error.strerror})", hint="choose another --work-dir"
            ) from error
        try:
            self._set_up()
        except OSError as error:
            if is_new:
                self._remove_unused()
            self._release()
            if isinstance(error, TilestyleError):
                raise
            raise OutputError(
                f"{path} cannot be written to ({error.strerror})", hint="choose another --work-dir"
            ) from error
        except BaseException:
            self._release()
            raise

    def _set_up(self) -> None:
        """Mark the folder, lock it, and write down which process owns it. Raises WorkError or OSError."""
        self._mark()
        for name in (LOCK, OWNER):  # must not write through a link, or wait for a pipe
            if ownership.is_special(self.path / name):
                ownership.claim(self.path / name)
        self._acquire()
        for name in {MANIFEST, CELLS_MANIFEST} - {self._manifest_name}:
            if name in ownership.owned_names(self.path):
                raise WorkError(f"{self.path} holds the work of another command", hint=OTHER_FOLDER_HINT)
        owner = {"process": os.getpid(), "host": socket.gethostname()}
        (self.path / OWNER).write_text(json.dumps(owner), encoding="utf-8")
        ownership.recover(self.path / self._manifest_name)

    def _remove_unused(self) -> None:
        """Remove a new folder that could not be set up, as on a full disk; not if another process has it."""
        if self._lock is None and os.path.lexists(self.path / LOCK):
            return
        with suppress(OSError):
            for name in (OWNER, ownership.MARKER, LOCK):
                (self.path / name).unlink(missing_ok=True)
            self.path.rmdir()

    def reclaim(self) -> None:
        """Set the folder up again if somebody has emptied or removed it in the meantime.

        Without its marker, the next command would refuse the folder.

        Raises:
            WorkError: It now holds other files, or another process uses it.
            OutputError: It cannot be created or written to.
        """
        if not ownership.is_marked(self.path):
            self._release()
            with suppress(OSError):  # of the folder above it, which was there, too
                self.path.parent.mkdir(parents=True, exist_ok=True)
            self._claim()

    def _mark(self) -> None:
        """Mark a new or empty folder as a work folder.

        Raises:
            WorkError: It holds other files.
        """
        if ownership.is_marked(self.path):
            return
        # A process killed between creating, marking and locking may have left these.
        expected = {ownership.MARKER, LOCK}
        entries = {entry.name: entry for entry in self.path.iterdir()}
        foreign_names = [
            name for name in sorted(entries) if name not in expected or not _is_empty_file(entries[name])
        ]
        if foreign_names:
            raise foreign_folder_error(self.path, foreign_names[0])
        ownership.mark_folder(self.path, LOCK, OWNER)

    def _acquire(self) -> None:
        """Lock the folder.

        Raises:
            WorkError: Another process uses it.
        """
        try:
            self._lock = try_lock(self.path / LOCK)
        except filelock.Timeout:
            raise WorkError(
                f"{self.path} is in use by {self._describe_owner()}",
                hint=f"wait for it, or {OTHER_FOLDER_HINT}",
            ) from None

    def _release(self) -> None:
        """Unlock the folder."""
        if self._lock is not None:
            self._lock.release()
        self._lock = None

    def _check_shared(self, ranks: Communicator) -> None:
        """Check that all ranks see the same files in the folder, without delay.

        Raises:
            WorkError: They do not.
        """
        owner = ranks.broadcast(self._read_owner())
        if ranks.is_rank_zero:
            return
        if self._read_owner() != owner:
            raise WorkError(
                f"{ranks} on {socket.gethostname()} does not see the files of {self.path} on {owner['host']}",
                hint="give a --work-dir that all machines share",
            )
        kind = file_system_type(self.path)
        if owner["host"] != socket.gethostname() and kind in INCOHERENT_FILE_SYSTEMS:
            raise WorkError(
                f"{self.path} is on {kind}, where machines see each other's changes with a delay",
                hint="give a --work-dir on a coherent file system, such as Lustre or GPFS",
            )

    @property
    def has_checkpoint(self) -> bool:
        """Whether there is a checkpoint, damaged or not."""
        return os.path.lexists(self.path / self._manifest_name)

    def read_manifest(self) -> Manifest | None:
        """Return the manifest; None if there is none.

        Raises:
            WorkError: It cannot be read.
        """
        return load_manifest(self.path)

    def write_manifest(self, new_manifest: Manifest) -> None:
        """Replace the manifest, and remove files that the new one does not name.

        Raises:
            OSError: It cannot be written.
        """
        content = manifest.encode(new_manifest)
        ownership.claim(self.path / MANIFEST)
        with atomic_write(self.path / MANIFEST) as file:
            file.write(content)
        names_to_keep = {*new_manifest.files, *STANDARD_FILES}
        for path in self._files():
            if path.name not in names_to_keep and not any(map(path.match, CARRIED_PATTERNS)):
                self._unlink(path)
        ownership.compact(self.path)

    def remove_stale_planes(self, keep: Collection[str]) -> None:
        """Remove memory-mapped planes that a killed run has left, except some.

        Args:
            keep: Names of files to keep.
        """
        for path in self._files():
            if path.suffix == PLANE_SUFFIX and path.name not in keep:
                self._unlink(path)

    def clear(self) -> None:
        """Remove the files of an earlier render.

        Raises:
            OSError: A file cannot be removed.
        """
        # The manifest first, so that an interruption never leaves a checkpoint without its files.
        for path in sorted(self._files(), key=lambda path: path.name != self._manifest_name):
            if path.name not in (LOCK, OWNER):
                ownership.remove_owned(path)

    def close(self, *, remove: bool) -> None:
        """Unlock the folder.

        Args:
            remove: Whether to remove tilestyle's files, and the folder if it is empty then.
        """
        if not self._is_owner:
            return
        self._is_owner = False
        try:
            if remove:
                self.clear()
                ownership.remove_owned(self.path / OWNER)
                ownership.unmark(self.path)
                self._remove_lock()
                self._remove_if_empty()
        except (OSError, MemoryError) as error:
            if durable.WINDOWS and isinstance(error, PermissionError):
                # A canvas is mapped as long as somebody has its picture.
                atexit.register(remove_finished, self.path)
                return
            reason = getattr(error, "strerror", None) or "no memory"
            notice(f"the work folder {self.path} cannot be removed ({reason}): remove it by hand")
        finally:
            self._release()
        # On network drives a removed file stays under another name until it is closed.
        if remove and not ownership.is_marked(self.path):
            self._remove_if_empty()

    def _remove_lock(self) -> None:
        """Remove the lock file while it is locked; Windows does not remove open files, so there after it."""
        if not durable.WINDOWS:
            (self.path / LOCK).unlink(missing_ok=True)
            return
        self._release()
        with suppress(PermissionError):  # another process has taken it
            (self.path / LOCK).unlink(missing_ok=True)

    def _remove_if_empty(self) -> None:
        """Remove the folder if it is empty."""
        with suppress(OSError):
            self.path.rmdir()

    def _files(self) -> set[Path]:
        """Return the paths of tilestyle's files in the folder."""
        return {self.path / name for name in ownership.owned_names(self.path)}

    def _unlink(self, path: Path) -> None:
        """Remove a file that is not needed any more; if that fails, the next checkpoint tries again."""
        with suppress(OSError):
            ownership.remove_owned(path)

    def _describe_owner(self) -> str:
        """Describe the process that uses the folder."""
        with suppress(KeyError, TypeError, ValueError):
            owner = self._read_owner()
            return f"process {int(owner['process'])} on {printable(str(owner['host']))}"
        return "another process"

    def _read_owner(self) -> Any:
        """Return the JSON of the file that names the owner; None if it cannot be read."""
        with suppress(OSError, ValueError, RecursionError):
            return json.loads(read_limited(self.path / OWNER, 2**12))
        return None
