"""Sources made of others: windows that fit together, and smaller copies that agree with them."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import pyvips
import tifffile
from hypothesis import given
from hypothesis import strategies as st
from numpy.testing import assert_allclose, assert_array_equal

from tests.conftest import waves
from tilestyle.errors import PictureError
from tilestyle.images import (
    ImageSource,
    Picture,
    Proof,
    area_average,
    as_source,
    bilinear_window,
    crop_source,
    fill_transparent,
    open_source,
    read_all,
    soft_proof,
)
from tilestyle.images.alpha import fill_transparent_pixels

HEIGHT, WIDTH = 120, 170


def disc(height: int = HEIGHT, width: int = WIDTH) -> Picture:
    """A picture seen inside a disc with a soft edge; black where it is hidden."""
    pixels = waves(height, width).permute(1, 2, 0).numpy()
    y, x = np.mgrid[:height, :width]
    far = np.hypot(y - height / 2, x - width / 2) - 0.3 * min(height, width)
    alpha = np.clip(0.5 - far / 3, 0, 1).astype(np.float32)
    return Picture(np.where(alpha[..., None] > 0, pixels, np.float32(0)), alpha, name="disc.png")


def press() -> Proof:
    return Proof(bytes(pyvips.Operation.call("profile_load", "cmyk")))


KINDS: dict[str, Callable[[ImageSource], ImageSource]] = {
    "cropped": lambda source: crop_source(source, 20, 30, 90, 110),
    "proofed": lambda source: soft_proof(source, press()),
    "filled": fill_transparent,
    "all": lambda source: soft_proof(fill_transparent(crop_source(source, 20, 30, 90, 110)), press()),
}


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("side", [8, 1024])
def test_windows_are_those_of_the_whole(kind: str, side: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tilestyle.images.source_filters._FILL_SIDE", side)
    source = KINDS[kind](as_source(disc()))
    whole = read_all(source)
    assert (whole.height, whole.width, whole.name) == (source.height, source.width, "disc.png")
    assert whole.alpha is not None
    for top, left, height, width in [(0, 0, 1, 1), (10, 20, 64, 64), (source.height - 9, 3, 9, 50)]:
        part = np.s_[top : top + height, left : left + width]
        assert_allclose(source.read(top, left, height, width), whole.pixels[part], atol=1e-6)
        alpha = source.alpha(top, left, height, width)
        assert alpha is not None
        assert_array_equal(alpha, whole.alpha[part])
    small = source.downsample(20, 25)
    assert (small.height, small.width) == (20, 25) and small.alpha is not None
    with pytest.raises(PictureError, match="smaller than"):
        source.downsample(source.height + 1, 10)


def test_a_crop_is_the_part_and_shrinks_as_it_would() -> None:
    picture = disc()
    assert picture.alpha is not None
    source = crop_source(as_source(picture), 20, 30, 90, 110)
    part = Picture(picture.pixels[20:110, 30:140].copy(), picture.alpha[20:110, 30:140].copy())
    assert_array_equal(read_all(source).pixels, part.pixels)
    assert_allclose(source.downsample(30, 40).pixels, area_average(part, 30, 40).pixels, atol=1e-6)
    whole = as_source(picture)
    assert crop_source(whole, 0, 0, HEIGHT, WIDTH) is whole


def test_a_proof_is_that_of_the_pixels() -> None:
    picture, proof = disc(), press()
    assert_array_equal(read_all(soft_proof(as_source(picture), proof)).pixels, proof(picture.pixels))


def test_small_pictures_are_filled_as_a_whole_is() -> None:
    picture = disc()
    assert picture.alpha is not None
    whole = read_all(fill_transparent(as_source(picture)))
    assert_allclose(whole.pixels, fill_transparent_pixels(picture.pixels, picture.alpha), atol=1e-6)
    seen = picture.alpha > 0
    assert_array_equal(whole.pixels[seen], picture.pixels[seen])
    assert whole.pixels[~seen].min() > 0.2  # no black is left


def test_what_hides_nothing_is_not_touched() -> None:
    source = as_source(Picture(disc().pixels))
    assert fill_transparent(source) is source


def test_a_fill_from_a_small_copy_is_near_that_of_the_whole(monkeypatch: pytest.MonkeyPatch) -> None:
    picture = disc()
    assert picture.alpha is not None
    expected = fill_transparent_pixels(picture.pixels, picture.alpha)
    monkeypatch.setattr("tilestyle.images.source_filters._FILL_SIDE", 60)
    found = read_all(fill_transparent(as_source(picture))).pixels
    assert np.abs(found - expected).mean() < 0.02


@given(st.integers(1, 9), st.integers(1, 60), st.integers(0, 40), st.integers(1, 20))
def test_enlargements_fit_together(small: int, large: int, start: int, count: int) -> None:
    values = np.random.default_rng(small).random((small, 3, 2), dtype=np.float32)
    large = max(large, start + count)
    whole = bilinear_window(values, large, 7, (0, 0, large, 7))
    assert_array_equal(
        bilinear_window(values, large, 7, (start, 2, count, 4)), whole[start : start + count, 2:6]
    )
    assert values.min() - 1e-6 <= whole.min() and whole.max() <= values.max() + 1e-6
    assert_array_equal(bilinear_window(values, small, 3, (0, 0, small, 3)), values)


def test_floats_of_another_scale_are_refused_at_the_first_window(tmp_path: Path) -> None:
    pixels = waves(90, 70).permute(1, 2, 0).numpy() * 255
    tifffile.imwrite(tmp_path / "a.tif", pixels, tile=(64, 64), photometric="rgb")
    with open_source(tmp_path / "a.tif") as source, pytest.raises(PictureError, match="divide by 255"):
        source.read(0, 0, 4, 4)
