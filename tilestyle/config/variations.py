"""Parsing of NAME=VALUE,VALUE,...: a setting and the values that a comparison sheet shows it with."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from enum import StrEnum
from types import NoneType, UnionType
from typing import Any, get_args, get_origin, get_type_hints

from tilestyle.config.render import RenderConfig
from tilestyle.config.size import parse_size
from tilestyle.config.suggestions import did_you_mean
from tilestyle.errors import SettingError, excerpt
from tilestyle.pictures import bundled_name

# Settings whose command line options have another name.
OPTION_NAMES = {"style_layers": "style-layer", "content_layers": "content-layer"}
# Settings to reset when a setting is varied: those of a preset would override it.
RESET_SETTINGS: dict[str, dict[str, Any]] = {"strength": {"content_weight": None}}
# Separates the parts of one value; commas separate values.
PART_SEPARATOR = "+"
SWITCH = {"yes": True, "true": True, "on": True, "no": False, "false": False, "off": False}


@dataclass(frozen=True)
class Variation:
    """One setting with several values.

    Attributes:
        option: Name of the setting on the command line.
        setting: Name of the field of RenderConfig.
        values: The values, each as its text and its parsed value.
    """

    option: str
    setting: str
    values: tuple[tuple[str, Any], ...]

    def apply(self, config: RenderConfig, index: int) -> RenderConfig:
        """Return the settings with the value of this index; raises SettingError if it is not allowed."""
        return replace(config, **{self.setting: self.values[index][1], **RESET_SETTINGS.get(self.setting, {})})

    def caption(self, index: int) -> str:
        """Return the caption of a cell of the sheet, such as "strength 0.3"."""
        text = self.values[index][0]
        return f"{self.option} {bundled_name(text) or text}"


def parse_variation(text: str) -> Variation:
    """Parse text such as "strength=0.3,0.7".

    Args:
        text: An option of any setting of RenderConfig, "=", and its values separated by commas.

    Raises:
        SettingError: The setting is unknown (the hint is a similar name), or there are no values, or a
            value is malformed.
    """
    name, equals, rest = text.partition("=")
    settings = {OPTION_NAMES.get(name, name.replace("_", "-")): name for name in get_type_hints(RenderConfig)}
    option = name.strip().removeprefix("--")
    if option not in settings:
        question = did_you_mean(option, settings, quoted=True).rstrip()
        raise SettingError(
            f"there is no setting {excerpt(option)} to vary",
            hint=question or "give an option of a render, such as strength, style-scale or network",
        )
    if not equals or not all(value.strip() for value in rest.split(",")):
        raise SettingError(f"no values in {text!r}", hint=f"give values, such as {option}=1,2")
    parse = value_parser(option, get_type_hints(RenderConfig)[settings[option]])
    return Variation(
        option, settings[option], tuple((value.strip(), parse(value.strip())) for value in rest.split(","))
    )


def value_parser(option: str, kind: Any) -> Callable[[str], Any]:
    """Return a function that parses text as a value of an annotated type, trying its alternatives in order.

    Args:
        option: Name of the option, for error messages.
        kind: Type annotation of the setting.

    Returns:
        The function; it raises SettingError if no alternative matches.
    """
    if option == "size":
        return parse_size
    kinds = get_args(kind) if isinstance(kind, UnionType) else (kind,)

    def parse(text: str) -> Any:
        for alternative in kinds:
            try:
                return _parse_value(text, alternative)
            except (ValueError, KeyError):
                continue
        raise SettingError(f"{option} cannot be {text!r}", hint=f"give {_allowed(kinds)}")

    return parse


def _parse_value(text: str, kind: Any) -> Any:
    """Parse text as a value of one type; raises ValueError or KeyError if it is none."""
    origin = get_origin(kind) or kind
    if kind is NoneType:
        if text != "none":
            raise ValueError(text)
        return None
    if kind is bool:
        return SWITCH[text.lower()]
    if kind in (Any, object):  # a picture: by its file
        return None if text == "none" else text
    if origin is tuple:
        return tuple(_parse_value(part, get_args(kind)[0]) for part in text.split(PART_SEPARATOR))
    if issubclass(origin, Mapping):
        pairs = (part.partition("=") for part in text.split(PART_SEPARATOR))
        return {name: float(weight or 1) for name, _, weight in pairs}
    if issubclass(origin, os.PathLike):
        return text
    return origin(text)


def _allowed(kinds: tuple[Any, ...]) -> str:
    """Describe the values that one of several types allows, for a hint."""
    choices = [value for kind in kinds if _is_enum(kind) for value in kind]
    if choices:
        return f"one of {', '.join(choices)}"
    if bool in kinds:
        return "yes or no"
    if float in kinds or int in kinds:
        return "a number"
    return "it in the same form as the option"


def _is_enum(kind: Any) -> bool:
    return isinstance(kind, type) and issubclass(kind, StrEnum)
