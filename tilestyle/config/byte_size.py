"""Amounts of memory, as people write them and as they read them."""

from __future__ import annotations

import re

from tilestyle.errors import SettingError, excerpt

# Decimal units are what shops sell, binary ones what memory has; a bare letter means the latter.
UNITS = {"": 1, "b": 1} | {
    name: base**power
    for power, letter in enumerate("kmgt", start=1)
    for name, base in ((f"{letter}b", 1000), (f"{letter}ib", 1024), (letter, 1024))
}
_WRITTEN = re.compile(r"(\d+(?:\.\d*)?|\.\d+)\s*([a-z]*)")


LARGEST = 2**63 - 1  # bytes that a system can count
_SHOWN = ("B", "KiB", "MiB", "GiB", "TiB", "PiB", "EiB")


def bytes_of(amount: float | str, name: str = "memory") -> int:
    """Bytes of an amount such as 1500000, "2GiB", "512MB" or "1.5 g".

    Args:
        amount: Bytes, or a number with its unit.
        name: What messages call the setting.

    Raises:
        SettingError: For anything else, for nothing, and for more than a system can count.
    """
    if isinstance(amount, int) and amount > LARGEST:  # text of it may be thousands of digits
        raise SettingError(
            f"{name} of that many bytes is too much", hint="give what the machine has, such as 64GiB"
        )
    text = str(amount).strip().lower()
    found = _WRITTEN.fullmatch(text)
    if found is None or found[2] not in UNITS:
        raise SettingError(
            f"{name} {excerpt(amount)} is no amount", hint="give bytes, or a number with MB, MiB, GB or GiB"
        )
    count = float(found[1]) * UNITS[found[2]]
    if count < 1:
        raise SettingError(f"{name} {excerpt(amount)} is nothing", hint="give an amount above 0, such as 2GiB")
    if count > LARGEST:
        raise SettingError(
            f"{name} {excerpt(amount)} is too much", hint="give what the machine has, such as 64GiB"
        )
    return int(count)


def size_of(count: float) -> str:
    """Bytes as people read them: three significant digits, in the unit that suits them, such as "171 MiB"."""
    value, unit = float(count), 0
    while abs(value) >= 999.5 and unit < len(_SHOWN) - 1:
        value, unit = value / 1024, unit + 1
    return f"{value:.3g} {_SHOWN[unit]}"


def gib(count: float) -> str:
    """Bytes in GiB with two decimals, without the unit."""
    return f"{count / 2**30:.2f}"
