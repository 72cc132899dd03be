"""Which files in a folder tilestyle owns: a marker file in the folder, with a list of the owned files.

Only a new or empty folder is marked. Every file is listed before it is created and unlisted after it is
removed, so other files that a user keeps in the folder are never touched. Temporary files in other folders
(those of the outputs) are listed too, so that after a kill the next run can remove them. Each line has a
checksum; a damaged line is ignored, and at worst an owned file is left behind.
"""

from __future__ import annotations

import os
import re
import shutil
import stat
import zlib
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from contextvars import ContextVar
from dataclasses import dataclass, field
from pathlib import Path

from tilestyle.errors import WorkError
from tilestyle.files.durable import (
    PART_SUFFIX,
    TEMPORARY_NAME,
    aside_path,
    fsync_file,
    is_remnant_of,
    is_temporary_of,
    replace_file,
)

MARKER = ".tilestyle-work"
_NEW_MARKER = f"{MARKER}.new"
HEADER = "tilestyle work folder, format 1"
_NAME = re.compile(r"[A-Za-z0-9._-]{1,120}")
_LINE = re.compile(r"(made|gone|beside|done) (\S+) ([0-9a-f]{8})")
_MAX_BYTES = 2**24  # bytes of the longest list that is read
_COMPACT_BYTES = 2**16  # bytes from which a list is rewritten without the removed files


@dataclass
class _OwnedNames:
    """The entries of a list."""

    names: set[str] = field(default_factory=set)  # files in the folder
    temporaries: set[str] = field(default_factory=set)  # temporary files in other folders

    def apply(self, verb: str, name: str) -> None:
        entries = self.names if verb in ("made", "gone") else self.temporaries
        (entries.add if verb in ("made", "beside") else entries.discard)(name)


@dataclass
class _TemporaryLog:
    """Where temporary files in other folders are listed.

    Attributes:
        folder: The folder with the list.
        stale: Temporary files that a killed run has left, by name.
    """

    folder: Path
    stale: set[str]


_temporary_log: ContextVar[_TemporaryLog | None] = ContextVar("noting", default=None)
# Lists by marker, with the size, inode number and time of change of the file that they were read from. A list
# is needed for every file that is created.
_cache: dict[Path, tuple[tuple[int, int, int], _OwnedNames]] = {}


def mark_folder(folder: Path, *new_names: str) -> None:
    """Take ownership of a new or empty folder.

    Args:
        folder: The folder.
        *new_names: Names of files that will be created in it first; they are listed at once.

    Raises:
        OSError: The marker cannot be written.
    """
    with (folder / MARKER).open("wb") as file:
        file.write("".join([f"{HEADER}\n", *(_format_line("made", name) for name in new_names)]).encode())
        file.flush()
        fsync_file(file.fileno(), folder / MARKER)


def marker_header(folder: Path) -> str | None:
    """Return the first line of a folder's marker; None if there is no marker or it is empty."""
    marker = folder / MARKER
    if marker.is_symlink() or not marker.is_file():
        return None
    with marker.open("rb") as file:
        start = file.read(200)
    return start.split(b"\n")[0].decode("ascii", "replace") if start else None


def is_marked(folder: Path) -> bool:
    """Whether tilestyle owns a folder."""
    return marker_header(folder) == HEADER


def owned_names(folder: Path) -> set[str]:
    """Return the names of the owned files that exist in a folder; empty if the folder is not marked."""
    return {name for name in _read_names(folder).names if os.path.lexists(folder / name)}


def claim(path: Path, *, sync: bool = False) -> None:
    """List a file before it is created; does nothing if its folder is not marked.

    Args:
        path: The file.
        sync: Whether to wait until the list is on the disk, because the file will be needed under this name.

    Raises:
        WorkError: There already is a file of this name that tilestyle does not own.
        OSError: The list cannot be written.
    """
    folder = path.parent
    if not is_marked(folder):
        return
    if path.name in _read_names(folder).names:
        # Write into the folder itself, not to the target of a link, and do not block on a pipe.
        if is_special(path):
            path.unlink()
        return
    if os.path.lexists(path):
        raise WorkError(f"{path} was not created by tilestyle", hint="move it to another folder")
    _append(folder, "made", path.name, sync=sync)


def is_special(path: Path) -> bool:
    """Whether a path is a link, a pipe or the like: neither a regular file nor a folder."""
    with suppress(FileNotFoundError):
        kind = path.lstat().st_mode
        return not (stat.S_ISREG(kind) or stat.S_ISDIR(kind))
    return False


def remove_owned(path: Path) -> bool:
    """Remove a file if tilestyle owns it.

    Returns:
        Whether it was owned, and is now removed.

    Raises:
        OSError: It cannot be removed.
    """
    folder = path.parent
    if path.name not in _read_names(folder).names:
        return False
    _unlink(path)
    if TEMPORARY_NAME.fullmatch(path.name):
        aside_path(path).unlink(missing_ok=True)
    with suppress(OSError):  # a full disk: it stays on the list
        _append(folder, "gone", path.name)
    return True


def claim_temporary(temporary: Path, path: Path) -> None:
    """List a temporary file before it is created; first remove those that a killed run has left for `path`.

    Files outside marked folders are only listed inside a block of `logging_temporaries`, and only if the list
    can be written.

    Args:
        temporary: The temporary file.
        path: The file that it will replace.

    Raises:
        OSError: The list of a marked folder cannot be written.
    """
    log = _temporary_log.get()
    if is_marked(temporary.parent):
        claim(temporary)
    elif log is not None:
        with suppress(OSError):  # the disk of the other folder may be full while this one has room
            for name in sorted(log.stale):
                if is_temporary_of(name, path) and _undo_write(temporary.parent / name, path):
                    log.stale.discard(name)
                    _append(log.folder, "done", name)
            _append(log.folder, "beside", temporary.name)


def release_temporary(temporary: Path) -> None:
    """Remove a temporary file from the list after it has been renamed or removed."""
    if os.path.lexists(temporary) or os.path.lexists(aside_path(temporary)):
        return
    log = _temporary_log.get()
    if temporary.name in _read_names(temporary.parent).names:
        _append(temporary.parent, "gone", temporary.name)
    elif log is not None and temporary.name in _read_names(log.folder).temporaries:
        _append(log.folder, "done", temporary.name)


@contextmanager
def logging_temporaries(folder: Path) -> Iterator[None]:
    """Inside the block, list temporary files of unmarked folders in the list of this folder."""
    token = _temporary_log.set(_TemporaryLog(folder, set(_read_names(folder).temporaries)))
    try:
        yield
    finally:
        _temporary_log.reset(token)


def recover(path: Path) -> None:
    """Undo a write to an owned file that a kill has interrupted.

    The old file is renamed back if it was moved away, and the temporary file is removed.

    Raises:
        OSError: A file cannot be renamed or removed.
    """
    for name in sorted(_read_names(path.parent).names):
        if is_temporary_of(name, path):
            _undo_write(path.parent / name, path)
            _append(path.parent, "gone", name)


def recover_unlisted(path: Path) -> None:
    """Do the same as `recover` in a folder without a list, by the names of the temporary files.

    The caller must be the only process that may write the file.

    Raises:
        OSError: A file cannot be renamed or removed.
    """
    for entry in list(path.parent.iterdir()):
        if is_remnant_of(entry.name, path):
            _undo_write(entry.with_suffix(PART_SUFFIX), path)


def compact(folder: Path) -> None:
    """Rewrite a long list without the removed files; raises OSError."""
    marker = folder / MARKER
    if not is_marked(folder) or marker.stat().st_size < _COMPACT_BYTES:
        return
    listed = _read_names(folder)
    lines = [_format_line("made", name) for name in sorted(listed.names)]
    lines += [_format_line("beside", name) for name in sorted(listed.temporaries)]
    fresh = folder / _NEW_MARKER
    with fresh.open("wb") as file:
        file.write("".join([f"{HEADER}\n", *lines]).encode())
        file.flush()
        fsync_file(file.fileno(), fresh)
    replace_file(fresh, marker)


def unmark(folder: Path) -> None:
    """Remove the marker; raises OSError."""
    (folder / _NEW_MARKER).unlink(missing_ok=True)
    (folder / MARKER).unlink(missing_ok=True)


def _undo_write(temporary: Path, path: Path) -> bool:
    """Undo an interrupted write to `path`; return whether there was anything to undo."""
    aside = aside_path(temporary)
    exists = os.path.lexists(temporary) or os.path.lexists(aside)
    if os.path.lexists(aside):
        if os.path.lexists(path):
            aside.unlink()
        else:
            os.rename(aside, path)
    _unlink(temporary)
    return exists


def _unlink(path: Path) -> None:
    if path.is_dir() and not path.is_symlink():
        if TEMPORARY_NAME.fullmatch(path.name):  # temporary folder of a Deep Zoom picture
            shutil.rmtree(path)
        return
    path.unlink(missing_ok=True)


def _read_names(folder: Path) -> _OwnedNames:
    """Read the list of a folder; raises WorkError if it is far too long."""
    marker = folder / MARKER
    if not is_marked(folder):
        return _OwnedNames()
    status = marker.stat()
    key = status.st_size, status.st_ino, status.st_mtime_ns
    cached = _cache.get(marker)
    if cached is not None and cached[0] == key:
        return cached[1]
    if status.st_size > _MAX_BYTES:
        raise WorkError(f"{marker} is damaged (it is too long)", hint="choose another --work-dir")
    listed = _OwnedNames()
    for line in marker.read_bytes().decode("ascii", "replace").split("\n")[1:]:
        match = _LINE.fullmatch(line)
        if match and _format_line(match[1], match[2]) == f"{line}\n" and _is_safe_name(match[1], match[2]):
            listed.apply(match[1], match[2])
    _cache[marker] = key, listed
    return listed


def _is_safe_name(verb: str, name: str) -> bool:
    """Whether a name may be listed: it must not lead out of a folder."""
    pattern = _NAME if verb in ("made", "gone") else TEMPORARY_NAME
    return pattern.fullmatch(name) is not None and name not in (".", "..", MARKER)


def _format_line(verb: str, name: str) -> str:
    return f"{verb} {name} {zlib.crc32(f'{verb} {name}'.encode()):08x}\n"


def _open_existing(path: str, flags: int) -> int:
    """Open a file without creating it: a marker without its first line would not mark the folder."""
    return os.open(path, flags & ~os.O_CREAT)


def _append(folder: Path, verb: str, name: str, *, sync: bool = False) -> None:
    """Append a line to a folder's list, and update the cache.

    Args:
        folder: The folder.
        verb: "made" or "gone" for a file of the folder, "beside" or "done" for a temporary file elsewhere.
        name: Name of the file.
        sync: Whether to wait until the line is on the disk.
    """
    marker = folder / MARKER
    listed = _read_names(folder)
    if not _is_safe_name(verb, name):
        raise ValueError(f"{name!r} is not a valid name of an owned file")
    # The newline ends a line that a kill may have left unfinished.
    with open(marker, "ab", opener=_open_existing) as file:
        file.write(f"\n{_format_line(verb, name)}".encode())
        file.flush()
        if sync:
            fsync_file(file.fileno(), marker)
    listed.apply(verb, name)
    status = marker.stat()
    _cache[marker] = (status.st_size, status.st_ino, status.st_mtime_ns), listed
