"""Strokes: widths that are known, at sizes that do not matter."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest

from tilestyle.cli.inputs import MAX_ENLARGEMENT
from tilestyle.errors import PictureError
from tilestyle.images import FloatArray, Picture, as_source, read_picture
from tilestyle.pictures import picture_path
from tilestyle.recipes.stroke_width import stroke_width

WIDTHS = [4, 8, 16, 32, 64]


def gray(plane: FloatArray) -> Picture:
    return Picture(np.repeat(plane[..., None], 3, axis=2).astype(np.float32), name="gray")


def measured(plane: FloatArray) -> float:
    return stroke_width(as_source(gray(plane)))


def stripes(width: float, side: int = 1024) -> FloatArray:
    """Stripes as wide as their gaps, at a slant."""
    y, x = np.mgrid[:side, :side]
    place = np.abs((x * np.cos(0.4) + y * np.sin(0.4)) / width % 2 - 1) - 0.5
    plane: FloatArray = np.clip(0.5 - place * width, 0, 1).astype(np.float32)
    return plane


def dabs(width: float, side: int = 1024, seed: int = 0) -> FloatArray:
    """Dabs of all tones, five times as long as wide, in every direction, over one another."""
    random = np.random.default_rng(seed)
    plane = np.full((side, side), 0.5, np.float32)
    reach, seen_to = int(3.5 * width), int(2.5 * width) + 2
    for _ in range(int(0.7 * (side / width) ** 2) + 20):
        (row, column), angle = random.integers(-reach, side + reach, 2), random.uniform(0, np.pi)
        top, left = max(0, row - seen_to), max(0, column - seen_to)
        bottom, right = min(side, row + seen_to), min(side, column + seen_to)
        tone = random.random()
        if top >= bottom or left >= right:
            continue
        y, x = np.ogrid[np.float32(top) : bottom, np.float32(left) : right]
        along = (x - column) * np.cos(angle) + (y - row) * np.sin(angle)
        across = (x - column) * -np.sin(angle) + (y - row) * np.cos(angle)
        far = np.hypot(np.maximum(np.abs(along) - 2 * width, 0), across) - width / 2
        seen = np.clip(0.5 - far, 0, 1)
        part = plane[top:bottom, left:right]
        part += (tone - part) * seen.astype(np.float32)
    return plane


def test_stripes_are_as_wide_as_they_are() -> None:
    assert [measured(stripes(width)) / width for width in WIDTHS] == pytest.approx([1] * 5, rel=0.05)


def test_dabs_are_told_in_proportion() -> None:
    ratios = np.array([measured(dabs(width)) / width for width in WIDTHS[1:]])
    assert ratios == pytest.approx(np.full(4, ratios.mean()), rel=0.15)
    assert 0.7 < ratios.mean() < 1.1


@pytest.mark.parametrize("factor", [0.25, 0.5, 2])
def test_a_picture_twice_as_large_has_strokes_twice_as_wide(factor: float) -> None:
    plane = stripes(30, 1536)
    side = round(1536 * factor)
    if factor > 1:
        scaled = plane.repeat(2, axis=0).repeat(2, axis=1)
    else:
        scaled = as_source(gray(plane)).downsample(side, side).pixels[..., 0]
    assert measured(scaled) == pytest.approx(factor * measured(plane), rel=0.02)


def test_the_light_does_not_matter() -> None:
    plane = dabs(16, 512)
    assert measured(0.2 + 0.3 * plane) == pytest.approx(measured(plane), rel=1e-3)


@pytest.mark.parametrize(("name", "least", "most"), [("woodcut", 3, 8), ("swirls", 18, 45), ("weave", 10, 30)])
def test_styles_that_come_along(name: str, least: float, most: float) -> None:
    assert least < stroke_width(as_source(read_picture(picture_path(name)))) < most


def test_the_widest_strokes_of_the_included_styles_that_printing_md_names() -> None:
    lines = (Path(__file__).parents[2] / "docs" / "printing.md").read_text(encoding="utf-8").splitlines()
    start = next(number for number, line in enumerate(lines) if " swirls |" in line)
    names, values = ([cell.strip() for cell in lines[n].strip("|").split("|")] for n in (start, start + 2))
    assert len(names) == len(values) == 9
    for name, value in zip(names, values, strict=True):
        millimeters = stroke_width(as_source(read_picture(picture_path(name)))) * MAX_ENLARGEMENT / 300 * 25.4
        assert math.floor(millimeters * 10) / 10 == float(value), name


def test_strips_and_pictures_of_nothing() -> None:
    assert 0 < measured(np.random.default_rng(0).random((1, 700), np.float32)) < 700
    with pytest.raises(PictureError, match="no strokes"):
        measured(np.full((9, 9), 0.3, np.float32))
