"""Print sizes: millimeters to pixels, and how a picture is placed on a sheet.

Only this module handles lengths in millimeters. `24x36in` means width by height, as everyone writes it; what
the module returns is height before width, as everywhere else.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from enum import StrEnum
from math import inf

from tilestyle.config.paper_names import PAPERS_IN_WORDS, named_paper, similar_name, unit_of_named
from tilestyle.config.readable import format_number
from tilestyle.config.validation import check_fields, setting_error
from tilestyle.errors import SettingError, excerpt

MILLIMETERS = {"mm": 1.0, "cm": 10.0, "m": 1000.0, "in": 25.4}
"""Millimeters of the supported units of length."""

# Of a length in a message.
_DECIMALS = {"mm": 1, "cm": 2, "m": 4, "in": 3}

DPI = 300.0
"""Default dots per inch of a print: the finest detail that the eye resolves at reading distance."""

_DPI_METERS = 180.0  # dots per inch that are enough at one meter; half as many at two

_NUMBER, _UNIT, _ORIENTATION = r"\d+(?:\.\d+)?", "|".join(MILLIMETERS), r"(?:[ -](landscape|portrait))?"
_MOST_DIGITS = 6  # of a number without a unit that a message repeats
_LENGTH = re.compile(rf"({_NUMBER})\s*({_UNIT})")
_SIDES = re.compile(rf"({_NUMBER})\s*[x×]\s*({_NUMBER})\s*({_UNIT}){_ORIENTATION}")
_NAME = re.compile(rf"(.+?){_ORIENTATION}", re.IGNORECASE | re.DOTALL)
_SCALE = re.compile(rf"({_NUMBER})\s*:\s*({_NUMBER})")
_NO_UNIT = re.compile(rf"{_NUMBER}\s*[x×]\s*{_NUMBER}")
_PERCENT = re.compile(rf"({_NUMBER})\s*%")
_MAX_MILLIMETERS = 100_000.0  # a hundred meters


class Fit(StrEnum):
    """How a picture of another aspect ratio is placed on a sheet."""

    COVER = "cover"
    CONTAIN = "contain"
    EXACT = "exact"


@dataclass(frozen=True, slots=True)
class Paper:
    """A sheet of paper.

    Attributes:
        height: Millimeters.
        width: Millimeters.
        turns: Whether it takes the orientation of the picture printed on it.
        text: What it was parsed from, for messages; empty otherwise.
    """

    height: float
    width: float
    turns: bool = False
    text: str = field(default="", compare=False)

    def __post_init__(self) -> None:
        """Validate the size."""
        check_fields(self)
        for name in ("height", "width"):
            if not 0 < getattr(self, name) < inf:
                raise setting_error(name, getattr(self, name), "a length above 0, in millimeters")

    def oriented_for(self, content: tuple[int, int] | None) -> Paper:
        """Return the sheet in the orientation of the content (height, width), if it turns.

        A square content leaves the sheet as it is.
        """
        if not self.turns or content is None or content[0] == content[1]:
            return Paper(self.height, self.width)
        short, long = sorted((self.height, self.width))
        return Paper(long, short) if content[0] > content[1] else Paper(short, long)


@dataclass(frozen=True, slots=True)
class PageCrop:
    """The part of the content that is printed, in pixels of the content."""

    top: int
    left: int
    height: int
    width: int


@dataclass(frozen=True, slots=True)
class PageLayout:
    """A picture on paper.

    Attributes:
        height: Pixels of the picture, bleed included.
        width: Pixels of the picture, bleed included.
        bleed: Pixels beyond the sheet on every side.
        dpi: Dots per inch.
        crop: The part of the content that it shows; None without content.
    """

    height: int
    width: int
    bleed: int
    dpi: float
    crop: PageCrop | None


def parse_paper(text: str) -> Paper:
    """Parse a print size: `24x36in`, `100x200cm`, `594x841mm`, or the name of a paper; case does not matter.

    A suffix `-landscape` or `-portrait` fixes the orientation. A name without one turns to the content.

    Raises:
        SettingError: `text` is not a print size, or out of range.
    """
    plain = text.strip()
    if sides := _SIDES.fullmatch(plain.lower()):
        unit = MILLIMETERS[sides[3]]
        width, height, orientation, is_named = float(sides[1]) * unit, float(sides[2]) * unit, sides[4], False
    elif (name := _NAME.fullmatch(plain)) and (named := named_paper(name[1])):
        (width, height), orientation, is_named = named, name[2], True
    else:
        raise _invalid_paper(text)
    if not 1 <= min(width, height) <= max(width, height) <= _MAX_MILLIMETERS:
        raise SettingError(f"print size {excerpt(text)} is out of range", hint="give 1 mm to 100 m per side")
    if orientation is None:
        return Paper(height, width, turns=is_named, text=plain)
    short, long = sorted((height, width))
    if orientation.lower() == "landscape":
        return Paper(short, long, text=plain)
    return Paper(long, short, text=plain)


def _invalid_paper(text: str) -> SettingError:
    """Return the error for a text that is not a print size."""
    plain = text.strip()
    if _NO_UNIT.fullmatch(plain):
        return SettingError(
            f"invalid print size {excerpt(text)} without a unit",
            hint=f"give a size such as {plain[:40]}in or {plain[:40]}cm",
        )
    name = _NAME.fullmatch(plain)
    similar = similar_name(name[1]) if name else None
    question = f"did you mean {similar}? " if similar else ""
    return SettingError(
        f"invalid print size {excerpt(text)}",
        hint=f"{question}give a size such as 24x36in or 594x841mm, or {PAPERS_IN_WORDS}",
    )


def turned_spelling(text: str) -> str | None:
    """Return how the same paper in the other orientation is written: 36x24in for 24x36in.

    None for a paper that turns with the picture.
    """
    plain = text.strip()
    if sides := _SIDES.fullmatch(plain.lower()):
        if sides[4] is None:
            return f"{sides[2]}x{sides[1]}{sides[3]}"
        other = "portrait" if sides[4] == "landscape" else "landscape"
        return f"{plain[: -len(sides[4])]}{other}"
    name = _NAME.fullmatch(plain)
    return name[1] if name and name[2] else None


def parse_length(text: str, name: str = "length") -> float:
    """Parse `3mm`, `0.3cm` or `0.125in` and return millimeters.

    Raises:
        SettingError: `text` is not a length; the message calls it `name`.
    """
    match = _LENGTH.fullmatch(text.strip().lower())
    if match is None:
        number = text.strip()
        plain = number.isdecimal() and len(number) <= _MOST_DIGITS
        units = f"{number}mm, {number}cm or {number}in" if plain else "3mm, 0.3cm or 0.125in"
        raise SettingError(
            f"invalid {name} {excerpt(text)}", hint=f"give a number with a unit, such as {units}"
        )
    return float(match[1]) * MILLIMETERS[match[2]]


def unit_of(text: str) -> str:
    """Return the unit of a length or of a print size that has been parsed: in for 24x36in and letter."""
    plain = text.strip().lower()
    if given := _SIDES.fullmatch(plain):
        return given[3]
    if given := _LENGTH.fullmatch(plain):
        return given[2]
    name = _NAME.fullmatch(plain)
    return unit_of_named(name[1]) if name else "mm"


def format_length(millimeters: float, unit: str, *, coarse: bool = False) -> str:
    """Format a length in a unit: "0.125 in".

    Args:
        millimeters: The length.
        unit: Its unit.
        coarse: Whether a millimeter or so does not matter, as in the size of a poster.
    """
    return f"{_in_unit(millimeters, unit, coarse)} {unit}"


def format_area(width: float, height: float, unit: str, *, coarse: bool = False) -> str:
    """Format two lengths in millimeters in a unit, as `format_length` does: "24 x 36 in"."""
    return f"{_in_unit(width, unit, coarse)} x {_in_unit(height, unit, coarse)} {unit}"


def _in_unit(millimeters: float, unit: str, coarse: bool) -> str:
    return format_number(round(millimeters / MILLIMETERS[unit], max(1, _DECIMALS[unit] - coarse)), 7)


def parse_scale(text: str) -> float:
    """Parse the scale that a file is supplied at, `1:10`, and return how many times smaller it is.

    Raises:
        SettingError: `text` is not a scale, or enlarges.
    """
    match = _SCALE.fullmatch(text.strip())
    if match is None or not float(match[1]) > 0 or not 1 <= float(match[2]) / float(match[1]) <= 1000:
        raise SettingError(f"invalid scale {excerpt(text)}", hint="give 1:10, or 1:1 for the size of the print")
    return float(match[2]) / float(match[1])


def dpi_at_distance(millimeters: float) -> float:
    """Return the dots per inch that are enough for a viewer at a distance: 180 at a meter.

    Nearer than 60 cm it stays at 300, as in a book.
    """
    if not 100 <= millimeters <= 1_000_000:
        raise SettingError(
            f"a distance of {format_number(millimeters / 1000)} m is out of range",
            hint="give 10cm to 1000m, such as 2m",
        )
    return min(DPI, max(1.0, round(_DPI_METERS / (millimeters / 1000))))


def stroke_pixels(text: str, long_side: int, dpi: float | None) -> float:
    """Return the width of a brush stroke in pixels.

    Args:
        text: `4mm` on paper, or `0.5%` of the long side.
        long_side: Long side of the picture, pixels.
        dpi: Dots per inch of the print; None without one.

    Raises:
        SettingError: `text` is neither, the stroke does not fit the picture, or a length is given without a
            print.
    """
    if share := _PERCENT.fullmatch(text.strip()):
        width = float(share[1]) / 100 * long_side
    elif _LENGTH.fullmatch(text.strip().lower()) is None:
        raise SettingError(
            f"invalid stroke width {excerpt(text)}", hint="give 4mm on paper, or 0.5% of the long side"
        )
    elif dpi is None:
        raise SettingError(
            f"stroke width {excerpt(text)} is a length on paper",
            hint="give --print or --dpi, or a percentage such as 0.5%",
        )
    else:
        width = parse_length(text) / MILLIMETERS["in"] * dpi
    if not 0 < width <= long_side:
        raise SettingError(
            f"stroke width {excerpt(text)} is {format_number(width, 4)} pixels, "
            f"the picture's long side {long_side}",
            hint="give a width above 0 that fits the picture",
        )
    return width


def millimeters_to_pixels(length: float, dpi: float) -> int:
    """Convert millimeters to the nearest whole number of pixels."""
    return round(length / MILLIMETERS["in"] * dpi)


def check_dpi(dpi: float) -> None:
    """Refuse a resolution that no print has, dots per inch."""
    if not 1 <= dpi <= 60000:
        raise SettingError(f"a resolution of {format_number(dpi)} dpi is out of range", hint="use 1 to 60000")


def fit_to_paper(
    paper: Paper,
    dpi: float,
    content: tuple[int, int] | None = None,
    fit: Fit = Fit.COVER,
    bleed: float = 0.0,
) -> PageLayout:
    """Place content on a sheet of paper.

    `cover` fills the sheet with its bleed and crops the content equally on both sides. `contain` shows all of
    the content as large as possible, so that the picture is smaller than the sheet along one axis. `exact`
    stretches the content to the sheet.

    Args:
        paper: The sheet.
        dpi: Dots per inch, 1 to 60000.
        content: Size of the content (height, width), pixels; None without content.
        fit: How content of another aspect ratio is placed.
        bleed: Width printed beyond every edge of the sheet, millimeters.

    Raises:
        SettingError: The resolution or the bleed is out of range, or the print has no pixels.
    """
    check_dpi(dpi)
    sheet = paper.oriented_for(content)
    if not 0 <= bleed <= min(sheet.height, sheet.width):
        raise SettingError(
            f"a bleed of {format_number(bleed)} mm is out of range",
            hint="use 0 mm up to the short side of the paper",
        )
    bleed_pixels = millimeters_to_pixels(bleed, dpi)
    height = millimeters_to_pixels(sheet.height, dpi) + 2 * bleed_pixels
    width = millimeters_to_pixels(sheet.width, dpi) + 2 * bleed_pixels
    if min(height, width) < 1:
        raise SettingError(f"the print would be {width} x {height} pixels", hint="give a higher --dpi")
    if content is None:
        return PageLayout(height, width, bleed_pixels, dpi, None)
    crop = PageCrop(0, 0, *content)
    if fit is Fit.COVER:
        crop = _centered_crop(content, height, width)
    if fit is Fit.CONTAIN:
        height, width = _largest_size_within(content, height, width)
    return PageLayout(height, width, bleed_pixels, dpi, crop)


def cropped_share(layout: PageLayout, content: tuple[int, int]) -> float:
    """Return the share of the content (height, width) that a layout does not show, from 0 to 1."""
    if layout.crop is None:
        return 0.0
    return 1 - (layout.crop.height * layout.crop.width) / (content[0] * content[1])


def cover_crop(content: tuple[int, int], area: tuple[float, float]) -> PageCrop:
    """Return the largest centered part of the content with the proportions of an area (height, width)."""
    scale = min(content[0] / area[0], content[1] / area[1])
    height, width = (
        max(1, min(side, round(length * scale))) for side, length in zip(content, area, strict=True)
    )
    return PageCrop((content[0] - height) // 2, (content[1] - width) // 2, height, width)


def _centered_crop(content: tuple[int, int], height: int, width: int) -> PageCrop:
    """Return the largest centered crop with the aspect ratio `height` : `width`."""
    crop_height, crop_width = _largest_size_within((height, width), *content)
    top, left = (content[0] - crop_height) // 2, (content[1] - crop_width) // 2
    return PageCrop(top, left, crop_height, crop_width)


def _largest_size_within(shape: tuple[int, int], height: int, width: int) -> tuple[int, int]:
    """Return the largest size of the aspect ratio of `shape` that fits: one side exact, the other rounded."""
    if shape[0] * width >= shape[1] * height:  # the shape is the taller of the two
        return height, min(width, max(1, round(height * shape[1] / shape[0])))
    return min(height, max(1, round(width * shape[0] / shape[1]))), width
