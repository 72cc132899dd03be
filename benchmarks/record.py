"""What a result needs to be believed: the machine, the versions, the commit, the command."""

from __future__ import annotations

import json
import os
import platform
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from rich.console import Console
from rich.table import Table

import tilestyle


def circumstances() -> dict[str, Any]:
    """Where and with what a benchmark ran."""
    device = torch.cuda.get_device_name() if torch.cuda.is_available() else _processor()
    return {
        "machine": f"{device}, {torch.get_num_threads()} threads",
        "versions": {
            "tilestyle": tilestyle.__version__,
            "torch": torch.__version__,
            "python": platform.python_version(),
        },
        "commit": _commit(),
        "command": "python " + " ".join(sys.argv),
    }


def report(rows: Sequence[Mapping[str, Any]], title: str, keep: Path | None) -> None:
    """Print rows as a table; with `keep`, write them there as JSON with the circumstances."""
    table = Table(*rows[0], title=title)
    for row in rows:
        table.add_row(*(f"{value:.4g}" if isinstance(value, float) else str(value) for value in row.values()))
    console = Console(width=140)
    console.print(table)
    console.print(circumstances())
    if keep:
        keep.parent.mkdir(parents=True, exist_ok=True)
        keep.write_text(json.dumps({**circumstances(), "title": title, "rows": list(rows)}, indent=1) + "\n")


def assets() -> Path | None:
    """The folder of optional material, from TILESTYLE_ASSETS."""
    folder = os.environ.get("TILESTYLE_ASSETS")
    return Path(folder) if folder else None


def _processor() -> str:
    info = Path("/proc/cpuinfo")
    names = [line.split(":")[1].strip() for line in info.read_text().splitlines() if "model name" in line]
    return names[0] if names else platform.processor()


def _commit() -> str:
    found = subprocess.run(["git", "rev-parse", "--short", "HEAD"], capture_output=True, text=True, check=False)
    return found.stdout.strip()
