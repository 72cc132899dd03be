"""One-line warnings about what this machine cannot guarantee, each given once per process.

They go to the standard logger `tilestyle`. A program that does not configure logging sees them on stderr.
"""

from __future__ import annotations

import logging

_logger = logging.getLogger("tilestyle")
_logged: set[str] = set()


def notice(text: str) -> None:
    """Log a one-line warning, unless this process has logged it before."""
    if text not in _logged:
        _logged.add(text)
        _logger.warning("tilestyle: %s", text)
