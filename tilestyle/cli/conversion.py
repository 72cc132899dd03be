"""Values of options from their words, with errors that name the option and say what is allowed.

typer hands on all words as text. What it says about wrong ones differs between its versions.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tilestyle.config.suggestions import did_you_mean
from tilestyle.errors import SettingError, excerpt

if TYPE_CHECKING:
    from tilestyle.cli.parameters import Parameter

WHOLE = re.compile(r"[+-]?[0-9]+")
DIGITS = 4000  # Python refuses longer texts
DECIMAL = re.compile(r"[+-]?(([0-9]+\.?[0-9]*|\.[0-9]+)(e[+-]?[0-9]+)?|nan|inf)", re.IGNORECASE)


def convert(parameter: Parameter[Any], value: Any, flags: Iterable[str] = ()) -> Any:
    """The value of a parameter from its word, or from all of its words if it can be repeated.

    Args:
        parameter: What is converted.
        value: A word, or a list of them.
        flags: Every flag of the command: one in the place of a value means that the value is missing.

    Raises:
        SettingError: A word is not of the parameter's kind.
    """
    known = set(flags) if parameter.flags else set()
    if parameter.is_list:
        return [_word(parameter, word, known) for word in value]
    return _word(parameter, value, known)


def allowed(parameter: Parameter[Any]) -> str:
    """What a parameter takes, as a hint: "give a whole number from 1 to 100"."""
    kind, many = parameter.item_kind, parameter.is_list
    if issubclass(kind, StrEnum):
        return f"give {either(kind)}"
    if kind in (int, float):
        return f"give a {'whole ' if kind is int else ''}number{_range(*parameter.limits)}"
    sentence = re.split(r"(?<=[^.][^.][^.])\.(?:\s|$)|;", parameter.help)[0]
    if not sentence[:2].isupper():  # an abbreviation
        sentence = sentence[:1].lower() + sentence[1:]
    return f"give {parameter.metavar or 'a value'}: {sentence}{' (one or more)' * many}"


def either(kind: type[StrEnum]) -> str:
    """The choices of an option: "a, b or c"."""
    *most, last = [each.value for each in kind]
    return f"{', '.join(most)} or {last}" if most else last


def _range(least: int | None, most: int | None) -> str:
    if least is not None and most is not None:
        return f" from {least} to {most}"
    if least is not None:
        return f", {least} or more"
    return "" if most is None else f", {most} or less"


def _word(parameter: Parameter[Any], word: Any, flags: set[str]) -> Any:
    kind = parameter.item_kind
    text = str(word)
    if text in flags:
        raise SettingError(f"{parameter.label} needs a value, before {text}", hint=allowed(parameter))
    if not text and (kind is Path or parameter.files):
        # Path("") would be the current folder.
        raise SettingError(f"{parameter.label}: the name of the file is empty", hint=allowed(parameter))
    if kind is Path:
        return Path(text)
    if issubclass(kind, StrEnum):
        choices = [each.value for each in kind]
        if text not in choices:
            hint = f"{did_you_mean(text, choices)}{allowed(parameter)}"
            raise SettingError(f"{parameter.label} cannot be {excerpt(text)}", hint=hint)
        return kind(text)
    if kind in (int, float):
        stripped = text.strip()
        form = WHOLE if kind is int else DECIMAL
        number = kind(stripped) if form.fullmatch(stripped) and len(stripped) < DIGITS else None
        least, most = parameter.limits
        if (
            number is None
            or (least is not None and not number >= least)
            or (most is not None and not number <= most)
        ):
            raise SettingError(f"{parameter.label} cannot be {excerpt(text)}", hint=allowed(parameter))
        return number
    if not text:  # which would be taken for an option that was not given
        raise SettingError(f"{parameter.label} cannot be ''", hint=allowed(parameter))
    return text
