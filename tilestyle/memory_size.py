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
MOST = 2**63  # bytes
_WRITTEN = re.compile(r"(\d+(?:\.\d*)?|\.\d+)\s*([a-z]*)")


def bytes_of(amount: float | str) -> int:
    """Bytes of an amount such as 1500000, "2GiB", "512MB" or "1.5 g"; raises SettingError for anything else."""
    if isinstance(amount, int) and amount >= MOST:
        raise SettingError("memory of more than 2^63 bytes is no amount", hint="give an amount such as 2GiB")
    text = str(amount).strip().lower()
    found = _WRITTEN.fullmatch(text)
    if found is None or found[2] not in UNITS:
        raise SettingError(
            f"memory {amount!r} is no amount", hint="give bytes, or a number with MB, MiB, GB or GiB"
        )
    exact = float(found[1]) * UNITS[found[2]]
    if exact >= MOST:
        raise SettingError("memory of more than 2^63 bytes is no amount", hint="give an amount such as 2GiB")
    count = int(exact)
    if count < 1:
        raise SettingError(f"memory {amount!r} is nothing", hint="give an amount above 0, such as 2GiB")
    return count


def gib(count: float) -> str:
    """Bytes in GiB with two decimals, without the unit."""
    return f"{count / 2**30:.2f}"
