"""How the scripts here print and keep what they find."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from tilestyle.benchmark.environment import Result, script_command
from tilestyle.cli.results import show


def report(
    rows: Sequence[Mapping[str, Any]], title: str, keep: Path | None, figures: Mapping[str, Any] | None = None
) -> None:
    """Print rows as a table, with figures of all; with `keep`, write it all there as JSON."""
    result = Result(title, rows, figures or {})
    show(result, script_command())
    if keep:
        result.keep(keep, script_command())


def assets() -> Path | None:
    """The folder of optional material, from TILESTYLE_ASSETS."""
    folder = os.environ.get("TILESTYLE_ASSETS")
    return Path(folder) if folder else None
