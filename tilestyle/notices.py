"""One-line notices of what cannot be promised on this machine: each is given once per process.

They go to the standard logger `tilestyle`. A program that configures no logging sees them on stderr.
"""

from __future__ import annotations

import logging

_logger = logging.getLogger("tilestyle")
_given: set[str] = set()


def notice(text: str) -> None:
    """Log a one-line warning, unless this process has already given it."""
    if text not in _given:
        _given.add(text)
        _logger.warning("tilestyle: %s", text)
