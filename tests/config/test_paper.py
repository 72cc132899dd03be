"""Paper: every way of writing a size, and layouts that keep their promises for any shape."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from tilestyle.config.paper import (
    Fit,
    PageCrop,
    PageLayout,
    Paper,
    cropped_share,
    fit_to_paper,
    format_area,
    format_length,
    parse_length,
    parse_paper,
    turned_spelling,
    unit_of,
)
from tilestyle.errors import SettingError

SIDES = st.integers(1, 5000)
MILLIMETERS = st.floats(5, 5000)


@pytest.mark.parametrize(
    ("text", "height", "width", "turns"),
    [
        ("24x36in", 914.4, 609.6, False),
        ("36x24IN", 609.6, 914.4, False),
        ("100x200cm", 2000, 1000, False),
        ("594x841mm", 841, 594, False),
        (" 8.5 × 11 in ", 279.4, 215.9, False),
        ("24x36in-landscape", 609.6, 914.4, False),
        ("36x24in portrait", 914.4, 609.6, False),
        ("A0", 1189, 841, True),
        ("a6", 148, 105, True),
        ("A3-landscape", 297, 420, False),
        ("a3 Portrait", 420, 297, False),
        ("Letter", 279.4, 215.9, True),
        ("legal", 355.6, 215.9, True),
        ("TABLOID-landscape", 279.4, 431.8, False),
        ("A3+", 483, 329, True),
        ("a3+ landscape", 329, 483, False),
        ("b2", 707, 500, True),
        ("4x6", 152.4, 101.6, True),
        ("6x4", 152.4, 101.6, True),
        ("10 x 15", 150, 100, True),
    ],
)
def test_sizes_that_are_understood(text: str, height: float, width: float, turns: bool) -> None:
    paper = parse_paper(text)
    assert (paper.height, paper.width) == pytest.approx((height, width))
    assert paper.turns == turns


@pytest.mark.parametrize(
    "text", ["", "24x36", "24in", "x36in", "-1x3in", "A7", "A", "1e3x2cm", "24x36ft", "nanxnanin"]
)
def test_sizes_that_are_not(text: str) -> None:
    with pytest.raises(SettingError, match=r"invalid print size .*; give a size such as 24x36in") as caught:
        parse_paper(text)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("text", "meant"), [("leter", "letter"), ("Tabliod", "tabloid"), ("leagl-landscape", "legal")]
)
def test_misspelled_names_are_understood(text: str, meant: str) -> None:
    with pytest.raises(SettingError, match=rf"invalid print size .*; did you mean {meant}\?"):
        parse_paper(text)


def test_what_is_no_paper_gets_all_papers() -> None:
    with pytest.raises(
        SettingError, match=r"invalid print size 'x'; give a size such as .* A0 to A6, .* letter"
    ):
        parse_paper("x")


@pytest.mark.parametrize(
    ("text", "turned"),
    [
        ("24x36in", "36x24in"),
        ("8.5 × 11 in", "11x8.5in"),
        ("24x36in-landscape", "24x36in-portrait"),
        ("A4-portrait", "A4"),
        ("A4", None),
        ("4x6", None),
    ],
)
def test_how_a_turned_paper_is_typed(text: str, turned: str | None) -> None:
    assert turned_spelling(text) == turned
    if turned:
        before, after = parse_paper(text).oriented_for((2, 3)), parse_paper(turned).oriented_for((2, 3))
        assert (after.height, after.width) == (before.width, before.height)


def test_the_share_that_is_cropped() -> None:
    paper = Paper(200, 100)
    for fit, share in ((Fit.COVER, 0.75), (Fit.CONTAIN, 0), (Fit.EXACT, 0)):
        assert cropped_share(fit_to_paper(paper, 254, (500, 1000), fit), (500, 1000)) == pytest.approx(share)
    assert cropped_share(fit_to_paper(paper, 254), (500, 1000)) == 0


@pytest.mark.parametrize("text", ["0x3in", "0.5x10mm", "100x20000cm"])
def test_sizes_out_of_range(text: str) -> None:
    with pytest.raises(SettingError, match="out of range"):
        parse_paper(text)


def test_lengths() -> None:
    assert [parse_length(text) for text in ("3mm", "0.3 cm", "0.125in", "0mm")] == [3, 3, 3.175, 0]
    with pytest.raises(SettingError, match="invalid panels") as refusal:
        parse_length("120", "panels")
    assert refusal.value.hint and "120cm" in refusal.value.hint
    for text in ("3", "mm", "-3mm", "3 feet"):
        with pytest.raises(SettingError, match="invalid length"):
            parse_length(text)


@pytest.mark.parametrize(
    ("text", "unit"),
    [
        ("24x36in", "in"),
        ("20 x 30 CM-landscape", "cm"),
        ("3x2m", "m"),
        ("594x841mm", "mm"),
        ("A2", "mm"),
        ("letter-portrait", "in"),
        ("6x4", "in"),
        ("10x15", "cm"),
        ("0.125in", "in"),
        ("4cm", "cm"),
    ],
)
def test_the_unit_in_which_a_size_was_given(text: str, unit: str) -> None:
    assert unit_of(text) == unit


def test_lengths_are_written_in_their_unit() -> None:
    assert format_length(3.175, "in") == "0.125 in"
    assert format_length(3, "mm") == "3 mm"
    assert format_area(609.6, 914.4, "in", coarse=True) == "24 x 36 in"
    assert format_area(593.96, 420.04, "mm", coarse=True) == "594 x 420 mm"
    assert format_area(10_000, 2000.4, "m", coarse=True) == "10 x 2 m"


def test_the_poster_everyone_asks_for() -> None:
    layout = fit_to_paper(parse_paper("24x36in"), 300, (1500, 1000))
    assert layout == PageLayout(10800, 7200, 0, 300, PageCrop(0, 0, 1500, 1000))
    bled = fit_to_paper(parse_paper("24x36in"), 300, (1500, 1000), bleed=3)
    assert (bled.height, bled.width, bled.bleed) == (10870, 7270, 35)
    wide = fit_to_paper(parse_paper("24x36in"), 300, (1000, 1500))
    assert wide.crop == PageCrop(0, 416, 1000, 667)


def test_named_sizes_turn_to_the_content() -> None:
    for text, lying in (("A4", True), ("A4-portrait", False), ("210x297mm", False)):
        layout = fit_to_paper(parse_paper(text), 300, (1000, 1500))
        assert (layout.width > layout.height) == lying
    for content in (None, (800, 800)):
        layout = fit_to_paper(parse_paper("A4"), 300, content)
        assert (layout.height, layout.width) == (3508, 2480)


@given(MILLIMETERS, MILLIMETERS, SIDES, SIDES, st.booleans(), st.floats(30, 600), st.floats(0, 5))
def test_cover(
    height: float, width: float, rows: int, columns: int, turns: bool, dpi: float, bleed: float
) -> None:
    paper = Paper(height, width, turns)
    layout = fit_to_paper(paper, dpi, (rows, columns), Fit.COVER, bleed)
    sheet = paper.oriented_for((rows, columns))
    assert abs(layout.height - (sheet.height + 2 * bleed) / 25.4 * dpi) <= 1.5
    assert abs(layout.width - (sheet.width + 2 * bleed) / 25.4 * dpi) <= 1.5
    crop = layout.crop
    assert crop is not None
    assert crop.top >= 0 and crop.top + crop.height <= rows
    assert crop.left >= 0 and crop.left + crop.width <= columns
    assert crop.height == rows or crop.width == columns  # as large as can be
    assert abs(crop.top - (rows - crop.top - crop.height)) <= 1  # in the middle
    assert abs(crop.left - (columns - crop.left - crop.width)) <= 1
    assume(min(crop.height, crop.width) > 1)
    if crop.height == rows:
        assert abs(crop.width - rows * layout.width / layout.height) <= 0.5 + 1e-6 or crop.width == columns
    else:
        assert abs(crop.height - columns * layout.height / layout.width) <= 0.5 + 1e-6


@given(MILLIMETERS, MILLIMETERS, SIDES, SIDES, st.floats(30, 600))
def test_contain(height: float, width: float, rows: int, columns: int, dpi: float) -> None:
    paper = Paper(height, width)
    layout = fit_to_paper(paper, dpi, (rows, columns), Fit.CONTAIN)
    sheet = fit_to_paper(paper, dpi)
    assert layout.crop == PageCrop(0, 0, rows, columns)
    assert layout.height <= sheet.height and layout.width <= sheet.width
    assert layout.height == sheet.height or layout.width == sheet.width
    assume(min(layout.height, layout.width) > 1)
    if layout.height == sheet.height:
        assert abs(layout.width - layout.height * columns / rows) <= 0.5 + 1e-6
    else:
        assert abs(layout.height - layout.width * rows / columns) <= 0.5 + 1e-6


@given(MILLIMETERS, MILLIMETERS, SIDES, SIDES, st.floats(30, 600))
def test_exact(height: float, width: float, rows: int, columns: int, dpi: float) -> None:
    layout = fit_to_paper(Paper(height, width), dpi, (rows, columns), Fit.EXACT)
    sheet = fit_to_paper(Paper(height, width), dpi)
    assert (layout.height, layout.width) == (sheet.height, sheet.width)
    assert layout.crop == PageCrop(0, 0, rows, columns)


@given(MILLIMETERS, MILLIMETERS, SIDES, SIDES)
def test_all_fits_agree_on_the_sheet_s_own_shape(height: float, width: float, rows: int, columns: int) -> None:
    layout = fit_to_paper(Paper(height, width), 300)
    content = (layout.height, layout.width)
    found = {fit_to_paper(Paper(height, width), 300, content, fit) for fit in Fit}
    assert found == {PageLayout(*content, 0, 300, PageCrop(0, 0, *content))}


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"dpi": 0.5}, "out of range"),
        ({"dpi": float("nan")}, "out of range"),
        ({"dpi": 300, "bleed": -1}, "bleed of -1 mm"),
        ({"dpi": 300, "bleed": 300}, "bleed of 300 mm"),
    ],
)
def test_settings_that_make_no_sense(arguments: dict[str, Any], message: str) -> None:
    with pytest.raises(SettingError, match=message):
        fit_to_paper(parse_paper("A4"), **arguments)


def test_a_print_without_pixels() -> None:
    with pytest.raises(SettingError, match="give a higher --dpi"):
        fit_to_paper(Paper(10, 10), 1)
