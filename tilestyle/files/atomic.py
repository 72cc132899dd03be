"""Files that appear whole or not at all."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import BinaryIO

from tilestyle.errors import OutputError
from tilestyle.files import ownership
from tilestyle.files.durable import keep_mode, put_in_place, synchronise, temporary_beside


@contextmanager
def replacing(path: Path) -> Iterator[BinaryIO]:
    """Give a new file that takes the place of ``path`` when the block ends without an exception.

    It is written beside the destination, because a rename is atomic only within a file system, and
    reaches the disk before the rename. On any exception it is removed and the destination is untouched.
    Raises OSError as the system does.
    """
    # Not tempfile: its files are private (0600), and the mode would survive the rename.
    with replacement(path) as beside, beside.open("x+b") as file:
        yield file


@contextmanager
def replacement(path: Path) -> Iterator[Path]:
    """The name of a new file that takes the place of ``path`` when the block ends without an exception.

    For what writes files by their names; otherwise as ``replacing``.
    """
    path = Path(os.path.realpath(path))  # as open() would, follow a link instead of replacing it
    beside = temporary_beside(path)
    ownership.claim_temporary(beside, path)
    gone = False  # it stays listed where it cannot be found to be removed: its folder may have been renamed
    try:
        yield beside
        with beside.open("r+b") as file:
            synchronise(file.fileno(), beside)
        if path.exists():
            keep_mode(path, beside)
        put_in_place(beside, path)
        gone = True
    except BaseException:
        with suppress(FileNotFoundError):
            beside.unlink()
            gone = True
        raise
    finally:
        if gone:
            with suppress(OSError):
                ownership.release_temporary(beside)


def check_place(path: Path) -> None:
    """Raise OutputError unless a file could be written at ``path``, as far as can be known without."""
    folder = Path(os.path.realpath(path)).parent
    if path.is_dir():
        raise OutputError(f"{path} is a folder", hint="name a file inside it")
    if path.exists() and not path.is_file():
        raise OutputError(f"{path} is not an ordinary file", hint="choose another name")
    # A rename would replace it all the same. The mode bits count by themselves: root may write to everything,
    # but somebody has protected this file.
    if path.exists() and not (os.access(path, os.W_OK) and path.stat().st_mode & 0o222):
        raise OutputError(
            f"{path} is write-protected", hint="choose another name, or allow it to be written to"
        )
    if not folder.exists():
        raise OutputError(f"there is no folder {folder}", hint="create it first")
    if not folder.is_dir():
        raise OutputError(f"{folder} is not a folder", hint="choose another place")
    if not os.access(folder, os.W_OK | os.X_OK):
        raise OutputError(f"the folder {folder} cannot be written to", hint="choose another folder")
