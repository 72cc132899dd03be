"""Which files in a folder are ours: a marker that names the folder's kind, and a list of what was put there.

A folder is marked only when it is new or empty. Every file is listed before it is made and struck off after it
is removed, so that whatever else a person keeps in the folder is never taken for ours. Temporary files that lie
beside an output are listed too, for the next run to remove after a kill. Each line has a checksum; a line that
is damaged lists nothing, and then a file of ours stays behind.
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
    PART,
    TEMPORARY,
    aside_of,
    is_remnant_of,
    is_temporary_of,
    put_in_place,
    synchronise,
)

MARKER = ".tilestyle-work"
_REWRITTEN = f"{MARKER}.new"
HEADER = "tilestyle work folder, format 1"
_NAME = re.compile(r"[A-Za-z0-9._-]{1,120}")
_LINE = re.compile(r"(made|gone|beside|done) (\S+) ([0-9a-f]{8})")
_LARGEST = 2**24  # bytes of a list that is read
_LONG = 2**16  # bytes of a list that is rewritten without what is gone


@dataclass
class _Listed:
    names: set[str] = field(default_factory=set)  # files in the folder
    beside: set[str] = field(default_factory=set)  # temporary files elsewhere

    def note(self, verb: str, name: str) -> None:
        entries = self.names if verb in ("made", "gone") else self.beside
        (entries.add if verb in ("made", "beside") else entries.discard)(name)


@dataclass
class _Noted:
    """The folder whose list also names temporary files elsewhere, and those of a run that was killed."""

    folder: Path
    stale: set[str]


_noting: ContextVar[_Noted | None] = ContextVar("noting", default=None)
# What was read last, with the file's length, number and time of change: it is asked for every file made.
_cache: dict[Path, tuple[tuple[int, int, int], _Listed]] = {}


def mark(folder: Path, *made: str) -> None:
    """Make a new or empty folder ours, and list files that are going to be made first. Raises OSError."""
    with (folder / MARKER).open("wb") as file:
        file.write("".join([f"{HEADER}\n", *(_line("made", name) for name in made)]).encode())
        file.flush()
        synchronise(file.fileno(), folder / MARKER)


def header(folder: Path) -> str | None:
    """The first line of a folder's marker; None where there is no marker, or an empty one."""
    marker = folder / MARKER
    if marker.is_symlink() or not marker.is_file():
        return None
    with marker.open("rb") as file:
        found = file.read(200)
    return found.split(b"\n")[0].decode("ascii", "replace") if found else None


def is_marked(folder: Path) -> bool:
    """Whether a folder is one of ours."""
    return header(folder) == HEADER


def names(folder: Path) -> set[str]:
    """The files in a folder that are ours and still there; none in a folder that is not marked."""
    return {name for name in _listed(folder).names if os.path.lexists(folder / name)}


def claim(path: Path, *, lasting: bool = False) -> None:
    """List a file before it is made; nothing where its folder is not ours.

    Args:
        path: The file.
        lasting: Whether the list must be on the disk first, since the file is needed under this name.

    Raises:
        WorkError: Somebody else's file has this name.
        OSError: The list cannot be written.
    """
    folder = path.parent
    if not is_marked(folder):
        return
    if path.name in _listed(folder).names:
        # What is written goes into the folder, wherever a link points, and nothing waits for a pipe.
        if is_special(path):
            path.unlink()
        return
    if os.path.lexists(path):
        raise WorkError(f"{path} was not made by tilestyle", hint="move it somewhere else")
    _append(folder, "made", path.name, lasting=lasting)


def is_special(path: Path) -> bool:
    """Whether there is a link, a pipe or the like: neither an ordinary file nor a folder."""
    with suppress(FileNotFoundError):
        kind = path.lstat().st_mode
        return not (stat.S_ISREG(kind) or stat.S_ISDIR(kind))
    return False


def remove(path: Path) -> bool:
    """Remove a file if it is ours; answers whether it is gone. Raises OSError."""
    folder = path.parent
    if path.name not in _listed(folder).names:
        return False
    _unlink(path)
    if TEMPORARY.fullmatch(path.name):
        aside_of(path).unlink(missing_ok=True)
    with suppress(OSError):  # a full disk: it stays on the list
        _append(folder, "gone", path.name)
    return True


def claim_temporary(temporary: Path, path: Path) -> None:
    """List a temporary file before it is made; first remove what a killed run has left beside `path`.

    Files outside our folders are listed while `noting` is active, where that can be done. Raises OSError.
    """
    noted = _noting.get()
    if is_marked(temporary.parent):
        claim(temporary)
    elif noted is not None:
        with suppress(OSError):  # the disk of the other folder may be full while this one has room
            for name in sorted(noted.stale):
                if is_temporary_of(name, path) and _tidied(temporary.parent / name, path):
                    noted.stale.discard(name)
                    _append(noted.folder, "done", name)
            _append(noted.folder, "beside", temporary.name)


def release_temporary(temporary: Path) -> None:
    """Strike a temporary file off that has been renamed or removed."""
    if os.path.lexists(temporary) or os.path.lexists(aside_of(temporary)):
        return
    noted = _noting.get()
    if temporary.name in _listed(temporary.parent).names:
        _append(temporary.parent, "gone", temporary.name)
    elif noted is not None and temporary.name in _listed(noted.folder).beside:
        _append(noted.folder, "done", temporary.name)


@contextmanager
def noting(folder: Path) -> Iterator[None]:
    """List temporary files that lie outside our folders in this folder's list, inside the block."""
    token = _noting.set(_Noted(folder, set(_listed(folder).beside)))
    try:
        yield
    finally:
        _noting.reset(token)


def recover(path: Path) -> None:
    """Put a file of ours back that a kill left aside, and remove what else is left of that write.

    Raises OSError.
    """
    for name in sorted(_listed(path.parent).names):
        if is_temporary_of(name, path):
            _tidied(path.parent / name, path)
            _append(path.parent, "gone", name)


def recover_unlisted(path: Path) -> None:
    """Do the same for a file in a folder that keeps no list, by the names that its temporary files have.

    To be called by whoever alone may write that file. Raises OSError.
    """
    for each in list(path.parent.iterdir()):
        if is_remnant_of(each.name, path):
            _tidied(each.with_suffix(PART), path)


def compact(folder: Path) -> None:
    """Rewrite a long list without the files that are gone. Raises OSError."""
    marker = folder / MARKER
    if not is_marked(folder) or marker.stat().st_size < _LONG:
        return
    listed = _listed(folder)
    lines = [_line("made", name) for name in sorted(listed.names)]
    lines += [_line("beside", name) for name in sorted(listed.beside)]
    fresh = folder / _REWRITTEN
    with fresh.open("wb") as file:
        file.write("".join([f"{HEADER}\n", *lines]).encode())
        file.flush()
        synchronise(file.fileno(), fresh)
    put_in_place(fresh, marker)


def unmark(folder: Path) -> None:
    """Remove the marker. Raises OSError."""
    (folder / _REWRITTEN).unlink(missing_ok=True)
    (folder / MARKER).unlink(missing_ok=True)


def _tidied(temporary: Path, path: Path) -> bool:
    """Undo a write to `path` that a kill interrupted; answers whether something was left of it."""
    aside = aside_of(temporary)
    there = os.path.lexists(temporary) or os.path.lexists(aside)
    if os.path.lexists(aside):
        if os.path.lexists(path):
            aside.unlink()
        else:
            os.rename(aside, path)
    _unlink(temporary)
    return there


def _unlink(path: Path) -> None:
    if path.is_dir() and not path.is_symlink():
        if TEMPORARY.fullmatch(path.name):  # of Deep Zoom
            shutil.rmtree(path)
        return
    path.unlink(missing_ok=True)


def _listed(folder: Path) -> _Listed:
    """What a folder's list names. Raises WorkError when it is absurdly long."""
    marker = folder / MARKER
    if not is_marked(folder):
        return _Listed()
    facts = marker.stat()
    key = facts.st_size, facts.st_ino, facts.st_mtime_ns
    known = _cache.get(marker)
    if known is not None and known[0] == key:
        return known[1]
    if facts.st_size > _LARGEST:
        raise WorkError(f"{marker} is damaged (it is too long)", hint="give another --work-dir")
    listed = _Listed()
    for line in marker.read_bytes().decode("ascii", "replace").split("\n")[1:]:
        match = _LINE.fullmatch(line)
        if match and _line(match[1], match[2]) == f"{line}\n" and _is_plain(match[1], match[2]):
            listed.note(match[1], match[2])
    _cache[marker] = key, listed
    return listed


def _is_plain(verb: str, name: str) -> bool:
    """Whether a name may be listed: one that cannot lead out of a folder."""
    pattern = _NAME if verb in ("made", "gone") else TEMPORARY
    return pattern.fullmatch(name) is not None and name not in (".", "..", MARKER)


def _line(verb: str, name: str) -> str:
    return f"{verb} {name} {zlib.crc32(f'{verb} {name}'.encode()):08x}\n"


def _existing(path: str, flags: int) -> int:
    """Open a file, and make none: a marker without its first line would make the folder one of nobody."""
    return os.open(path, flags & ~os.O_CREAT)


def _append(folder: Path, verb: str, name: str, *, lasting: bool = False) -> None:
    marker = folder / MARKER
    listed = _listed(folder)
    if not _is_plain(verb, name):
        raise ValueError(f"{name} is no name of a file of ours")
    # A blank line ends what a kill may have left unfinished.
    with open(marker, "ab", opener=_existing) as file:
        file.write(f"\n{_line(verb, name)}".encode())
        file.flush()
        if lasting:
            synchronise(file.fileno(), marker)
    listed.note(verb, name)
    facts = marker.stat()
    _cache[marker] = (facts.st_size, facts.st_ino, facts.st_mtime_ns), listed
