"""Sizes on paper: millimetres to pixels, and a picture onto a sheet.

The one place where lengths are in millimetres. `24x36in` is width by height, as everyone writes it; what
this module returns is height before width, as everywhere.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from enum import StrEnum
from math import inf

from tilestyle.config.validation import check, refused
from tilestyle.errors import SettingError, excerpt

MILLIMETRES = {"mm": 1.0, "cm": 10.0, "in": 25.4}
"""Units of length that are understood."""

# ISO 216, (short, long) in millimetres.
_A_SIZES = {
    "A0": (841, 1189),
    "A1": (594, 841),
    "A2": (420, 594),
    "A3": (297, 420),
    "A4": (210, 297),
    "A5": (148, 210),
    "A6": (105, 148),
}
DPI = 300.0
"""Dots per inch of a print where none are asked for: what can just be seen at reading distance."""

_NUMBER, _UNIT, _WAY = r"\d+(?:\.\d+)?", "|".join(MILLIMETRES), r"(?:[ -](landscape|portrait))?"
_LENGTH = re.compile(rf"({_NUMBER})\s*({_UNIT})")
_SIDES = re.compile(rf"({_NUMBER})\s*[x×]\s*({_NUMBER})\s*({_UNIT}){_WAY}")
_NAME = re.compile(rf"({'|'.join(_A_SIZES)}){_WAY}", re.IGNORECASE)
_SHARE = re.compile(rf"({_NUMBER})\s*%")
_LONGEST = 100_000.0  # a hundred metres


class Fit(StrEnum):
    """How a picture of another shape goes onto a sheet."""

    COVER = "cover"
    CONTAIN = "contain"
    EXACT = "exact"


@dataclass(frozen=True, slots=True)
class Paper:
    """A sheet, millimetres. ``turns`` if it takes the orientation of what is printed on it."""

    height: float
    width: float
    turns: bool = False

    def __post_init__(self) -> None:
        """Refuse what is no sheet."""
        check(self)
        for name in ("height", "width"):
            if not 0 < getattr(self, name) < inf:
                raise refused(name, getattr(self, name), "millimetres, more than 0")

    def for_content(self, content: tuple[int, int] | None) -> Paper:
        """The sheet lying as content of (height, width) does, if it turns; a square leaves it as it is."""
        if not self.turns or content is None or content[0] == content[1]:
            return Paper(self.height, self.width)
        short, long = sorted((self.height, self.width))
        return Paper(long, short) if content[0] > content[1] else Paper(short, long)


@dataclass(frozen=True, slots=True)
class Crop:
    """The part of the content that is printed, pixels of the content."""

    top: int
    left: int
    height: int
    width: int


@dataclass(frozen=True, slots=True)
class Layout:
    """A picture on paper: its size in pixels with ``bleed`` on every side, and what of the content it shows.

    ``crop`` is None where there is no content.
    """

    height: int
    width: int
    bleed: int
    dpi: float
    crop: Crop | None


def parsed_paper(text: str) -> Paper:
    """A sheet from `24x36in`, `100x200cm`, `594x841mm`, or `A0` to `A6`, in any case of letters.

    With `-landscape` or `-portrait` behind, it lies so; A sizes without turn to the content. Raises
    SettingError for anything else.
    """
    plain = text.strip()
    if sides := _SIDES.fullmatch(plain.lower()):
        unit = MILLIMETRES[sides[3]]
        width, height, way, named = float(sides[1]) * unit, float(sides[2]) * unit, sides[4], False
    elif name := _NAME.fullmatch(plain):
        (width, height), way, named = _A_SIZES[name[1].upper()], name[2], True
    else:
        raise SettingError(
            f"print size {excerpt(text)} is no size", hint="give 24x36in, 100x200cm, 594x841mm or A0"
        )
    if not 1 <= min(width, height) <= max(width, height) <= _LONGEST:
        raise SettingError(f"print size {excerpt(text)} is out of range", hint="give 1 mm to 100 m a side")
    if way is None:
        return Paper(height, width, turns=named)
    short, long = sorted((height, width))
    return Paper(short, long) if way.lower() == "landscape" else Paper(long, short)


def parsed_length(text: str, name: str = "length") -> float:
    """Millimetres of `3mm`, `0.3cm` or `0.125in`. Raises SettingError, naming the option, for anything else."""
    found = _LENGTH.fullmatch(text.strip().lower())
    if found is None:
        raise SettingError(f"{name} {excerpt(text)} has no number and unit", hint="give 3mm, 0.3cm or 0.125in")
    return float(found[1]) * MILLIMETRES[found[2]]


def stroke_pixels(text: str, long_side: int, dpi: float | None) -> float:
    """The width in pixels of a stroke of `4mm` on paper, or `0.5%` of a picture's long side in pixels.

    Raises SettingError for anything else, for nothing, and for a length where no paper is known.
    """
    if share := _SHARE.fullmatch(text.strip()):
        width = float(share[1]) / 100 * long_side
    elif _LENGTH.fullmatch(text.strip().lower()) is None:
        raise SettingError(
            f"stroke {excerpt(text)} is no width", hint="give 4mm on paper, or 0.5% of the long side"
        )
    elif dpi is None:
        raise SettingError(
            f"stroke {excerpt(text)} is a length on paper", hint="give --print or --dpi, or a share like 0.5%"
        )
    else:
        width = parsed_length(text) / MILLIMETRES["in"] * dpi
    if not 0 < width <= long_side:
        raise SettingError(
            f"stroke {excerpt(text)} is {width:.4g} pixels of {long_side}",
            hint="give a width within the picture",
        )
    return width


def pixels_from_millimetres(length: float, dpi: float) -> int:
    """The nearest number of pixels."""
    return round(length / MILLIMETRES["in"] * dpi)


def lay_out(
    paper: Paper,
    dpi: float,
    content: tuple[int, int] | None = None,
    fit: Fit = Fit.COVER,
    bleed: float = 0.0,
) -> Layout:
    """Put content of (height, width) pixels on a sheet with ``bleed`` millimetres beyond every edge.

    cover: the sheet and its bleed are filled, and what of the content is beyond is cropped, as much on
    either side. contain: all of the content is shown, as large as the sheet and its bleed allow; the
    picture is then smaller than the sheet one way. exact: the content is stretched to the sheet.
    Raises SettingError when the resolution or the bleed makes no sense, or nothing is left to print.
    """
    if not 1 <= dpi <= 60000:
        raise SettingError(f"{dpi:g} dots per inch is out of range", hint="use 1 to 60000")
    sheet = paper.for_content(content)
    if not 0 <= bleed <= min(sheet.height, sheet.width):
        raise SettingError(f"a bleed of {bleed:g} mm is out of range", hint="use 0 to the short side")
    edge = pixels_from_millimetres(bleed, dpi)
    height = pixels_from_millimetres(sheet.height, dpi) + 2 * edge
    width = pixels_from_millimetres(sheet.width, dpi) + 2 * edge
    if min(height, width) < 1:
        raise SettingError(f"the print would be {width} x {height} pixels", hint="give more dots per inch")
    if content is None:
        return Layout(height, width, edge, dpi, None)
    crop = Crop(0, 0, *content)
    if fit is Fit.COVER:
        crop = _centred(content, height, width)
    if fit is Fit.CONTAIN:
        height, width = _inside(content, height, width)
    return Layout(height, width, edge, dpi, crop)


def _centred(content: tuple[int, int], height: int, width: int) -> Crop:
    """The largest crop of the shape ``height`` : ``width``, in the middle."""
    shown_height, shown_width = _inside((height, width), *content)
    top, left = (content[0] - shown_height) // 2, (content[1] - shown_width) // 2
    return Crop(top, left, shown_height, shown_width)


def _inside(shape: tuple[int, int], height: int, width: int) -> tuple[int, int]:
    """The largest sides of the shape of (height, width) that fit: one is met, the other rounded."""
    if shape[0] * width >= shape[1] * height:  # the shape is the taller one
        return height, min(width, max(1, round(height * shape[1] / shape[0])))
    return min(height, max(1, round(width * shape[0] / shape[1]))), width
