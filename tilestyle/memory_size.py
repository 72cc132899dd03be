"""Amounts of memory, as people write them and as they read them."""

from __future__ import annotations

import re

from tilestyle.errors import SettingError

# Decimal units are what shops sell, binary ones what memory has; a bare letter means the latter.
UNITS = {"": 1, "b": 1} | {
    name: base**power
    for power, letter in enumerate("kmgt", start=1)
    for name, base in ((f"{letter}b", 1000), (f"{letter}ib", 1024), (letter, 1024))
}
_WRITTEN = re.compile(r"(\d+(?:\.\d*)?|\.\d+)\s*([a-z]*)")


def bytes_of(amount: int | str) -> int:
    """Bytes of an amount such as 1500000, "2GiB", "512MB" or "1.5 g"; raises SettingError for anything else."""
    text = str(amount).strip().lower()
    found = _WRITTEN.fullmatch(text)
    if found is None or found[2] not in UNITS:
        raise SettingError(
            f"memory {amount!r} is no amount", hint="give bytes, or a number with MB, MiB, GB or GiB"
        )
    count = int(float(found[1]) * UNITS[found[2]])
    if count < 1:
        raise SettingError(f"memory {amount!r} is nothing", hint="give an amount above 0, such as 2GiB")
    return count


def gib(count: float) -> str:
    """Bytes in GiB with two decimals, without the unit."""
    return f"{count / 2**30:.2f}"
