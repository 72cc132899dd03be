"""Settings varied over several values, from text: what a comparison sheet shows."""

from __future__ import annotations

import difflib
import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from enum import StrEnum
from types import NoneType, UnionType
from typing import Any, get_args, get_origin, get_type_hints

from tilestyle.config.render import RenderConfig
from tilestyle.errors import SettingError

# Settings whose options have another name.
OPTIONS = {"style_layers": "style-layer", "content_layers": "content-layer"}
# What else a setting that is varied decides: it would mean nothing beside those of a preset.
REPLACED: dict[str, dict[str, Any]] = {"strength": {"content_weight": None}}
# Between the parts of one value: commas are between values.
JOINT = "+"


@dataclass(frozen=True)
class Variation:
    """Values of one setting, each as it was written."""

    option: str  # its name on the command line
    setting: str  # of RenderConfig
    values: tuple[tuple[str, Any], ...]

    def applied(self, config: RenderConfig, index: int) -> RenderConfig:
        """The settings with one of the values; raises SettingError where that cannot be."""
        return replace(config, **{self.setting: self.values[index][1], **REPLACED.get(self.setting, {})})

    def caption(self, index: int) -> str:
        """What a cell is called."""
        return f"{self.option} {self.values[index][0]}"


def parsed_variation(text: str) -> Variation:
    """Of NAME=VALUE,VALUE,...: any setting of RenderConfig; SettingError suggests the nearest name."""
    name, equals, rest = text.partition("=")
    settings = {OPTIONS.get(name, name.replace("_", "-")): name for name in get_type_hints(RenderConfig)}
    option = name.strip().removeprefix("--")
    if option not in settings:
        nearest = difflib.get_close_matches(option, settings, n=1, cutoff=0.0)
        raise SettingError(f"there is no setting {option!r} to vary", hint=f"did you mean {nearest[0]!r}?")
    if not equals or not all(value.strip() for value in rest.split(",")):
        raise SettingError(f"{text!r} varies nothing", hint=f"give values, such as {option}=1,2")
    parse = parser_of(option, get_type_hints(RenderConfig)[settings[option]])
    return Variation(
        option, settings[option], tuple((value.strip(), parse(value.strip())) for value in rest.split(","))
    )


def parser_of(option: str, kind: Any) -> Callable[[str], Any]:
    """From text to a value of a type that settings have: the first of its alternatives that can be."""
    kinds = get_args(kind) if isinstance(kind, UnionType) else (kind,)

    def parse(text: str) -> Any:
        for each in kinds:
            try:
                return _value(text, each)
            except (ValueError, KeyError):
                continue
        known = ", ".join(value for each in kinds if _is_choice(each) for value in each)
        hint = f"give one of {known}" if known else "give it as the option takes it"
        raise SettingError(f"{option} cannot be {text!r}", hint=hint)

    return parse


def _value(text: str, kind: Any) -> Any:
    origin = get_origin(kind) or kind
    if kind is NoneType:
        if text != "none":
            raise ValueError(text)
        return None
    if kind is bool:
        return {"yes": True, "no": False}[text]
    if origin is tuple:
        return tuple(_value(part, get_args(kind)[0]) for part in text.split(JOINT))
    if issubclass(origin, Mapping):
        pairs = (part.partition("=") for part in text.split(JOINT))
        return {name: float(weight or 1) for name, _, weight in pairs}
    if issubclass(origin, os.PathLike):
        return text
    return origin(text)


def _is_choice(kind: Any) -> bool:
    return isinstance(kind, type) and issubclass(kind, StrEnum)
