"""Sizes of a picture that are relative to an input: 50%, 2x and 12MP.

What is relative to an input becomes pixels before the settings are put together, so that the settings stored
with a picture make it again.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from enum import Enum
from math import sqrt
from typing import TYPE_CHECKING, Any

from tilestyle.config.size import parse_size
from tilestyle.errors import SettingError, excerpt

if TYPE_CHECKING:
    from collections.abc import Mapping

LARGEST_FACTOR = 1e9
_RELATIVE = re.compile(r"(\d{1,20}(?:\.\d{1,20})?|\.\d{1,20})\s*(%|x|mp)")
WITH_CONTENT = ("content", "low", "start", "clip")
"""Parameters whose picture gives the result its proportions."""


class Unit(Enum):
    """What the number of a relative size counts."""

    FACTOR = "x"
    PERCENT = "%"
    MEGAPIXELS = "mp"


@dataclass(frozen=True)
class RelativeSize:
    """A size that depends on the input.

    Attributes:
        text: How it was typed.
        number: What it says.
        unit: What it counts.
    """

    text: str
    number: float
    unit: Unit

    def sides(self, height: int, width: int) -> tuple[int, int]:
        """Return height and width in pixels, for an input of this height and width."""
        factor = self.number
        if self.unit is Unit.PERCENT:
            factor /= 100
        if self.unit is Unit.MEGAPIXELS:
            factor = sqrt(self.number * 1e6 / (height * width))
        return max(1, round(height * factor)), max(1, round(width * factor))


def parse_any_size(text: str | None) -> int | tuple[int, int] | RelativeSize | None:
    """Parse a size in pixels, or one relative to the input.

    Raises:
        SettingError: The size is malformed, 0 or too large.
    """
    match = None if text is None else _RELATIVE.fullmatch(text.strip().lower())
    if text is None or match is None:
        return parse_size(text, "; or 50%, 2x or 12MP")
    number, unit = float(match[1]), Unit(match[2])
    if not number > 0:
        raise SettingError(f"invalid size {excerpt(text)}", hint="give a number above 0")
    if number > LARGEST_FACTOR:
        raise SettingError(f"size {excerpt(text)} is too large", hint="give a smaller number")
    return RelativeSize(text, number, unit)


def in_pixels(value: Any, params: Mapping[str, Any]) -> Any:
    """A size in pixels; one that is relative is resolved by the header of the input.

    Args:
        value: What `parse_any_size` returned; any other value is returned as it is.
        params: The parameters of the command.
    """
    if not isinstance(value, RelativeSize):
        return value
    name = next((each for each in WITH_CONTENT if params.get(each) is not None), None)
    source = params[name] if name else _style_of(params)
    height, width = value.sides(*_sides_of(name, source))
    # With a content, the long side alone: the renderer derives the other one from the content.
    return parse_size(str(max(height, width)) if name else f"{width}x{height}")


def _style_of(params: Mapping[str, Any]) -> Any:
    """The picture that a texture is made from."""
    from tilestyle.cli.parsing import parse_styles

    style = params.get("style") or params.get("like")
    if style is None:
        raise SettingError("no style image", hint="give one")
    return parse_styles([str(style[0])])[0].path if isinstance(style, list | tuple) else style


def _sides_of(name: str | None, source: Any) -> tuple[int, int]:
    """Height and width of an input."""
    if name == "clip":
        from tilestyle.motion.clip import open_clip

        clip = open_clip(source)
        return clip.height, clip.width
    from tilestyle.images import inspect_picture

    picture = inspect_picture(source)
    return picture.height, picture.width
