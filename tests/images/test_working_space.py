"""Computing in Display P3: wide files keep their numbers, sRGB files their colors."""

from __future__ import annotations

import threading
from pathlib import Path

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from PIL import Image

from tilestyle.images import (
    Picture,
    WriteOptions,
    open_proof,
    open_source,
    read_picture,
    soft_proof,
    working_space,
    write_picture,
)
from tilestyle.images.cicp import Cicp
from tilestyle.images.color_management import srgb_profile, working_profile
from tilestyle.images.file_source import as_source
from tilestyle.images.output_color import built_in_profile

P3 = built_in_profile("display-p3")
PIXELS = np.random.default_rng(0).integers(0, 256, (9, 11, 3), dtype=np.uint8)


@pytest.fixture
def files(tmp_path: Path) -> Path:
    Image.fromarray(PIXELS).save(tmp_path / "wide.png", icc_profile=P3)
    Image.fromarray(PIXELS).save(tmp_path / "plain.png")
    return tmp_path


def test_wide_files_keep_their_numbers(files: Path) -> None:
    with working_space(P3):
        assert_array_equal(np.rint(read_picture(files / "wide.png").pixels * 255), PIXELS)
    clipped = read_picture(files / "wide.png").pixels
    assert np.abs(clipped * 255 - PIXELS).max() > 5  # what sRGB would lose
    assert working_profile() == srgb_profile()


def test_plain_files_keep_their_colors(files: Path) -> None:
    with working_space(P3):
        write_picture(files / "again.png", read_picture(files / "plain.png"), options=WriteOptions(depth=16))
    with Image.open(files / "again.png") as image:
        assert image.info["icc_profile"] == P3
    assert_allclose(read_picture(files / "again.png").pixels * 255, PIXELS, atol=1.5)


def test_sources_keep_the_colors_they_were_opened_with(files: Path) -> None:
    with working_space(P3), open_source(files / "wide.png") as wide:
        with working_space(srgb_profile()), open_source(files / "wide.png") as guide:
            pass
        found: list[np.ndarray[tuple[int, ...], np.dtype[np.float32]]] = []
        reader = threading.Thread(target=lambda: found.append(wide.read(0, 0, 9, 11)))
        reader.start()
        reader.join()
        assert_array_equal(np.rint(found[0] * 255), PIXELS)
        assert_allclose(guide.read(0, 0, 9, 11), read_in_srgb(files / "wide.png"), atol=1e-6)


def read_in_srgb(file: Path) -> np.ndarray[tuple[int, ...], np.dtype[np.float32]]:
    with working_space(srgb_profile()):
        return read_picture(file).pixels


def test_pictures_in_memory_are_in_these_colors_already() -> None:
    pixels = (PIXELS / 255).astype(np.float32)
    with working_space(P3):
        assert_array_equal(as_source(Picture(pixels)).read(0, 0, 9, 11), pixels)


def test_code_points_of_display_p3() -> None:
    unit = (PIXELS / 255).astype(np.float32)
    assert_allclose(Cicp(12, 13).to_srgb(unit, 8, is_wide=True), unit, atol=1e-5)


def test_a_proof_shows_the_same_print_in_other_colors(files: Path) -> None:
    import pyvips

    (files / "press.icc").write_bytes(bytes(pyvips.Operation.call("profile_load", "cmyk")))
    proof = open_proof(files / "press.icc")
    plain = soft_proof(as_source(read_picture(files / "plain.png")), proof).read(0, 0, 9, 11)
    with working_space(P3):
        wide = soft_proof(as_source(read_picture(files / "plain.png")), proof).read(0, 0, 9, 11)
        write_picture(files / "proof.png", wide, options=WriteOptions(depth=16))
    # Within sRGB both are the same print.
    inside = (plain > 0.02).all(axis=2) & (plain < 0.98).all(axis=2)
    shown = read_picture(files / "proof.png").pixels
    assert np.abs(shown[inside] - plain[inside]).mean() < 0.005
