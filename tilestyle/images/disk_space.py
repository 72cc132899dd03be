"""Whether a disk has room for what is to be written."""

from __future__ import annotations

import shutil
from pathlib import Path

from tilestyle.config.byte_size import format_bytes
from tilestyle.errors import DiskError


def check_disk_space(folder: Path, required_bytes: int, what: str) -> None:
    """Check that a folder's drive has enough free space, as far as the drive can tell.

    Args:
        folder: An existing folder.
        required_bytes: Bytes needed in addition to what is there.
        what: What needs them, for the message.

    Raises:
        DiskError: There is too little free space.
    """
    try:
        total, _, free = shutil.disk_usage(folder)
    except OSError:
        return
    if total and required_bytes > free:  # some network drives report 0 for everything
        raise DiskError(
            f"{what} needs {format_bytes(required_bytes)} of disk in {folder}, {format_bytes(free)} is free",
            hint="free some space, or give another folder",
        )
