"""Responses with a file of the studio."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from starlette.responses import FileResponse


def stored_file(file: Path, **more: Any) -> FileResponse:
    """Return the response with a file of the studio.

    Args:
        file: The file.
        more: What `FileResponse` takes besides.

    Raises:
        OSError: It is gone, or cannot be read. The response alone would find out when it is too late to say so.
    """
    return FileResponse(file, stat_result=file.stat(), **more)
