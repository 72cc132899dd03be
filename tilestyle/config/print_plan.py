"""How a finished picture lies on its print: what is cut off, folded back or mirrored, and panels.

A finished picture keeps its pixels: only their size on paper is chosen, never their number.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from itertools import pairwise
from math import ceil, floor

from tilestyle.config.paper import MILLIMETERS, PageCrop, Paper, cover_crop, format_length
from tilestyle.errors import SettingError

_ROUNDING = 0.001  # share of the dots per inch
_MOST_PANELS = 100
_STEPS = {"mm": 1.0, "cm": 1.0, "m": 10.0, "in": 2.54}  # millimeters to which a suggested width is rounded
_OFF_SHAPE = 0.05  # share by which whole pixels may change the shape of a print


class Edge(StrEnum):
    """Where the pixels come from that are cut off or folded back."""

    PICTURE = "picture"
    MIRROR = "mirror"


class Placing(StrEnum):
    """How a finished picture of another shape is placed; it is not stretched."""

    COVER = "cover"
    CONTAIN = "contain"


@dataclass(frozen=True, slots=True)
class PrintPlan:
    """A picture on its print.

    Attributes:
        crop: The part of the picture that is printed, in its pixels.
        added: Pixels that are mirrored at every edge of that part.
        dpi: Dots per inch of the print.
        trim: Pixels at every edge that are cut off.
        fold: Pixels at every edge from where it is folded; 0 without a fold.
    """

    crop: PageCrop
    added: int
    dpi: float
    trim: float
    fold: float

    @property
    def height(self) -> int:
        """Pixels of all that is printed."""
        return self.crop.height + 2 * self.added

    @property
    def width(self) -> int:
        """Pixels of all that is printed."""
        return self.crop.width + 2 * self.added


@dataclass(frozen=True, slots=True)
class PrintSize:
    """The size of a print.

    Attributes:
        paper: What is seen of the print from the front; None if the dots per inch decide.
        dpi: Dots per inch; None if the paper decides.
        fit: How a picture of another shape is placed: cover crops it, contain prints it smaller.
    """

    paper: Paper | None = None
    dpi: float | None = None
    fit: Placing = Placing.COVER


@dataclass(frozen=True, slots=True)
class PanelSpan:
    """The columns of a panel, in pixels of the print."""

    left: int
    width: int


def plan_print(
    picture: tuple[int, int],
    size: PrintSize,
    bleed: float = 0.0,
    wrap: float = 0.0,
    edge: Edge = Edge.PICTURE,
    unit: str = "mm",
) -> PrintPlan:
    """Place a finished picture on its print.

    Args:
        picture: Height and width in pixels.
        size: Size of the print.
        bleed: Millimeters at every edge that are cut off.
        wrap: Millimeters at every edge, inside the bleed, that are folded round the edge of a canvas.
        edge: Whether bleed and wrap are the edge of the picture, or a mirror image of it.
        unit: The unit of lengths in messages.

    Raises:
        SettingError: Neither paper nor dots per inch say how large the print is, or both do; or the picture is
            too narrow for it.
    """
    if (size.paper is None) == (size.dpi is None):
        if size.paper is None:
            raise SettingError("the picture does not say how large its print is", hint="give --print or --dpi")
        raise SettingError("--print and --dpi both set the size of the print", hint="give one of them")
    outer = bleed + wrap  # millimeters
    from_picture = outer if edge is Edge.PICTURE else 0.0  # millimeters
    crop, dpi = PageCrop(0, 0, *picture), size.dpi or 0.0
    if size.paper is not None:
        sheet = size.paper.oriented_for(picture)
        area = sheet.height + 2 * from_picture, sheet.width + 2 * from_picture
        crop = _crop(picture, area, size.fit)
        dpi = _dots_per_inch(crop, area, size.fit)
        _check_shape(crop, area, size.fit, picture)
    per_millimeter = dpi / MILLIMETERS["in"]
    if edge is Edge.MIRROR:
        added = ceil(outer * per_millimeter - 1e-6)  # never less than asked for
        return PrintPlan(crop, added, dpi, added - wrap * per_millimeter, float(added) if wrap else 0.0)
    trim, fold = bleed * per_millimeter, outer * per_millimeter
    if 2 * fold >= min(crop.height, crop.width):
        raise SettingError(
            f"bleed and wrap of {format_length(outer, unit)} leave nothing of the picture",
            hint="give --edge mirror, or less",
        )
    return PrintPlan(crop, 0, dpi, trim, fold if wrap else 0.0)


def check_panels(
    width: float, panel: float, overlap: float, unit: str = "mm", overlap_unit: str = "mm"
) -> None:
    """Raise SettingError for panels that nobody would hang, with lengths to give instead.

    Args:
        width: Width of the print, millimeters.
        panel: Largest width of a panel, millimeters.
        overlap: What two neighbors share, millimeters.
        unit: The unit of lengths in messages.
        overlap_unit: That of the overlap.
    """
    if width <= panel:
        return
    step = _STEPS[unit]
    enough = step * ceil(max(2 * overlap, (width - overlap) / _MOST_PANELS + overlap) / step)
    enough_panels = f"--panels {_typed(enough, unit)} or more"
    if 2 * overlap > panel:
        less = step / 10 * floor(panel / 2 / (step / 10))
        raise SettingError(
            f"panels of {format_length(panel, unit)} would overlap by {format_length(overlap, overlap_unit)}, "
            "more than half of their width",
            hint=f"give --panel-overlap {_typed(less, unit)} or less, or {enough_panels}"
            if less >= 1
            else f"give {enough_panels}",
        )
    if width - overlap > _MOST_PANELS * (panel - overlap):
        raise SettingError(
            f"a print of {format_length(width, unit)} would have more than {_MOST_PANELS} panels "
            f"of {format_length(panel, unit)}",
            hint=f"give {enough_panels}",
        )


def _typed(millimeters: float, unit: str) -> str:
    """A length as the value of an option: 2.5cm."""
    return format_length(millimeters, unit).replace(" ", "")


def panel_spans(width: int, largest: int, overlap: int) -> list[PanelSpan]:
    """Cut a print into panels of almost the same width, which overlap.

    Args:
        width: Width of the print, pixels.
        largest: Largest width of a panel, pixels.
        overlap: Pixels that two neighbors share.

    Raises:
        SettingError: The panels are no wider than their overlap, in whole pixels.
    """
    if width <= largest:
        return [PanelSpan(0, width)]
    if largest <= overlap:
        raise SettingError("the panels would not be wider than their overlap", hint="give wider --panels")
    count = ceil((width - overlap) / (largest - overlap))
    starts = [round(number * (width - overlap) / count) for number in range(count + 1)]
    return [PanelSpan(start, following - start + overlap) for start, following in pairwise(starts)]


def _crop(picture: tuple[int, int], area: tuple[float, float], fit: Placing) -> PageCrop:
    """Return the part of a picture that covers an area, both height before width; `contain` keeps all of it."""
    height, width = picture
    if fit is Placing.CONTAIN:
        return PageCrop(0, 0, height, width)
    # Half a pixel of difference is rounding, as in a picture that was rendered for this paper.
    if abs(height * area[1] / area[0] - width) < 1 or abs(width * area[0] / area[1] - height) < 1:
        return PageCrop(0, 0, height, width)
    return cover_crop(picture, area)


def _check_shape(crop: PageCrop, area: tuple[float, float], fit: Placing, picture: tuple[int, int]) -> None:
    """Raise SettingError if so few pixels are left of a narrow picture that the print has another shape."""
    ratio = (crop.width / crop.height) / (area[1] / area[0])
    if fit is Placing.COVER and not 1 - _OFF_SHAPE < ratio < 1 + _OFF_SHAPE:
        raise SettingError(
            f"a picture of {picture[1]} x {picture[0]} pixels is too narrow to fill this print",
            hint="give --fit contain, or a --print of its shape",
        )


def _dots_per_inch(crop: PageCrop, area: tuple[float, float], fit: Placing) -> float:
    """Return the dots per inch at which the crop fills the area; a whole number where rounding explains it."""
    down, across = crop.height / area[0] * MILLIMETERS["in"], crop.width / area[1] * MILLIMETERS["in"]
    at_long_side = across if crop.width > crop.height else down
    dpi = max(down, across) if fit is Placing.CONTAIN else at_long_side
    rounded_dpi = round(dpi)
    height, width = (length / MILLIMETERS["in"] * rounded_dpi for length in area)
    errors = abs(height - crop.height), abs(width - crop.width)  # pixels
    error = min(errors) if fit is Placing.CONTAIN else max(errors)
    return float(rounded_dpi) if error < 1.5 and abs(rounded_dpi - dpi) < _ROUNDING * dpi else dpi
