"""Print sizes: millimeters to pixels, and how a picture is placed on a sheet.

Only this module handles lengths in millimeters. `24x36in` means width by height, as everyone writes it; what
the module returns is height before width, as everywhere else.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from enum import StrEnum
from math import inf

from tilestyle.config.validation import check_fields, setting_error
from tilestyle.errors import SettingError, excerpt

MILLIMETERS = {"mm": 1.0, "cm": 10.0, "in": 25.4}
"""Millimeters of the supported units of length."""

# ISO 216, (short, long) in millimeters.
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
"""Default dots per inch of a print: the finest detail that the eye resolves at reading distance."""

_NUMBER, _UNIT, _ORIENTATION = r"\d+(?:\.\d+)?", "|".join(MILLIMETERS), r"(?:[ -](landscape|portrait))?"
_LENGTH = re.compile(rf"({_NUMBER})\s*({_UNIT})")
_SIDES = re.compile(rf"({_NUMBER})\s*[x×]\s*({_NUMBER})\s*({_UNIT}){_ORIENTATION}")
_NAME = re.compile(rf"({'|'.join(_A_SIZES)}){_ORIENTATION}", re.IGNORECASE)
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
    """

    height: float
    width: float
    turns: bool = False

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
    """Parse a print size: `24x36in`, `100x200cm`, `594x841mm`, or `A0` to `A6`; case does not matter.

    A suffix `-landscape` or `-portrait` fixes the orientation. A sizes without one turn to the content.

    Raises:
        SettingError: `text` is not a print size, or out of range.
    """
    plain = text.strip()
    if sides := _SIDES.fullmatch(plain.lower()):
        unit = MILLIMETERS[sides[3]]
        width, height, orientation, is_named = float(sides[1]) * unit, float(sides[2]) * unit, sides[4], False
    elif name := _NAME.fullmatch(plain):
        (width, height), orientation, is_named = _A_SIZES[name[1].upper()], name[2], True
    else:
        raise SettingError(
            f"invalid print size {excerpt(text)}", hint="give a size such as 24x36in, 594x841mm or A2"
        )
    if not 1 <= min(width, height) <= max(width, height) <= _MAX_MILLIMETERS:
        raise SettingError(f"print size {excerpt(text)} is out of range", hint="give 1 mm to 100 m per side")
    if orientation is None:
        return Paper(height, width, turns=is_named)
    short, long = sorted((height, width))
    return Paper(short, long) if orientation.lower() == "landscape" else Paper(long, short)


def parse_length(text: str, name: str = "length") -> float:
    """Parse `3mm`, `0.3cm` or `0.125in` and return millimeters.

    Raises:
        SettingError: `text` is not a length; the message calls it `name`.
    """
    match = _LENGTH.fullmatch(text.strip().lower())
    if match is None:
        raise SettingError(
            f"invalid {name} {excerpt(text)}", hint="give a number with a unit, such as 3mm, 0.3cm or 0.125in"
        )
    return float(match[1]) * MILLIMETERS[match[2]]


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
            f"stroke width {excerpt(text)} is {width:.4g} pixels, the picture's long side {long_side}",
            hint="give a width above 0 that fits the picture",
        )
    return width


def millimeters_to_pixels(length: float, dpi: float) -> int:
    """Convert millimeters to the nearest whole number of pixels."""
    return round(length / MILLIMETERS["in"] * dpi)


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
    if not 1 <= dpi <= 60000:
        raise SettingError(f"a resolution of {dpi:g} dpi is out of range", hint="use 1 to 60000")
    sheet = paper.oriented_for(content)
    if not 0 <= bleed <= min(sheet.height, sheet.width):
        raise SettingError(
            f"a bleed of {bleed:g} mm is out of range", hint="use 0 mm up to the short side of the paper"
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
