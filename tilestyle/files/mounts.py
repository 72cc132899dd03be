"""What is mounted where, as far as the system says it."""

from __future__ import annotations

import os
import re
from pathlib import Path

_TABLE = Path("/proc/self/mounts")
_ESCAPE = re.compile(rb"\\([0-7]{3})")


def mounted_types() -> dict[str, str]:
    """Return the types of file systems, such as "nfs4", by mount point; empty on systems other than Linux."""
    try:
        table = _TABLE.read_bytes()
    except OSError:
        return {}
    types = {}
    for line in table.splitlines():
        _, mount_point, kind, *_ = line.split(b" ")
        # Spaces and the like are written as octal numbers.
        name = _ESCAPE.sub(lambda match: bytes([int(match[1], 8)]), mount_point)
        types[os.fsdecode(name)] = os.fsdecode(kind)
    return types


def file_system_type(path: Path) -> str:
    """Return the type of the file system of a path, such as "nfs4"; empty on systems other than Linux."""
    types = mounted_types()
    real = Path(os.path.realpath(path))
    return next((types[str(each)] for each in (real, *real.parents) if str(each) in types), "")
