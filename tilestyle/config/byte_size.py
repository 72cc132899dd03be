"""Sizes of memory in bytes: parsing text such as "2GiB", and formatting numbers for messages."""

from __future__ import annotations

import re

from tilestyle.config.readable import format_number
from tilestyle.errors import SettingError, excerpt

# "MB" and the like are decimal; "MiB" and bare letters such as "M" are binary.
UNITS = {"": 1, "b": 1} | {
    name: base**power
    for power, letter in enumerate("kmgt", start=1)
    for name, base in ((f"{letter}b", 1000), (f"{letter}ib", 1024), (letter, 1024))
}
_SIZE_PATTERN = re.compile(r"(\d+(?:\.\d*)?|\.\d+)\s*([a-z]*)")


MAX_BYTES = 2**63 - 1  # largest number of bytes that operating systems can address
_BINARY_UNITS = ("B", "KiB", "MiB", "GiB", "TiB", "PiB", "EiB")


def parse_bytes(amount: float | str, name: str = "memory") -> int:
    """Convert a size such as 1500000, "2GiB", "512MB" or "1.5 g" to bytes.

    Args:
        amount: A number of bytes, or text of a number with a unit.
        name: Name of the setting in error messages.

    Returns:
        The size in bytes, rounded down.

    Raises:
        SettingError: The size is malformed, below one byte, or larger than LARGEST.
    """
    if isinstance(amount, int) and amount > MAX_BYTES:  # its text may have thousands of digits
        raise SettingError(f"{name} is too large", hint="give at most what the machine has, such as 64GiB")
    text = str(amount).strip().lower()
    match = _SIZE_PATTERN.fullmatch(text)
    if match is None or match[2] not in UNITS:
        raise SettingError(
            f"{name} cannot be {excerpt(amount)}", hint="give bytes, or a number with MB, MiB, GB or GiB"
        )
    count = float(match[1]) * UNITS[match[2]]
    if count < 1:
        raise SettingError(f"{name} cannot be {excerpt(amount)}", hint="give a size above 0, such as 2GiB")
    if count > MAX_BYTES:
        raise SettingError(
            f"{name} {excerpt(amount)} is too large",
            hint="give at most what the machine has, such as 64GiB",
        )
    return int(count)


def format_bytes(count: float) -> str:
    """Format a number of bytes with three significant digits and a binary unit, such as "171 MiB"."""
    value, unit = float(count), 0
    while abs(value) >= 999.5 and unit < len(_BINARY_UNITS) - 1:
        value, unit = value / 1024, unit + 1
    return f"{format_number(value, 3)} {_BINARY_UNITS[unit]}"


def format_gib(count: float) -> str:
    """Format a number of bytes in GiB with two decimals, without the unit."""
    return f"{count / 2**30:.2f}"
