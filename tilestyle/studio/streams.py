"""Responses: files of the studio, and server-sent events."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

from starlette.responses import FileResponse

NO_STORE = {"cache-control": "no-store"}


def stored_file(file: Path, **more: Any) -> FileResponse:
    """Return the response with a file of the studio.

    Raises:
        OSError: It is gone, or cannot be read. The response alone would find out when it is too late to say so.
    """
    return FileResponse(file, stat_result=file.stat(), **more)


async def sse(events: AsyncIterator[tuple[str, dict[str, Any]] | None]) -> AsyncIterator[str]:
    """Write events, and a comment for None, so that nobody thinks the connection dead."""
    yield ": ready\n\n"
    async for event in events:
        if event is None:
            yield ": still here\n\n"
        else:
            yield f"event: {event[0]}\ndata: {json.dumps(event[1])}\n\n"
