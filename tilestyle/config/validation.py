"""Types of settings: plain Python values of what a field's annotation allows, one line for anything else.

A dataclass declares its fields with annotations, and ranges with `ruled`; `check` does the rest. NumPy numbers,
zero-dimensional arrays and lists are taken, and become numbers and tuples, so that settings can always be
compared, hashed and written as JSON.
"""

from __future__ import annotations

import operator
import os
import reprlib
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field, fields
from decimal import Decimal
from enum import StrEnum
from functools import cache
from numbers import Number, Real
from types import NoneType, UnionType
from typing import Any, TypeVar, Union, get_args, get_origin, get_type_hints

from tilestyle.errors import SettingError

T = TypeVar("T")
LARGEST = 2**31 - 1  # of pixels along a side, sweeps and the like
RULE, FILE = "rule", "file"  # keys of a field's metadata
FILED = {FILE: True}  # metadata of a field that may be the name of a file, or a picture
# Attributes by which something is taken for a picture; whether it is one turns out when it is read.
PICTURE = ("shape", "pixels", "read", "convert")


@dataclass(frozen=True)
class Rule:
    """Which values of the right type a field takes, and what to give instead of others."""

    allows: Callable[[Any], bool]
    wanted: str
    name: str = ""  # what messages call the field, if it has another name there


def ruled(default: T, wanted: str, allows: Callable[[Any], bool], name: str = "") -> T:
    """Declare a dataclass field with a range.

    Args:
        default: The field's default; None is always allowed where the annotation allows it.
        wanted: What to give, for the message; it follows "give".
        allows: Whether a value of the right type is in range.
        name: What messages call the field, if not by its name.

    Returns:
        The field, typed as its default for the type checker.
    """
    found: T = field(default=default, metadata={RULE: Rule(allows, wanted, name)})
    return found


def between(low: float, high: float) -> Callable[[Any], bool]:
    """Whether a number is at least `low` and at most `high`; not a number is neither."""
    return lambda value: low <= value <= high


def check(settings: Any, *, apart: Collection[str] = ()) -> None:
    """Check every field of a dataclass, and make its values plain Python ones.

    Args:
        settings: An instance of a dataclass, frozen or not.
        apart: Names of fields that are left as they are.

    Raises:
        SettingError: For a value of the wrong type or out of range, with the name of the field.
    """
    kind: Any = type(settings)
    hints = _hints(kind)
    for each in (each for each in fields(settings) if each.name not in apart):
        given = getattr(settings, each.name)
        rule: Rule | None = each.metadata.get(RULE)
        name = rule.name if rule and rule.name else each.name
        try:
            value = plain(given, hints[each.name])
        except Unfit as error:
            if not (each.metadata.get(FILE) and _is_picture(given)):
                raise refused(name, given, rule.wanted if rule else str(error)) from None
            value = given
        if rule and value is not None and not rule.allows(value):
            raise refused(name, given, rule.wanted)
        object.__setattr__(settings, each.name, value)


def refused(name: str, value: Any, wanted: str) -> SettingError:
    """The error for a setting that cannot have a value: what it is, and what to give."""
    return SettingError(f"{name.replace('_', '-')} cannot be {shown(value)}", hint=f"give {wanted}")


def shown(value: Any) -> str:
    """A value on one short line, for a message."""
    if isinstance(value, NoneType | bool | int | float | complex | str | bytes | Mapping | Sequence):
        try:
            return " ".join(reprlib.repr(value).split())
        except ValueError:  # a whole number of thousands of digits
            return "a number as large as that"
    if getattr(value, "ndim", None) == 0 or isinstance(value, Number | os.PathLike):
        return " ".join(str(value).split())[:80]
    return f"a {type(value).__name__}"


class Unfit(Exception):
    """A value that a type does not allow; its message is what to give instead."""


def plain(value: Any, hint: Any) -> Any:
    """A value as a plain one of the type that `hint` says; raises Unfit where it is none."""
    origin, parts = get_origin(hint), get_args(hint)
    if origin in (Union, UnionType):
        return _one_of(value, parts)
    if hint is Any or hint is object:
        if value is None or _is_picture(value):
            return value
        raise Unfit("a picture, or the name of its file")
    if hint in _PLAIN:
        return _PLAIN[hint](_scalar(value))
    if origin is tuple:
        return _tuple(value, parts)
    if (origin or hint) in (dict, Mapping):
        return _mapping(value, parts)
    if origin is os.PathLike or hint is os.PathLike:
        return _path(value)
    if issubclass(hint, StrEnum):
        return _choice(value, hint)
    if not isinstance(value, hint):
        raise Unfit(f"a {hint.__name__}")
    return value


@cache
def _hints(kind: Any) -> dict[str, Any]:
    return get_type_hints(kind)


def _one_of(value: Any, kinds: Sequence[Any]) -> Any:
    wanted = []
    for kind in kinds:
        try:
            return plain(value, kind)
        except Unfit as error:
            wanted.append(str(error))
    files = os.PathLike in {get_origin(kind) or kind for kind in kinds}  # whose names are text
    raise Unfit(" or ".join(each for each in wanted if each != "nothing" and not (files and each == "text")))


def _scalar(value: Any) -> Any:
    """The Python value of a NumPy scalar, or of an array or tensor without dimensions."""
    if getattr(value, "ndim", None) == 0 and hasattr(value, "item"):
        try:
            return value.item()
        except (RuntimeError, NotImplementedError):  # a tensor that has no value
            return value
    return value


def _none(value: Any) -> None:
    if value is not None:
        raise Unfit("nothing")


def _bool(value: Any) -> bool:
    if not isinstance(value, bool):
        raise Unfit("True or False")
    return value


def _int(value: Any) -> int:
    try:
        if not isinstance(value, bool):
            return operator.index(value)
    except (TypeError, ValueError):
        pass
    raise Unfit("a whole number")


def _float(value: Any) -> float:
    known = isinstance(value, Real | Decimal) and not isinstance(value, bool)
    try:
        if known:
            return float(value)
    except (OverflowError, ValueError):  # beyond the largest, or a signalling NaN
        pass
    raise Unfit("a number")


def _str(value: Any) -> str:
    if type(value).__name__ == "device" and type(value).__module__ == "torch":
        return str(value)
    if not isinstance(value, str) or "\0" in value:
        raise Unfit("text")
    return str(value)


_PLAIN: dict[Any, Callable[[Any], Any]] = {
    NoneType: _none,
    bool: _bool,
    int: _int,
    float: _float,
    str: _str,
}


def _tuple(value: Any, parts: Sequence[Any]) -> tuple[Any, ...]:
    several = parts[-1] is Ellipsis
    wanted = f"a list of {'numbers' if several else len(parts)}"
    listed = isinstance(value, Sequence) and not isinstance(value, str | bytes | bytearray)
    if not listed and getattr(value, "ndim", None) != 1:
        raise Unfit(wanted)
    items = list(value)
    if not several and len(items) != len(parts):
        raise Unfit(wanted)
    try:
        return tuple(plain(item, parts[0 if several else index]) for index, item in enumerate(items))
    except Unfit:
        raise Unfit(wanted) from None


def _mapping(value: Any, parts: Sequence[Any]) -> dict[Any, Any]:
    if not isinstance(value, Mapping):
        raise Unfit("a number for each name")
    try:
        return {plain(name, parts[0]): plain(each, parts[1]) for name, each in value.items()}
    except Unfit:
        raise Unfit("a number for each name") from None


def _path(value: Any) -> Any:
    try:
        if isinstance(value, os.PathLike) and isinstance(name := os.fspath(value), str) and "\0" not in name:
            return value
    except Exception:  # whatever somebody's own class raises
        pass
    raise Unfit("the name of a file")


def _choice(value: Any, kind: type[StrEnum]) -> StrEnum:
    if isinstance(value, str) and value in list(kind):
        return kind(value)
    raise Unfit("one of " + ", ".join(kind))


def _is_picture(value: Any) -> bool:
    """Whether something may hold a picture: a file's name, or an object that has what pictures have."""
    if isinstance(value, str):
        return bool(value) and "\0" not in value
    if isinstance(value, os.PathLike):
        try:
            return bool(_path(value))
        except Unfit:
            return False
    if isinstance(value, Number | bytes | bytearray | Mapping | Sequence) or getattr(value, "ndim", 2) == 0:
        return False
    return any(hasattr(value, name) for name in PICTURE)
