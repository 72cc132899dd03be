"""Files that are to be read: whether there is one at a path, and which paths are one file. No decoding."""

from __future__ import annotations

import errno
import os
import stat
from pathlib import Path

from tilestyle.errors import PictureError, TilestyleError

PathLike = str | os.PathLike[str]

Identity = tuple[int, int]
"""Device and number of a file: the same for all its names, links and spellings."""


def ordinary_file(path: PathLike, role: str = "", error: type[TilestyleError] = PictureError) -> Path:
    """Return the path of a file that can be opened and has content.

    Never waits: pipes, sockets and devices are refused before they are opened.

    Args:
        path: The file.
        role: What the file is for, such as "style"; the message begins with it.
        error: What is raised.

    Raises:
        TilestyleError: Of the given class, with one line that says what is there instead.
    """
    path = Path(path)
    what = f"{role}: " if role else ""
    try:
        found = path.stat()
        if stat.S_ISREG(found.st_mode):
            os.close(os.open(path, os.O_RDONLY | getattr(os, "O_NONBLOCK", 0)))
    except (FileNotFoundError, NotADirectoryError) as cause:
        link = f", the target of the link {path}" if path.is_symlink() else ""
        missing = os.path.realpath(path) if link else path
        raise error(f"{what}there is no file {missing}{link}", hint="check the path") from cause
    except PermissionError as cause:
        raise error(f"{what}{path} cannot be read (no permission)", hint="change its permissions") from cause
    except (OSError, ValueError) as cause:
        reason = getattr(cause, "strerror", None) or str(cause)
        raise error(f"{what}{_shown(path)} cannot be opened ({reason})", hint="check the path") from cause
    if stat.S_ISDIR(found.st_mode):
        raise error(f"{what}{path} is a folder", hint="name a file inside it")
    if not stat.S_ISREG(found.st_mode):
        raise error(f"{what}{path} is not an ordinary file", hint="copy it to a file first")
    if found.st_size == 0:
        raise error(f"{what}{path} is empty", hint="copy or fetch the file again")
    return path


def content_of(path: PathLike, most: int = 2**26) -> bytes:
    """Return the content of a file of ours, of at most so many bytes.

    Never waits, as for somebody who writes into a pipe. Raises OSError, also for what is no ordinary file.
    """
    descriptor = os.open(path, os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0))
    with open(descriptor, "rb") as file:
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            raise OSError(errno.EINVAL, "it is not an ordinary file", os.fspath(path))
        return file.read(most)


def is_file(path: PathLike) -> bool:
    """Whether there is an ordinary file at a path; no path is an error."""
    try:
        return stat.S_ISREG(os.stat(path).st_mode)
    except (OSError, ValueError):
        return False


def identity(path: PathLike) -> Identity | None:
    """Which file is at a path, whatever the path is called; None if there is none."""
    try:
        found = os.stat(path)
    except (OSError, ValueError):
        return None
    return found.st_dev, found.st_ino


def _shown(path: Path) -> str:
    """A path for a message: of a very long one, the beginning; no control characters."""
    text = "".join(letter if letter.isprintable() else "?" for letter in str(path))
    return text if len(text) <= 200 else f"{text[:200]}..."
