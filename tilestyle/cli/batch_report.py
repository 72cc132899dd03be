"""The report of a batch: a table of its results, as CSV or JSON."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass, fields
from pathlib import Path

from tilestyle.errors import OutputError, SettingError
from tilestyle.files.paths import read_limited

DONE, SKIPPED, FAILED, PENDING = "done", "skipped", "failed", "pending"
"""States of a result: made by this run, finished by an earlier one, failed, and not begun or not finished."""


@dataclass
class Row:
    """One result.

    Attributes:
        picture: The picture.
        style: The styles, separated by "; ".
        result: The file that it becomes.
        state: One of DONE, SKIPPED, FAILED and PENDING.
        width: Of the result, in pixels.
        height: Of the result, in pixels.
        seconds: Time that the render took.
        reason: Why it failed.
    """

    picture: str
    style: str
    result: str
    state: str = PENDING
    width: int | None = None
    height: int | None = None
    seconds: float | None = None
    reason: str = ""


COLUMNS = [field.name for field in fields(Row)]


def check_report(file: Path, *, overwrite: bool) -> None:
    """Raise a TilestyleError unless a report can be written; an earlier report is replaced."""
    if file.suffix.lower() not in (".csv", ".json"):
        raise SettingError(
            f"report: {file} is neither .csv nor .json", hint="give a name that ends in one of these"
        )
    if file.exists() and not overwrite and not _is_report(file):
        raise OutputError(f"report: {file} exists", hint="give another name, or --overwrite to replace it")


def write_report(file: Path, rows: Sequence[Row]) -> None:
    """Write the report, whole or not at all. Raises OSError."""
    from tilestyle.files.atomic import atomic_write

    with atomic_write(file) as handle:
        handle.write(format_report(rows, file.suffix.lower()).encode("utf-8", "backslashreplace"))


def format_report(rows: Sequence[Row], suffix: str) -> str:
    """The text of a report."""
    if suffix == ".json":
        return json.dumps({"results": [asdict(row) for row in rows]}, indent=1) + "\n"
    text = io.StringIO(newline="")
    table = csv.DictWriter(text, COLUMNS)
    table.writeheader()
    table.writerows(asdict(row) for row in rows)
    return text.getvalue()


def _is_report(file: Path) -> bool:
    """Whether a file is a report of a batch."""
    with suppress(OSError, ValueError, RecursionError):
        content = read_limited(file)
        if file.suffix.lower() == ".csv":
            return content.startswith(",".join(COLUMNS).encode())
        match json.loads(content):
            case {"results": list(rows)}:
                return all(isinstance(row, dict) and set(row) == set(COLUMNS) for row in rows)
    return False
