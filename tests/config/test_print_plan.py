"""Finished pictures on their prints, in millimeters; panels that make up the whole."""

from __future__ import annotations

import re
from contextlib import suppress

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tilestyle.config.paper import dpi_at_distance, fit_to_paper, parse_length, parse_paper, parse_scale
from tilestyle.config.print_plan import Edge, Placing, PrintSize, check_panels, panel_spans, plan_print
from tilestyle.errors import SettingError

MM = 25.4


def test_a_picture_on_its_paper() -> None:
    plan = plan_print((2000, 3000), PrintSize(parse_paper("300x200mm")))
    assert plan.dpi == pytest.approx(254) and (plan.trim, plan.fold, plan.added) == (0, 0, 0)
    assert (plan.height, plan.width) == (2000, 3000)


def test_bleed_of_the_picture_itself() -> None:
    plan = plan_print((2060, 3060), PrintSize(parse_paper("300x200mm")), bleed=3)
    assert plan.dpi == pytest.approx(254)
    assert plan.trim / plan.dpi * MM == pytest.approx(3, abs=1e-6)
    assert (plan.width - 2 * plan.trim) / plan.dpi * MM == pytest.approx(300, abs=1e-6)


@pytest.mark.parametrize("bleed", [0.0, 3.0, 5.0])
@pytest.mark.parametrize("dpi", [100.0, 150.0, 300.0])
def test_a_render_for_a_paper_has_its_own_dpi_again(dpi: float, bleed: float) -> None:
    layout = fit_to_paper(parse_paper("24x36in"), dpi, bleed=bleed)
    plan = plan_print((layout.height, layout.width), PrintSize(parse_paper("24x36in")), bleed=bleed)
    assert plan.dpi == dpi
    assert (plan.crop.height, plan.crop.width) == (layout.height, layout.width)
    assert plan.trim == pytest.approx(layout.bleed, abs=0.51)


@pytest.mark.parametrize("wrap", [25.4, 40.0, 76.2])
def test_wraps_carried_on_and_mirrored(wrap: float) -> None:
    size = PrintSize(parse_paper("600x400mm"))
    own = plan_print((4000, 6000), size, bleed=5, wrap=wrap)
    assert own.added == 0
    assert (own.fold - own.trim) / own.dpi * MM == pytest.approx(wrap, abs=1e-6)
    assert (own.width - 2 * own.fold) / own.dpi * MM == pytest.approx(600, abs=0.5)
    mirrored = plan_print((4000, 6000), size, bleed=5, wrap=wrap, edge=Edge.MIRROR)
    assert (mirrored.crop.height, mirrored.crop.width) == (4000, 6000)
    assert mirrored.dpi == pytest.approx(254)
    assert 0 <= mirrored.trim / mirrored.dpi * MM - 5 < 0.1  # a pixel more, never less
    assert (mirrored.fold - mirrored.trim) / mirrored.dpi * MM == pytest.approx(wrap, abs=1e-6)
    assert mirrored.width == 6000 + 2 * mirrored.added


def test_other_shapes() -> None:
    square = PrintSize(parse_paper("300x300mm"))
    plan = plan_print((2000, 3000), square)
    assert (plan.crop.left, plan.crop.width, plan.crop.height) == (500, 2000, 2000)
    whole = plan_print((2000, 3000), PrintSize(parse_paper("300x300mm"), fit=Placing.CONTAIN))
    assert (whole.crop.width, whole.crop.height) == (3000, 2000)
    assert whole.dpi == pytest.approx(254)
    turned = plan_print((3000, 2000), PrintSize(parse_paper("A4")))
    assert turned.crop.height > turned.crop.width


def test_sizes_by_dots_per_inch() -> None:
    plan = plan_print((100, 200), PrintSize(dpi=25.4), bleed=2, edge=Edge.MIRROR)
    assert (plan.added, plan.trim, plan.fold, plan.dpi) == (2, 2, 0, 25.4)


def test_what_cannot_be_printed() -> None:
    paper = parse_paper("300x200mm")
    for size, message in (
        (PrintSize(), "give --print or --dpi"),
        (PrintSize(paper, 300.0), "give one of them"),
    ):
        with pytest.raises(SettingError, match=message):
            plan_print((200, 300), size)
    with pytest.raises(SettingError, match="leave nothing of the picture; give --edge mirror"):
        plan_print((200, 300), PrintSize(dpi=25.4), wrap=100)


@given(st.integers(1, 5000), st.integers(2, 3000), st.data())
def test_panels_side_by_side_are_the_whole(width: int, largest: int, data: st.DataObject) -> None:
    overlap = data.draw(st.integers(0, largest - 1))
    spans = panel_spans(width, largest, overlap)
    columns = np.arange(width)
    parts = [columns[each.left : each.left + each.width] for each in spans]
    assert all(len(part) == each.width <= largest for part, each in zip(parts, spans, strict=True))
    joined = np.concatenate([parts[0], *(part[overlap:] for part in parts[1:])])
    np.testing.assert_array_equal(joined, columns)
    if len(spans) > 1:
        assert max(each.width for each in spans) - min(each.width for each in spans) <= 1
        assert (len(spans) - 1) * (largest - overlap) + overlap < width  # one fewer would not do


@pytest.mark.parametrize("size", [(5000, 1), (1, 5000)])
def test_a_print_is_not_of_another_shape_than_was_asked_for(size: tuple[int, int]) -> None:
    with pytest.raises(SettingError, match="too narrow to fill"):
        plan_print(size, PrintSize(parse_paper("300x200mm")))
    plan_print(size, PrintSize(parse_paper("300x200mm"), fit=Placing.CONTAIN))


@given(st.floats(1, 10000), st.floats(0, 3000), st.floats(0, 3000))
def test_what_a_message_about_panels_says_to_type_works(width: float, panel: float, overlap: float) -> None:
    try:
        check_panels(width, panel, overlap)
    except SettingError as error:
        ways = dict(re.findall(r"--(panels|panel-overlap) ([\d.e+]+mm)", str(error)))
        assert "panels" in ways
        check_panels(width, parse_length(ways["panels"]), overlap)
        if "panel-overlap" in ways:  # another message may follow: there may be many of them
            with suppress(SettingError):
                check_panels(width, panel, parse_length(ways["panel-overlap"]))
            assert 2 * parse_length(ways["panel-overlap"]) <= panel
    else:
        assert panel >= width or (2 * overlap <= panel and (width - overlap) / (panel - overlap) <= 100.001)


@pytest.mark.parametrize(
    ("panel", "overlap", "message"),
    [
        (0, 0, "more than 100 panels of 0 mm; give --panels 6mm or more"),
        (0, 15, "give --panels 30mm or more"),
        (10, 15, "give --panel-overlap 5mm or less, or --panels 30mm or more"),
        (
            200,
            200,
            "would overlap by 200 mm, more than half of their width; give --panel-overlap 100mm or less",
        ),
        (1, 0, "more than 100 panels of 1 mm; give --panels 6mm or more"),
    ],
)
def test_panels_that_nobody_would_hang(panel: float, overlap: float, message: str) -> None:
    with pytest.raises(SettingError) as caught:
        check_panels(600, panel, overlap)
    assert message in str(caught.value)


def test_panels_are_spoken_of_in_their_own_units() -> None:
    with pytest.raises(SettingError) as caught:
        check_panels(3048, 25.4, 15, "in")
    assert str(caught.value).startswith("panels of 1 in would overlap by 15 mm, more than half of their width")
    ways = re.findall(r"--panels (\S+in)|--panel-overlap (\S+in)", str(caught.value))
    assert len(ways) == 2
    check_panels(3048, parse_length(ways[1][0]), 15)
    with pytest.raises(SettingError, match=r"a print of 10 m would have more than 100 panels of 0.01 m"):
        check_panels(10_000, 10, 0, "m")
    with pytest.raises(SettingError, match="bleed and wrap of 20 in leave nothing"):
        plan_print((200, 300), PrintSize(dpi=10), wrap=508, unit="in")


def test_panels_narrower_than_their_overlap() -> None:
    with pytest.raises(SettingError, match="give wider --panels"):
        panel_spans(1000, 20, 20)


def test_dots_per_inch_by_distance() -> None:
    assert dpi_at_distance(parse_length("2m")) == 90
    assert dpi_at_distance(parse_length("1.5m")) == 120
    assert dpi_at_distance(parse_length("30cm")) == 300  # no more than in a book
    assert dpi_at_distance(parse_length("1000m")) == 1
    for wrong in ("1mm", "2000m"):
        with pytest.raises(SettingError, match="out of range"):
            dpi_at_distance(parse_length(wrong))


def test_scales() -> None:
    assert parse_scale("1:10") == 10 and parse_scale(" 1 : 1 ") == 1 and parse_scale("2:5") == 2.5
    for wrong in ("10", "10:1", "1:0", "0:1", "1:10000", "a:b", ""):
        with pytest.raises(SettingError, match="give 1:10"):
            parse_scale(wrong)
