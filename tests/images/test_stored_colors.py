"""Finished pictures as their own samples: nothing is converted that need not be; edges are mirror images."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import pyvips
import tifffile
from numpy.testing import assert_array_equal
from numpy.typing import NDArray
from PIL import Image

from tilestyle.config.paper import PageCrop
from tilestyle.config.print_plan import panel_spans
from tilestyle.images import StoredColors, open_source, strips
from tilestyle.images.color_management import srgb_profile
from tilestyle.images.output_color import built_in_profile

PRESS = bytes(pyvips.Operation.call("profile_load", "cmyk"))
NOISE = np.random.default_rng(0).integers(0, 256, (37, 53, 4), dtype=np.uint8)


def read(file: Path, added: int = 0, crop: PageCrop | None = None) -> tuple[NDArray[Any], StoredColors]:
    with open_source(file) as source:
        picture = StoredColors.of(source, crop or PageCrop(0, 0, source.height, source.width), added)
        return np.concatenate(list(picture.strips(0, picture.width))), picture


@pytest.fixture(autouse=True)
def _many_strips(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(strips, "_STRIP_SAMPLES", 2000)


@pytest.mark.parametrize(
    ("name", "mode", "profile"),
    [
        ("a.tif", "CMYK", PRESS),
        ("a.tif", "RGB", built_in_profile("adobe-rgb")),
        ("a.png", "RGB", built_in_profile("display-p3")),
        ("a.png", "RGB", None),
    ],
)
def test_samples_are_those_of_the_file(tmp_path: Path, name: str, mode: str, profile: bytes | None) -> None:
    values = NOISE[..., : len(mode)]
    Image.fromarray(values, mode).save(tmp_path / name, icc_profile=profile)
    found, picture = read(tmp_path / name)
    assert_array_equal(found, values)
    assert picture.profile == (profile or srgb_profile()) and picture.is_stored


def test_sixteen_bits_stay(tmp_path: Path) -> None:
    fine = NOISE[..., :3].astype(np.uint16) * 200
    tifffile.imwrite(tmp_path / "a.tif", fine, photometric="rgb", iccprofile=built_in_profile("adobe-rgb"))
    assert_array_equal(read(tmp_path / "a.tif")[0], fine)


def test_what_has_no_samples_for_print_is_converted(tmp_path: Path) -> None:
    Image.fromarray(NOISE, "CMYK").save(tmp_path / "a.tif")  # without a profile
    found, picture = read(tmp_path / "a.tif")
    assert found.dtype == np.uint16 and found.shape == (37, 53, 3)
    assert picture.profile == srgb_profile() and not picture.is_stored


def test_transparency_becomes_paper(tmp_path: Path) -> None:
    pixels = NOISE.copy()
    pixels[:, :20, 3], pixels[:, 20:, 3] = 0, 255
    Image.fromarray(pixels, "RGBA").save(tmp_path / "a.png")
    found = read(tmp_path / "a.png")[0]
    assert_array_equal(found[:, :20], 255)
    assert_array_equal(found[:, 20:], pixels[:, 20:, :3])


def test_a_turned_photograph_is_upright(tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    Image.fromarray(NOISE[..., :3]).save(tmp_path / "a.png", exif=exif)
    assert_array_equal(read(tmp_path / "a.png")[0], np.rot90(NOISE[..., :3], -1))


@pytest.mark.parametrize("added", [1, 8, 37, 90])
def test_edges_are_mirror_images(tmp_path: Path, added: int) -> None:
    Image.fromarray(NOISE[..., :3]).save(tmp_path / "a.tif")
    crop = PageCrop(3, 5, 30, 40)
    inside = NOISE[3:33, 5:45, :3]
    edges = ((added, added), (added, added), (0, 0))
    assert_array_equal(read(tmp_path / "a.tif", added, crop)[0], np.pad(inside, edges, "symmetric"))


@pytest.mark.parametrize("overlap", [0, 7])
@pytest.mark.parametrize("added", [0, 9])
def test_panels_side_by_side_are_the_picture(tmp_path: Path, overlap: int, added: int) -> None:
    Image.fromarray(NOISE[..., :3]).save(tmp_path / "a.tif")
    whole, picture = read(tmp_path / "a.tif", added)
    with open_source(tmp_path / "a.tif") as source:
        picture = StoredColors.of(source, picture.crop, added)
        spans = panel_spans(picture.width, 21, overlap)
        panels = [np.concatenate(list(picture.strips(each.left, each.width))) for each in spans]
    assert len(panels) > 2
    assert_array_equal(np.hstack([panels[0], *(panel[:, overlap:] for panel in panels[1:])]), whole)
