"""The numbers with which torchrun tells each process of several its place."""

from __future__ import annotations

import os

from tilestyle.errors import SettingError

RANK, WORLD_SIZE, LOCAL_RANK, LOCAL_WORLD_SIZE = "RANK", "WORLD_SIZE", "LOCAL_RANK", "LOCAL_WORLD_SIZE"


def world_size() -> int:
    """Return how many processes render together; 1 without torchrun.

    Raises:
        SettingError: The environment variable is not such a number.
    """
    return environment_number(WORLD_SIZE, 1, lowest=1)


def environment_number(name: str, default: int, *, lowest: int = 0, end: int | None = None) -> int:
    """Return a whole number from the environment.

    Args:
        name: The environment variable.
        default: The number if it is not set, or empty.
        lowest: The smallest number that is possible.
        end: The first number that is too large; None: there is no limit.

    Raises:
        SettingError: It is not such a number.
    """
    text = os.environ.get(name, "").strip()
    if not text:
        return default
    try:
        number = int(text)
    except ValueError:
        number = lowest - 1
    if number < lowest or (end is not None and number >= end):
        numbers = f"from {lowest} to {end - 1}" if end is not None else f"of {lowest} or more"
        raise SettingError(
            f"the environment variable {name} is {text[:40]!r}, not a number {numbers}",
            hint=f"start the processes with torchrun, or unset {WORLD_SIZE} for a single process",
        )
    return number
