"""Files that survive a power failure, as far as the file system can do it.

Network drives refuse some calls: setting permissions, fsync, replacing a file by renaming another over it. None
of these is needed to write a picture, so each is done without where it is refused, and a notice says what is
not promised there.
"""

from __future__ import annotations

import errno
import os
import re
import secrets
import stat
import zlib
from contextlib import suppress
from pathlib import Path

from tilestyle.notices import notice

PART, ASIDE = ".part", ".old"
TEMPORARY = re.compile(r"\.tilestyle-[0-9a-f]{24}\.part")

# What file systems answer when they do not support a call. Anything else, such as EIO or ENOSPC, is a failure.
_UNSUPPORTED = frozenset(
    {
        errno.EINVAL,
        errno.ENOSYS,
        errno.EPERM,
        errno.ENOTTY,
        errno.EROFS,
        getattr(errno, "ENOTSUP", errno.EINVAL),
        getattr(errno, "EOPNOTSUPP", errno.EINVAL),
    }
)
_NO_REPLACING = _UNSUPPORTED | {errno.EACCES, errno.EEXIST, errno.EBUSY}


def temporary_beside(path: Path) -> Path:
    """A new name for a file in the same folder; short, since `path` may be as long as names can be."""
    return path.parent / f".tilestyle-{_mark_of(path)}{secrets.token_hex(8)}{PART}"


def is_temporary_of(name: str, path: Path) -> bool:
    """Whether a file of this name was to take the place of `path`."""
    return TEMPORARY.fullmatch(name) is not None and name.startswith(f".tilestyle-{_mark_of(path)}")


def is_remnant_of(name: str, path: Path) -> bool:
    """Whether a file of this name is what a kill has left of a write to `path`."""
    return is_temporary_of(Path(name).with_suffix(PART).name, path)


def _mark_of(path: Path) -> str:
    return f"{zlib.crc32(os.fsencode(path.name)):08x}"


def aside_of(temporary: Path) -> Path:
    """Where the old file waits while `temporary` takes its place, on drives that cannot replace files."""
    return temporary.with_suffix(ASIDE)


def is_unsupported(error: OSError) -> bool:
    """Whether a file system refused a call that it does not support."""
    return error.errno in _UNSUPPORTED


def synchronise(descriptor: int, path: Path, *, data_only: bool = False) -> None:
    """Wait until a file is on the disk, where the file system can tell.

    Raises OSError when the disk fails or is full.
    """
    try:
        (os.fdatasync if data_only and hasattr(os, "fdatasync") else os.fsync)(descriptor)
    except OSError as error:
        if not is_unsupported(error):
            raise
        unsynchronised(path.parent)


def unsynchronised(folder: Path | None = None) -> None:
    """Say that files in a folder, or in the work folder, may be lost in a power failure."""
    notice(
        f"the drive of {folder or 'the work folder'} cannot confirm that files are on the disk "
        "(fsync is refused): a power failure may damage the newest ones"
    )


def synchronise_folder(folder: Path) -> None:
    """Wait until the names in a folder are on the disk, where the system can do that."""
    with suppress(OSError):
        descriptor = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)


def keep_mode(old: Path, new: Path) -> None:
    """Give `new` the permissions of `old`, where the file system has any."""
    try:
        new.chmod(stat.S_IMODE(old.stat().st_mode))
    except OSError:
        notice(f"the drive of {new.parent} refuses to set permissions: files there have its own")


def put_in_place(temporary: Path, path: Path) -> None:
    """Rename a finished temporary file to `path`, in one step where the drive can replace files.

    Elsewhere the old file is put aside first, and put back if the new one cannot take its place.
    Raises OSError; then the old file is where it was.
    """
    try:
        os.replace(temporary, path)
    except OSError as error:
        if error.errno not in _NO_REPLACING or not path.exists():
            raise
        _replace_in_two_steps(temporary, path)
    synchronise_folder(path.parent)


def _replace_in_two_steps(temporary: Path, path: Path) -> None:
    aside = aside_of(temporary)
    os.rename(path, aside)
    try:
        os.rename(temporary, path)
    except BaseException:
        os.rename(aside, path)
        raise
    notice(
        f"the drive of {path.parent} cannot replace a file in one step: "
        f"a kill in between leaves the old one beside it, as .tilestyle-*{ASIDE}"
    )
    with suppress(OSError):
        aside.unlink()
