"""Files that survive a power failure, as far as the file system allows.

Some network drives refuse to set permissions, to fsync, or to replace a file by a rename. None of these is
needed to write a picture. Where one is refused, it is skipped, and a notice says what is not guaranteed.
"""

from __future__ import annotations

import errno
import os
import re
import secrets
import stat
import time
import zlib
from contextlib import suppress
from pathlib import Path

from tilestyle.notices import notice

PART_SUFFIX, ASIDE_SUFFIX = ".part", ".old"
TEMPORARY_NAME = re.compile(r"\.tilestyle-[0-9a-f]{24}\.part")

# Error numbers of calls that a file system does not support. Any other, such as EIO or ENOSPC, is a failure.
_UNSUPPORTED_ERRNOS = frozenset(
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
# Windows refuses to replace or remove a file that a virus scanner, an indexer or a viewer has open, mostly for
# a moment. These are the seconds between two tries.
WINDOWS = os.name == "nt"
_WAITS = (0.01, 0.05, 0.2, 0.5)
_NO_REPLACE_ERRNOS = _UNSUPPORTED_ERRNOS | {errno.EACCES, errno.EEXIST, errno.EBUSY}


def temporary_path(path: Path) -> Path:
    """Return a new random name for a temporary file in the folder of `path`.

    The name is short, because the name of `path` may already have the maximum length.
    """
    return path.parent / f".tilestyle-{_name_hash(path)}{secrets.token_hex(8)}{PART_SUFFIX}"


def is_temporary_of(name: str, path: Path) -> bool:
    """Whether this is the name of a temporary file that was to replace `path`."""
    return TEMPORARY_NAME.fullmatch(name) is not None and name.startswith(f".tilestyle-{_name_hash(path)}")


def is_remnant_of(name: str, path: Path) -> bool:
    """Whether this is the name of a file that an interrupted write to `path` has left."""
    return is_temporary_of(Path(name).with_suffix(PART_SUFFIX).name, path)


def _name_hash(path: Path) -> str:
    return f"{zlib.crc32(os.fsencode(path.name)):08x}"


def aside_path(temporary: Path) -> Path:
    """Return where the old file is kept while `temporary` replaces it, on drives that cannot replace files."""
    return temporary.with_suffix(ASIDE_SUFFIX)


def is_unsupported(error: OSError) -> bool:
    """Whether an error says that the file system does not support the call."""
    return error.errno in _UNSUPPORTED_ERRNOS


def fsync_file(descriptor: int, path: Path, *, data_only: bool = False) -> None:
    """Wait until a file is on the disk, if the file system supports that.

    Args:
        descriptor: The open file.
        path: Its path, for the notice where fsync is not supported.
        data_only: Whether to skip metadata such as the time of change.

    Raises:
        OSError: The disk fails or is full.
    """
    try:
        (os.fdatasync if data_only and hasattr(os, "fdatasync") else os.fsync)(descriptor)
    except OSError as error:
        if not is_unsupported(error):
            raise
        notice_no_fsync(path.parent)


def notice_no_fsync(folder: Path | None = None) -> None:
    """Log a notice that files in a folder (by default, the work folder) may be lost in a power failure."""
    notice(
        f"the drive of {folder or 'the work folder'} cannot confirm that files are on the disk "
        "(fsync is not supported): a power failure may damage the newest files"
    )


def fsync_folder(folder: Path) -> None:
    """Wait until the file names in a folder are on the disk, if the system supports that."""
    with suppress(OSError):
        descriptor = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)


def copy_mode(old: Path, new: Path) -> None:
    """Copy the permissions of `old` to `new`, if the file system supports that."""
    try:
        new.chmod(stat.S_IMODE(old.stat().st_mode))
    except OSError:
        notice(f"the drive of {new.parent} does not allow setting permissions: new files keep its default")


def replace_file(temporary: Path, path: Path) -> None:
    """Rename a finished temporary file to `path`, in one step if the drive can replace files.

    Otherwise the old file is renamed first, and renamed back if the new one cannot take its place.

    Raises:
        OSError: The file cannot be renamed; the old file is where it was.
    """
    try:
        _replace(temporary, path)
    except OSError as error:
        if error.errno not in _NO_REPLACE_ERRNOS or not path.exists():
            raise
        _replace_in_two_steps(temporary, path)
    fsync_folder(path.parent)


def _replace(temporary: Path, path: Path) -> None:
    """Rename a file, on Windows after a few tries."""
    for wait in _WAITS if WINDOWS else ():
        try:
            os.replace(temporary, path)
            return
        except PermissionError:
            time.sleep(wait)
    os.replace(temporary, path)


def _replace_in_two_steps(temporary: Path, path: Path) -> None:
    aside = aside_path(temporary)
    os.rename(path, aside)
    try:
        os.rename(temporary, path)
    except BaseException:
        os.rename(aside, path)
        raise
    notice(
        f"the drive of {path.parent} cannot replace a file in one step: "
        f"if the program is killed in between, the old file is left as .tilestyle-*{ASIDE_SUFFIX}"
    )
    with suppress(OSError):
        aside.unlink()
