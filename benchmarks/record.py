"""Print and save the results of the scripts."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from tilestyle.benchmark.environment import Result, script_command
from tilestyle.cli.benchmark_report import show


def report(
    rows: Sequence[Mapping[str, Any]], title: str, keep: Path | None, figures: Mapping[str, Any] | None = None
) -> None:
    """Print rows as a table, and save them as JSON.

    Args:
        rows: The table.
        title: Its title.
        keep: File to write; None: only print.
        figures: Summary numbers, by name.
    """
    result = Result(title, rows, figures or {})
    show(result, script_command())
    if keep:
        result.save(keep, script_command())


def assets() -> Path | None:
    """Return the folder of optional files that TILESTYLE_ASSETS names, if any."""
    folder = os.environ.get("TILESTYLE_ASSETS")
    return Path(folder) if folder else None
