"""Ways to damage bytes and JSON; pure functions of what they are given and of chance."""

from __future__ import annotations

import copy
import random
from collections.abc import Callable
from typing import Any

Mutation = Callable[[bytes, random.Random], bytes]
NUMBERS = (0, 1, 2, 127, 128, 255, 256, 0x7FFF, 0x8000, 0xFFFF, 0x7FFFFFFF, 0x80000000, 0xFFFFFFFE, 0xFFFFFFFF)


def flipped_bit(data: bytes, draw: random.Random) -> bytes:
    """One bit is another."""
    return _with(data, draw.randrange(len(data)), lambda old: old ^ 1 << draw.randrange(8)) if data else data


def flipped_bytes(data: bytes, draw: random.Random) -> bytes:
    """A few bytes are other ones."""
    for _ in range(draw.choice([1, 2, 4, 16])):
        if data:
            data = _with(data, draw.randrange(len(data)), lambda old: draw.randrange(256))
    return data


def flipped_early(data: bytes, draw: random.Random) -> bytes:
    """One byte near the beginning, where headers are, is another."""
    head = min(len(data), draw.choice([16, 64, 256, 1024]))
    return _with(data, draw.randrange(head), lambda old: draw.randrange(256)) if data else data


def flipped_late(data: bytes, draw: random.Random) -> bytes:
    """One byte near the end, where directories are, is another."""
    tail = min(len(data), draw.choice([16, 64, 256]))
    return _with(data, len(data) - 1 - draw.randrange(tail), lambda old: draw.randrange(256)) if data else data


def number_set(data: bytes, draw: random.Random) -> bytes:
    """Two or four bytes are a number at the end of some range: a length, a count, an offset."""
    size = draw.choice([2, 4])
    if len(data) < size:
        return data
    at = draw.randrange(min(len(data), draw.choice([64, 512, 10**9])) - size + 1)
    number = draw.choice(NUMBERS) & (1 << 8 * size) - 1
    return data[:at] + number.to_bytes(size, draw.choice(["big", "little"])) + data[at + size :]


def truncated(data: bytes, draw: random.Random) -> bytes:
    """The end is missing."""
    return data[: draw.choice([draw.randrange(len(data) + 1), len(data) - 1, len(data) // 2])]


def emptied(data: bytes, draw: random.Random) -> bytes:
    """Nothing is left."""
    return b""


def appended(data: bytes, draw: random.Random) -> bytes:
    """There is more behind it."""
    return data + draw.choice([b"\0", draw.randbytes(40), data[-200:], data])


def zeroed(data: bytes, draw: random.Random) -> bytes:
    """A part is zeros, as of a page that was never written."""
    size = draw.choice([1, 16, 512, 4096])
    at = draw.randrange(max(1, len(data))) // size * size
    return data[:at] + bytes(min(size, len(data) - at)) + data[at + size :]


def cut_out(data: bytes, draw: random.Random) -> bytes:
    """A part is missing, and the rest moves up."""
    at = draw.randrange(max(1, len(data)))
    return data[:at] + data[at + draw.choice([1, 4, 12, 100]) :]


def doubled(data: bytes, draw: random.Random) -> bytes:
    """A part is there twice."""
    at = draw.randrange(max(1, len(data)))
    size = draw.choice([4, 12, 40, 200])
    return data[:at] + data[at : at + size] + data[at:]


def exchanged(data: bytes, draw: random.Random) -> bytes:
    """Two parts are in each other's place."""
    size = draw.choice([2, 4, 12, 64, 512])
    if len(data) < 2 * size:
        return data
    one, other = sorted(draw.sample(range(len(data) // size), 2))
    one, other = one * size, other * size
    a, b = data[one : one + size], data[other : other + size]
    return data[:one] + b + data[one + size : other] + a + data[other + size :]


MUTATIONS: tuple[Mutation, ...] = (
    flipped_bit,
    flipped_bytes,
    flipped_early,
    flipped_late,
    number_set,
    truncated,
    emptied,
    appended,
    zeroed,
    cut_out,
    doubled,
    exchanged,
)


def leaves(value: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """Paths to every value inside a JSON value, tables and lists among them."""
    inside = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    found = [path] if path else []
    for key, part in inside:
        found += leaves(part, (*path, key))
    return found


def edited(value: Any, draw: random.Random) -> tuple[Any, str]:
    """The same JSON value with one value in it changed, removed, doubled or exchanged, and what was done."""
    value = copy.deepcopy(value)
    path = draw.choice(leaves(value))
    holder = value
    for key in path[:-1]:
        holder = holder[key]
    key, old = path[-1], holder[path[-1]]
    name = ".".join(map(str, path))
    way = draw.choice(["other", "other", "other", "removed", "order"])
    if way == "order" and isinstance(old, list) and len(old) > 1:
        orders: list[Callable[[], None]] = [old.reverse, lambda: old.append(old[0]), lambda: draw.shuffle(old)]
        draw.choice(orders)()
        return value, f"{name} in another order, or longer"
    if way == "removed":
        del holder[key]
        return value, f"{name} removed"
    new = another(old, draw)
    holder[key] = new
    return value, f"{name}: {str(old)[:60]!r} is {str(new)[:60]!r}"


def another(old: Any, draw: random.Random) -> Any:
    """Another value, of the same type or not."""
    strange = [
        None,
        True,
        [],
        {},
        "",
        "x",
        "../c.png",
        "/etc/passwd",
        -1,
        0,
        1.5,
        1e308,
        2**63,
        [old],
        {"a": old},
    ]
    if isinstance(old, bool):
        strange += [not old] * 10
    elif isinstance(old, int | float):
        strange += [old + 1, old - 1, old * 2, -old, old + 64, str(old)] * 3
    elif isinstance(old, str):
        strange += [old + "x", old[:-1], old.upper(), old.replace("1", "2"), f"../{old}"] * 3
    found = draw.choice([new for new in strange if new != old or type(new) is not type(old)])
    return found


def _with(data: bytes, at: int, change: Callable[[int], int]) -> bytes:
    return data[:at] + bytes([change(data[at])]) + data[at + 1 :]
