"""Validation of dataclasses of settings by the type annotations and ranges of their fields.

A dataclass declares types with annotations and ranges with `ranged_field`; `check_fields` does the rest. NumPy
numbers, zero-dimensional arrays and lists are accepted and converted to Python numbers and tuples, so that
settings can always be compared, hashed and written as JSON. Every error message is one line.
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
MAX_INT32 = 2**31 - 1  # largest number of pixels along a side, of sweeps and the like
RULE_KEY, FILE_KEY = "rule", "file"  # keys of a field's metadata
FILE_METADATA = {FILE_KEY: True}  # metadata of a field that may be a file name or a picture
# An object with one of these attributes is accepted as a picture; reading it decides whether it is one.
PICTURE_ATTRIBUTES = ("shape", "pixels", "read", "convert")


@dataclass(frozen=True)
class ValueRule:
    """Which values of the right type a field accepts.

    Attributes:
        allows: Returns whether a value is in range.
        expected: Description of the allowed values for error messages, such as "a number above 0".
        label: Name of the field in error messages, if it differs from the attribute.
    """

    allows: Callable[[Any], bool]
    expected: str
    label: str = ""


def ranged_field(default: T, expected: str, allows: Callable[[Any], bool], label: str = "") -> T:
    """Declare a dataclass field with a range.

    Args:
        default: Default value. None is in range wherever the annotation allows it.
        expected: Description of the allowed values; error messages put it after "give".
        allows: Returns whether a value of the right type is in range.
        label: Name of the field in error messages, if it differs from the attribute.

    Returns:
        The dataclass field; for the type checker, a value of the default's type.
    """
    declared: T = field(default=default, metadata={RULE_KEY: ValueRule(allows, expected, label)})
    return declared


def between(low: float, high: float) -> Callable[[Any], bool]:
    """Return a function that tells whether a number is from `low` to `high`; NaN is not."""
    return lambda value: low <= value <= high


def check_fields(settings: Any, *, skip: Collection[str] = ()) -> None:
    """Check every field of a dataclass and convert its values to plain Python ones, in place.

    Args:
        settings: An instance of a dataclass, frozen or not.
        skip: Names of fields that are left alone.

    Raises:
        SettingError: A value has the wrong type or is out of range; the message names the field.
    """
    kind: Any = type(settings)
    hints = _type_hints(kind)
    for item in (item for item in fields(settings) if item.name not in skip):
        raw = getattr(settings, item.name)
        rule: ValueRule | None = item.metadata.get(RULE_KEY)
        name = rule.label if rule and rule.label else item.name
        try:
            value = to_plain(raw, hints[item.name])
        except TypeMismatch as error:
            if not (item.metadata.get(FILE_KEY) and _is_picture(raw)):
                raise setting_error(name, raw, rule.expected if rule else str(error)) from None
            value = raw
        if rule and value is not None and not rule.allows(value):
            raise setting_error(name, raw, rule.expected)
        object.__setattr__(settings, item.name, value)


def setting_error(name: str, value: Any, expected: str) -> SettingError:
    """Build the error for a setting with a value that is not allowed.

    Args:
        name: The setting.
        value: Its value.
        expected: Description of the allowed values.
    """
    return SettingError(f"{name.replace('_', '-')} cannot be {format_value(value)}", hint=f"give {expected}")


def format_value(value: Any) -> str:
    """Format a value for an error message: on one short line, whatever its type."""
    if isinstance(value, NoneType | bool | int | float | complex | str | bytes | Mapping | Sequence):
        try:
            return " ".join(reprlib.repr(value).split())
        except ValueError:  # an integer with thousands of digits
            return "a number with that many digits"
    if getattr(value, "ndim", None) == 0 or isinstance(value, Number | os.PathLike):
        return " ".join(str(value).split())[:80]
    return f"a {type(value).__name__}"


class TypeMismatch(Exception):
    """A value that does not match a type annotation; the message describes the allowed values."""


def to_plain(value: Any, hint: Any) -> Any:
    """Convert a value to a plain Python value of an annotated type.

    Args:
        value: The value, which may be a NumPy number or array, a tensor, a list, or text of an enum.
        hint: Annotation of the field: a plain type, an enum, a union, a tuple, a mapping, a path or Any, which
            stands for a picture.

    Returns:
        The converted value; a picture is returned as it is.

    Raises:
        TypeMismatch: The value does not match the annotation.
    """
    origin, parts = get_origin(hint), get_args(hint)
    if origin in (Union, UnionType):
        return _one_of(value, parts)
    if hint is Any or hint is object:
        if value is None or _is_picture(value):
            return value
        raise TypeMismatch("a picture or its file name")
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
        raise TypeMismatch(f"a {hint.__name__}")
    return value


@cache
def _type_hints(kind: Any) -> dict[str, Any]:
    return get_type_hints(kind)


def _one_of(value: Any, kinds: Sequence[Any]) -> Any:
    """Convert a value to the first type of a union that it matches."""
    descriptions = []
    for kind in kinds:
        try:
            return to_plain(value, kind)
        except TypeMismatch as error:
            descriptions.append(str(error))
    has_path = os.PathLike in {get_origin(kind) or kind for kind in kinds}  # "text" then means a file name
    raise TypeMismatch(
        " or ".join(text for text in descriptions if text != "nothing" and not (has_path and text == "text"))
    )


def _scalar(value: Any) -> Any:
    """Return the Python value of a NumPy scalar or of a zero-dimensional array or tensor."""
    if getattr(value, "ndim", None) == 0 and hasattr(value, "item"):
        try:
            return value.item()
        except (RuntimeError, NotImplementedError):  # a tensor without a value, such as on the meta device
            return value
    return value


def _none(value: Any) -> None:
    if value is not None:
        raise TypeMismatch("nothing")


def _bool(value: Any) -> bool:
    if not isinstance(value, bool):
        raise TypeMismatch("True or False")
    return value


def _int(value: Any) -> int:
    try:
        if not isinstance(value, bool):
            return operator.index(value)
    except (TypeError, ValueError):
        pass
    raise TypeMismatch("a whole number")


def _float(value: Any) -> float:
    is_number = isinstance(value, Real | Decimal) and not isinstance(value, bool)
    try:
        if is_number:
            return float(value)
    except (OverflowError, ValueError):  # too large for a float, or a signalling NaN
        pass
    raise TypeMismatch("a number")


def _str(value: Any) -> str:
    if type(value).__name__ == "device" and type(value).__module__ == "torch":
        return str(value)
    if not isinstance(value, str) or "\0" in value:
        raise TypeMismatch("text")
    return str(value)


_PLAIN: dict[Any, Callable[[Any], Any]] = {
    NoneType: _none,
    bool: _bool,
    int: _int,
    float: _float,
    str: _str,
}


def _tuple(value: Any, parts: Sequence[Any]) -> tuple[Any, ...]:
    any_length = parts[-1] is Ellipsis
    description = f"a list of {'numbers' if any_length else len(parts)}"
    is_list = isinstance(value, Sequence) and not isinstance(value, str | bytes | bytearray)
    if not is_list and getattr(value, "ndim", None) != 1:
        raise TypeMismatch(description)
    items = list(value)
    if not any_length and len(items) != len(parts):
        raise TypeMismatch(description)
    try:
        return tuple(to_plain(item, parts[0 if any_length else index]) for index, item in enumerate(items))
    except TypeMismatch:
        raise TypeMismatch(description) from None


def _mapping(value: Any, parts: Sequence[Any]) -> dict[Any, Any]:
    if not isinstance(value, Mapping):
        raise TypeMismatch("a number for each name")
    try:
        return {to_plain(name, parts[0]): to_plain(item, parts[1]) for name, item in value.items()}
    except TypeMismatch:
        raise TypeMismatch("a number for each name") from None


def _path(value: Any) -> Any:
    try:
        if isinstance(value, os.PathLike) and isinstance(name := os.fspath(value), str) and "\0" not in name:
            return value
    except Exception:  # a class of the user may raise anything
        pass
    raise TypeMismatch("a file name")


def _choice(value: Any, kind: type[StrEnum]) -> StrEnum:
    if isinstance(value, str) and value in list(kind):
        return kind(value)
    raise TypeMismatch("one of " + ", ".join(kind))


def _is_picture(value: Any) -> bool:
    """Whether a value may be a picture: a file name, or an object with attributes of pictures."""
    if isinstance(value, str):
        return bool(value) and "\0" not in value
    if isinstance(value, os.PathLike):
        try:
            return bool(_path(value))
        except TypeMismatch:
            return False
    if isinstance(value, Number | bytes | bytearray | Mapping | Sequence) or getattr(value, "ndim", 2) == 0:
        return False
    return any(hasattr(value, name) for name in PICTURE_ATTRIBUTES)
