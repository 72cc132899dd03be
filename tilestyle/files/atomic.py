"""Atomic writes: a file appears complete or not at all."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import BinaryIO

from tilestyle.errors import OutputError
from tilestyle.files import ownership
from tilestyle.files.durable import copy_mode, fsync_file, replace_file, temporary_path
from tilestyle.files.folders import nearest_folder
from tilestyle.files.mounts import mounted_types


@contextmanager
def atomic_write(path: Path) -> Iterator[BinaryIO]:
    """Open a temporary file that replaces ``path`` when the block ends without an exception.

    It is written to the folder of ``path``, because a rename is atomic only within a file system, and flushed
    to the disk before the rename. After an exception it is removed, and ``path`` is unchanged.

    Args:
        path: The file to create or replace.

    Yields:
        The temporary file, open for reading and writing bytes.

    Raises:
        OSError: The file cannot be created, written or renamed.
    """
    # Not tempfile: it creates files with mode 0600, which would remain after the rename.
    with atomic_path(path) as temporary, temporary.open("x+b") as file:
        yield file


@contextmanager
def atomic_path(path: Path) -> Iterator[Path]:
    """Yield the name of a temporary file that replaces ``path`` when the block ends without an exception.

    Like ``atomic_write``, for libraries that write files by name. The block has to create the file.
    """
    path = Path(os.path.realpath(path))  # follow a link, as open() does, instead of replacing it
    temporary = temporary_path(path)
    ownership.claim_temporary(temporary, path)
    removed = False  # it stays listed if it cannot be found: its folder may have been renamed
    try:
        yield temporary
        with temporary.open("r+b") as file:
            fsync_file(file.fileno(), temporary)
        if path.exists():
            copy_mode(path, temporary)
        replace_file(temporary, path)
        removed = True
    except BaseException:
        with suppress(FileNotFoundError):
            temporary.unlink()
            removed = True
        raise
    finally:
        if removed:
            with suppress(OSError):
                ownership.release_temporary(temporary)


def _check_replaceable(path: Path) -> None:
    """Raise OutputError if a file may be written to, but no other file can take its name."""
    real = Path(os.path.realpath(path))
    if str(real) in mounted_types():
        raise OutputError(
            f"{path} is mounted by itself, as containers do it, so that it cannot be replaced",
            hint="mount its folder instead, or choose another name",
        )
    file, folder = real.stat(), real.parent.stat()
    user = os.geteuid() if hasattr(os, "geteuid") else 0
    if folder.st_mode & stat.S_ISVTX and user not in (0, file.st_uid, folder.st_uid):
        raise OutputError(
            f"{path} belongs to another user, and {real.parent} lets only its owner replace it (sticky bit)",
            hint="choose another name or folder",
        )


def check_output_path(path: Path, *, creates_folder: bool = False) -> None:
    """Raise OutputError if a file clearly cannot be written at ``path``; nothing is written.

    Args:
        path: The file.
        creates_folder: Whether missing folders will be created.
    """
    folder = Path(os.path.realpath(path)).parent
    if creates_folder:
        folder = nearest_folder(folder)
    if path.is_dir():
        raise OutputError(f"{path} is a folder", hint="name a file inside it")
    if path.exists() and not path.is_file():
        raise OutputError(f"{path} is not a regular file", hint="choose another name")
    # A rename would replace even a write-protected file. The mode bits are tested as well as the access: root
    # may write to every file, but someone has protected this one.
    if path.exists() and not (os.access(path, os.W_OK) and path.stat().st_mode & 0o222):
        raise OutputError(f"{path} is write-protected", hint="choose another name, or remove the protection")
    if path.exists():
        _check_replaceable(path)
    if not folder.exists():
        raise OutputError(f"there is no folder {folder}", hint="create it first")
    if not folder.is_dir():
        raise OutputError(f"{folder} is not a folder", hint="choose another one")
    if not os.access(folder, os.W_OK | os.X_OK):
        raise OutputError(f"the folder {folder} is not writable", hint="choose another folder")
