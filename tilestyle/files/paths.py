"""Checks of input files: whether a path is a readable regular file, and which paths are the same file."""

from __future__ import annotations

import errno
import os
import stat
from pathlib import Path

from tilestyle.errors import OutputError, PictureError, TilestyleError

PathLike = str | os.PathLike[str]

FileId = tuple[int, int]
"""Device and inode number: equal for all paths and links of the same file."""


def named_path(path: PathLike, what: str, error: type[TilestyleError] = OutputError) -> Path:
    """Return a path as a Path, if it has a name: `Path("")` would be the working directory.

    Args:
        path: The path.
        what: What has this path, for the message.
        error: Class of the error.

    Raises:
        TilestyleError: An error of the given class; the name is empty.
    """
    if not os.fspath(path):
        raise error(f"the name of {what} is empty", hint="give a name, or . for the working directory")
    return Path(path)


def regular_file(path: PathLike, role: str = "", error: type[TilestyleError] = PictureError) -> Path:
    """Check that a path is a readable regular file that is not empty.

    This never blocks: pipes, sockets and devices are refused before they are opened.

    Args:
        path: The file.
        role: What the file is for, such as "style"; error messages start with it.
        error: Class of the error.

    Returns:
        The path as a Path.

    Raises:
        TilestyleError: An error of the given class, which says what is wrong with the path.
    """
    prefix = f"{role}: " if role else ""
    path = named_path(path, f"the file of the {role}" if role else "the file", error)
    try:
        status = path.stat()
        if stat.S_ISREG(status.st_mode):
            os.close(os.open(path, os.O_RDONLY | getattr(os, "O_NONBLOCK", 0)))
    except (FileNotFoundError, NotADirectoryError) as cause:
        link = f", the target of the link {path}" if path.is_symlink() else ""
        missing = os.path.realpath(path) if link else path
        # The color of a style's region has the place of a file, in the command line and in Python.
        hint = "write a color as #rrggbb, such as #ff0000"
        if not path.name.startswith("#"):
            may_be_color = role.startswith("mask of") and not path.suffix
            hint = f"check the path, or {hint}" if may_be_color else "check the path"
        raise error(f"{prefix}there is no file {missing}{link}", hint=hint) from cause
    except PermissionError as cause:
        raise error(f"{prefix}{path} cannot be read (no permission)", hint="change its permissions") from cause
    except (OSError, ValueError) as cause:
        reason = getattr(cause, "strerror", None) or str(cause)
        raise error(
            f"{prefix}{_printable_path(path)} cannot be opened ({reason})", hint="check the path"
        ) from cause
    if stat.S_ISDIR(status.st_mode):
        raise error(f"{prefix}{path} is a folder", hint="name a file inside it")
    if not stat.S_ISREG(status.st_mode):
        raise error(f"{prefix}{path} is not a regular file", hint="copy it to a file first")
    if status.st_size == 0:
        raise error(f"{prefix}{path} is empty", hint="copy or download the file again")
    return path


def read_limited(path: PathLike, max_bytes: int = 2**26) -> bytes:
    """Read the first bytes of a file that tilestyle has written.

    This never blocks, as reading from a pipe would.

    Args:
        path: The file.
        max_bytes: Upper limit of the bytes that are read.

    Returns:
        The content, up to the limit.

    Raises:
        OSError: The file cannot be read or is not a regular file.
    """
    descriptor = os.open(path, os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0))
    with open(descriptor, "rb") as file:
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            raise OSError(errno.EINVAL, "it is not a regular file", os.fspath(path))
        return file.read(max_bytes)


def is_regular_file(path: PathLike) -> bool:
    """Whether a path is a regular file; False for every invalid path."""
    try:
        return stat.S_ISREG(os.stat(path).st_mode)
    except (OSError, ValueError):
        return False


def file_id(path: PathLike) -> FileId | None:
    """Return an identifier that all paths of the same file share; None if there is no file."""
    try:
        status = os.stat(path)
    except (OSError, ValueError):
        return None
    return status.st_dev, status.st_ino


def _printable_path(path: Path) -> str:
    """Format a path for a message: at most 200 characters, control characters replaced."""
    text = "".join(character if character.isprintable() else "?" for character in str(path))
    return text if len(text) <= 200 else f"{text[:200]}..."
