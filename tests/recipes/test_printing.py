"""Print: what paper, ink and strokes come to before anything is rendered."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import pyvips
from numpy.testing import assert_array_equal

from tests.conftest import waves
from tilestyle.config.paper import Fit, parse_paper, stroke_pixels
from tilestyle.config.render import RenderConfig
from tilestyle.errors import SettingError
from tilestyle.images import FloatArray, ImageSource, Picture, Proof, as_source, read_all
from tilestyle.recipes.printing import PrintOptions, prepare_inputs
from tilestyle.recipes.stroke_width import stroke_width

CONFIG = RenderConfig()


def source(height: int, width: int, seed: int = 0) -> ImageSource:
    return as_source(Picture(waves(height, width, seed).permute(1, 2, 0).numpy(), name=f"{seed}.png"))


def striped(width: float = 20, side: int = 1024) -> ImageSource:
    """A style with stripes of a known width, and gaps as wide."""
    plane: FloatArray = np.tile((np.arange(side) // width % 2).astype(np.float32), (side, 1))
    return as_source(Picture(np.repeat(plane[..., None], 3, axis=2), name="stripes"))


def test_without_paper_sizes_are_as_ever() -> None:
    found = prepare_inputs(replace(CONFIG, size=90), source(50, 40), source(60, 80))
    assert (found.height, found.width, found.dpi) == (68, 90, None)
    assert found.config == replace(CONFIG, size=90)
    assert found.style_enlargement == pytest.approx(90 / 50)
    assert prepare_inputs(CONFIG, source(50, 40), options=PrintOptions(dpi=120)).dpi == 120


def test_paper_says_the_size_and_the_crop() -> None:
    paper = parse_paper("60x40mm")
    found = prepare_inputs(CONFIG, source(50, 40), source(60, 60), PrintOptions(paper, 254, bleed=1))
    assert (found.width, found.height) == found.config.size == (620, 420)
    assert found.content is not None and found.first_style is not None
    assert (found.content.height, found.content.width) == (41, 60)
    assert found.dpi == 254
    assert_array_equal(found.content.read(0, 0, 41, 60), source(60, 60).read(9, 0, 41, 60))
    found = prepare_inputs(CONFIG, source(50, 40), source(60, 60), PrintOptions(paper, 254, Fit.CONTAIN))
    assert (found.height, found.width) == (400, 400)
    assert prepare_inputs(CONFIG, source(50, 40), None, PrintOptions(paper)).dpi == 300


@pytest.mark.parametrize("stroke", ["4mm", "2%"])
def test_strokes_come_out_as_wide_as_was_asked(stroke: str) -> None:
    style = striped()
    printing = PrintOptions(parse_paper("200x100mm"), 254, stroke=stroke)  # 2000 x 1000
    share = stroke_width(style) / 1024
    found = prepare_inputs(CONFIG, style, source(60, 120), printing)
    # A render shows the style scale times as long as the picture, a texture at its own pixels.
    assert found.config.style_scale * 2000 * share == pytest.approx(40)
    assert found.config.enlarge_style
    assert found.style_enlargement == pytest.approx(2, rel=0.05)
    made = prepare_inputs(CONFIG, style, None, printing)
    assert made.config.style_scale * stroke_width(style) == pytest.approx(40)
    assert made.style_enlargement == pytest.approx(2, rel=0.05)


def test_all_is_seen_as_printed() -> None:
    proof = Proof(bytes(pyvips.Operation.call("profile_load", "cmyk")))
    content, style = source(60, 80), source(50, 40, 1)
    found = prepare_inputs(CONFIG, style, content, PrintOptions(proof=proof))
    assert found.content is not None and found.first_style is not None
    assert_array_equal(read_all(found.content).pixels, proof(read_all(content).pixels))
    assert_array_equal(read_all(found.first_style).pixels, proof(read_all(style).pixels))
    assert_array_equal(read_all(found.soft_proof(content)).pixels, proof(read_all(content).pixels))
    plain = prepare_inputs(CONFIG, style, content)
    assert plain.soft_proof(content) is content


def test_what_is_hidden_is_filled_and_stays_hidden() -> None:
    pixels = np.zeros((40, 40, 3), np.float32)
    pixels[:, :20] = 0.8
    alpha = np.zeros((40, 40), np.float32)
    alpha[:, :20] = 1
    hidden = as_source(Picture(pixels, alpha))
    found = prepare_inputs(CONFIG, hidden, hidden)
    assert found.content is not None and found.first_style is not None
    for shown in (read_all(found.content), read_all(found.first_style)):
        assert np.abs(shown.pixels - 0.8).max() < 1e-5
        assert shown.alpha is not None
        assert_array_equal(shown.alpha, alpha)


@pytest.mark.parametrize(
    ("config", "printing", "message"),
    [
        (replace(CONFIG, size=9), PrintOptions(parse_paper("A4")), "print and size both"),
        (CONFIG, PrintOptions(bleed=3), "give --print"),
        (CONFIG, PrintOptions(stroke="4mm"), "give --print or --dpi"),
        (CONFIG, PrintOptions(stroke="4"), "invalid stroke width"),
        (CONFIG, PrintOptions(stroke="0%"), "fits the picture"),
        (CONFIG, PrintOptions(stroke="120%"), "fits the picture"),
        (replace(CONFIG, style_scale=0.5), PrintOptions(stroke="1%"), "give one of them"),
        (CONFIG, PrintOptions(parse_paper("A4"), dpi=0.5), "out of range"),
    ],
)
def test_contradictions(config: RenderConfig, printing: PrintOptions, message: str) -> None:
    with pytest.raises(SettingError, match=message):
        prepare_inputs(config, striped(), source(60, 80), printing)


def test_widths_of_strokes() -> None:
    assert stroke_pixels(" 0.5 % ", 4000, None) == 20
    assert stroke_pixels("25.4mm", 4000, 100) == 100
    assert stroke_pixels("0.5IN", 4000, 100) == 50
