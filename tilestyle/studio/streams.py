"""Server-sent events."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from typing import Any

NO_STORE = {"cache-control": "no-store"}


async def sse(events: AsyncIterator[tuple[str, dict[str, Any]] | None]) -> AsyncIterator[str]:
    """Write events, and a comment for None, so that nobody thinks the connection dead."""
    yield ": ready\n\n"
    async for event in events:
        if event is None:
            yield ": still here\n\n"
        else:
            yield f"event: {event[0]}\ndata: {json.dumps(event[1])}\n\n"
