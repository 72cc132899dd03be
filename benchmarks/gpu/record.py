"""What is kept of a run, and what is printed."""

from __future__ import annotations

import json
import multiprocessing
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks.gpu.apart import BAD, GOOD, SKIPPED, process_context
from benchmarks.gpu.core import Row, plain
from tilestyle.benchmark.environment import run_environment
from tilestyle.cli.benchmark_report import shown
from tilestyle.files.atomic import atomic_write

TIMEOUT = 60.0  # seconds to describe the machine


@dataclass(frozen=True)
class Record:
    """One JSON: the circumstances, the figures, and a row for each group with those of its checks."""

    about: Mapping[str, Any]
    title: str
    file: Path | None = None

    def keep(self, rows: Sequence[Row]) -> None:
        """Write the rows so far; the file is replaced as a whole, so that it can be read at any time."""
        if self.file is None:
            return
        self.file.parent.mkdir(parents=True, exist_ok=True)
        whole = {**self.about, "title": self.title, "figures": figures(rows), "rows": rows}
        with atomic_write(self.file) as file:
            file.write((json.dumps(plain(whole), indent=1) + "\n").encode())


def circumstances(command: Sequence[str]) -> dict[str, Any]:
    """The machine and the versions, read by another process: this one never starts CUDA."""
    with process_context().Pool(1) as pool:
        try:
            result: dict[str, Any] = pool.apply_async(run_environment, (list(command),)).get(TIMEOUT)
        except (RuntimeError, multiprocessing.TimeoutError) as error:
            result = {"machine": f"unknown ({error or 'it does not answer'})", "command": " ".join(command)}
    return result


def figures(rows: Sequence[Row]) -> dict[str, Any]:
    """How many groups and checks ended how."""
    checks = [check for row in rows for check in row["checks"]]
    return {
        "groups good": sum(row["verdict"] == GOOD for row in rows),
        "groups skipped": [row["group"] for row in rows if row["verdict"] == SKIPPED],
        "groups bad": [row["group"] for row in rows if row["verdict"] in BAD],
        "checks good": sum(check["ok"] is True for check in checks),
        "checks to look at": sum(check["ok"] is None and "skipped" not in check for check in checks),
        "checks skipped": sum("skipped" in check for check in checks),
        "checks failed": [
            f"{row['group']}: {c['check']}" for row in rows for c in row["checks"] if c["ok"] is False
        ],
        "seconds": sum(row.get("seconds", 0.0) for row in rows),
    }


def table(rows: Sequence[Row]) -> str:
    """A line for each group, and one for each check that failed."""
    lines = [f"{'group':13} {'verdict':10} {'s':>5}  what"]
    for row in rows:
        lines.append(line(row))
        for check in row["checks"]:
            if check["ok"] is False:
                why = check.get("error") or check.get("says") or shown(facts(check))
                lines.append(f"{'':13} {'':10} {'':>5}  FAILED {check['check']}: {why[:160]}")
    return "\n".join(lines)


def facts(check: Row) -> Row:
    """The facts of a check, without the entries that every check has."""
    return {key: value for key, value in check.items() if key not in ("check", "ok", "seconds", "warnings")}


def line(row: Row) -> str:
    """A group in one line: why it ended as it did, or what its checks say."""
    summary = "; ".join(
        check["says"] for check in row["checks"] if "says" in check and check["ok"] is not False
    )
    what = row.get("why") or summary or f"{len(row['checks'])} checks"
    skipped = [check["skipped"] for check in row["checks"] if "skipped" in check]
    if skipped and row["verdict"] != SKIPPED:
        what = f"{what} (skipped: {len(skipped)}, {skipped[0]})"
    return f"{row['group']:13} {row['verdict']:10} {row.get('seconds', 0.0):5.0f}  {what[:200]}"
