"""The result of a benchmark as a table."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from rich.table import Table

from tilestyle.cli.terminal import console
from tilestyle.config.byte_size import format_bytes
from tilestyle.config.readable import format_number

if TYPE_CHECKING:
    from tilestyle.benchmark.environment import Result, Row

BYTES = ("peak", "canvas", "beyond", "predicted", "sums", "border bytes")
"""Columns and figures that are numbers of bytes."""


def show(result: Result, command: Sequence[str]) -> None:
    """Print a result as a table, followed by its figures and the machine it was measured on."""
    from tilestyle.benchmark.environment import run_environment

    flat = [flattened(row) for row in result.rows]
    columns = list(dict.fromkeys(column for row in flat for column in row))
    # Tables with many columns are easier to read transposed.
    wide = len(columns) > 12
    table = Table(*([""] * (len(flat) + 1) if wide else columns), title=result.title, show_header=not wide)
    if wide:
        for column in columns:
            table.add_row(column, *(shown(row.get(column), column) for row in flat))
    else:
        for row in flat:
            table.add_row(*(shown(row.get(column), column) for column in columns))
    shown_on = console(width=None if sys.stdout.isatty() else 160)
    shown_on.print(table)
    for key, value in {**result.figures, **run_environment(command)}.items():
        shown_on.print(f"{key}: {shown(value, key)}")


def flattened(row: Row) -> dict[str, Any]:
    """A row whose nested tables have become columns."""
    flat: dict[str, Any] = {}
    for key, value in row.items():
        flat |= (
            {f"{key}: {name}": part for name, part in value.items()}
            if isinstance(value, dict)
            else {key: value}
        )
    return flat


def shown(value: Any, name: str = "") -> str:
    """A value of this name as text, bytes with a unit."""
    if isinstance(value, dict):
        return ", ".join(f"{key} {shown(part, key)}" for key, part in value.items())
    if name in BYTES and isinstance(value, int | float):
        return format_bytes(value)
    if isinstance(value, float):
        return format_number(value, 4)
    return "" if value is None else str(value)
