"""Files for print: their samples, profiles and pages, as other programs read them."""

from __future__ import annotations

import itertools
from pathlib import Path

import imagecodecs
import numpy as np
import pytest
import pyvips
import tifffile
from numpy.testing import assert_array_equal
from numpy.typing import NDArray
from PIL import Image

from tilestyle.config.enums import Compression
from tilestyle.errors import OutputError
from tilestyle.images import InkMeter, OutputColor, Picture, WriteOptions, read_picture, write_picture
from tilestyle.images.color_management import srgb_profile
from tilestyle.images.output_color import built_in_profile
from tilestyle.images.strips import to_depth
from tilestyle.images.write import write_samples

PRESS = OutputColor(bytes(pyvips.Operation.call("profile_load", "cmyk")))
GRAY = OutputColor(bytes(imagecodecs.cms_profile("gray", gamma=2.2)))
ADOBE = OutputColor(built_in_profile("adobe-rgb"))
LOSSLESS = [Compression.LZW, Compression.NONE, Compression.DEFLATE, Compression.ZSTD]


def pixels(height: int = 70, width: int = 90) -> NDArray[np.float32]:
    y, x = np.mgrid[:height, :width].astype(np.float32) / max(height, width)
    return np.stack([x, y, 1 - x * y], axis=-1)


def inks(depth: int = 8) -> NDArray[np.uint8]:
    levels = np.rint(pixels().astype(np.float64) * 65535).astype(np.uint16)
    return np.asarray(to_depth(PRESS.convert(levels, srgb_profile()), depth))


@pytest.mark.parametrize(("flat", "depth"), [(True, 8), (True, 16), (False, 8)])
@pytest.mark.parametrize("compression", LOSSLESS)
def test_cmyk_tiff(tmp_path: Path, compression: Compression, flat: bool, depth: int) -> None:
    file = tmp_path / "a.tif"
    how = WriteOptions(color=PRESS, compression=compression, flat=flat, depth=depth, dpi=150)
    write_picture(file, pixels(), options=how)
    assert_array_equal(tifffile.imread(file), inks(depth))
    with tifffile.TiffFile(file) as opened:
        page = opened.pages.first
        assert page.photometric == tifffile.PHOTOMETRIC.SEPARATED
        assert page.iccprofile == PRESS.profile
        assert page.is_tiled != flat
    if depth == 8 and compression is not Compression.ZSTD:
        with Image.open(file) as image:
            assert (image.mode, image.info["icc_profile"]) == ("CMYK", PRESS.profile)
            assert image.info["dpi"] == (150, 150)
            assert_array_equal(np.asarray(image), inks())
        read = pyvips.Image.new_from_file(str(file))
        assert read.interpretation == "cmyk" and round(read.xres * 25.4) == 150
        assert_array_equal(read.numpy(), inks())


def test_cmyk_jpeg(tmp_path: Path) -> None:
    write_picture(tmp_path / "a.jpg", pixels(), options=WriteOptions(color=PRESS, quality=100, dpi=150))
    with Image.open(tmp_path / "a.jpg") as image:
        assert (image.mode, image.info["icc_profile"]) == ("CMYK", PRESS.profile)
        assert image.info["dpi"] == (150, 150)
        assert np.abs(np.asarray(image).astype(int) - inks()).max() < 6
    read = pyvips.Image.new_from_file(str(tmp_path / "a.jpg"))
    assert np.abs(read.numpy().astype(int) - inks()).max() < 6
    assert read_picture(tmp_path / "a.jpg").profile == PRESS.name


@pytest.mark.parametrize("suffix", ["tif", "png", "jpg", "webp"])
def test_other_rgb(tmp_path: Path, suffix: str) -> None:
    write_picture(tmp_path / f"a.{suffix}", pixels(), options=WriteOptions(color=ADOBE, quality=100))
    with Image.open(tmp_path / f"a.{suffix}") as image:
        assert image.info["icc_profile"] == ADOBE.profile
    again = read_picture(tmp_path / f"a.{suffix}")
    assert again.profile == ADOBE.name
    assert np.abs(again.pixels - pixels()).mean() < 0.01


@pytest.mark.parametrize("suffix", ["tif", "png", "jpg"])
@pytest.mark.parametrize("flat", [True, False])
def test_gray(tmp_path: Path, suffix: str, flat: bool) -> None:
    write_picture(tmp_path / f"a.{suffix}", pixels(), options=WriteOptions(color=GRAY, quality=100, flat=flat))
    with Image.open(tmp_path / f"a.{suffix}") as image:
        assert (image.mode, image.size) == ("L", (90, 70))
        assert image.info["icc_profile"] == GRAY.profile


def test_a_flat_tiff_is_one_page(tmp_path: Path) -> None:
    large = np.zeros((30, 2100, 3), np.float32)
    for flat, pages in ((False, 4), (True, 1)):
        write_picture(tmp_path / "a.tif", large, options=WriteOptions(flat=flat))
        with tifffile.TiffFile(tmp_path / "a.tif") as opened:
            assert len(opened.pages) == pages
    assert_array_equal(tifffile.imread(tmp_path / "a.tif"), 0)


@pytest.mark.parametrize("compression", LOSSLESS)
def test_flat_strips_are_the_picture(tmp_path: Path, compression: Compression) -> None:
    noise = np.random.default_rng(0).integers(0, 65536, (301, 257, 3), dtype=np.uint16)
    how = WriteOptions(color=ADOBE, flat=True, compression=compression, depth=16)
    write_samples(tmp_path / "a.tif", (301, 257), iter([noise[:100], noise[100:]]), ADOBE.profile, options=how)
    assert_array_equal(tifffile.imread(tmp_path / "a.tif"), noise)


def test_prints_have_no_transparency(tmp_path: Path) -> None:
    cover = np.zeros((70, 90), np.float32)
    cover[:, 45:] = 1
    write_picture(tmp_path / "a.tif", Picture(pixels(), cover), options=WriteOptions(color=PRESS))
    written = tifffile.imread(tmp_path / "a.tif")
    assert written[:, :45].max() <= 2  # paper
    assert_array_equal(written[:, 45:], inks()[:, 45:])


def test_ink_is_measured_while_writing(tmp_path: Path) -> None:
    ink = InkMeter(limit=100)
    write_picture(tmp_path / "a.tif", pixels(), options=WriteOptions(color=PRESS, ink=ink))
    totals = inks().sum(axis=2) / 2.55
    assert ink.most == pytest.approx(totals.max())
    assert ink.pixels == totals.size
    assert ink.above == np.count_nonzero(inks().sum(axis=2, dtype=int) > 255)


def test_formats_without_a_color_space(tmp_path: Path) -> None:
    for suffix, color in itertools.product(("png", "webp", "dzi"), (PRESS,)):
        with pytest.raises(OutputError, match="cannot hold CMYK; write TIFF, JPEG or PDF"):
            write_picture(tmp_path / f"a.{suffix}", pixels(), options=WriteOptions(color=color))
    assert list(tmp_path.iterdir()) == []


def test_depths_round_to_the_nearest() -> None:
    fine = np.arange(65536, dtype=np.uint16)
    assert_array_equal(to_depth(fine, 8), np.rint(fine / 257))
    coarse = np.arange(256, dtype=np.uint8)
    assert_array_equal(to_depth(to_depth(coarse, 16), 8), coarse)
    assert to_depth(fine, 16) is fine


def test_equal_files_are_equal(tmp_path: Path) -> None:
    for color in (PRESS, ADOBE, GRAY):
        files = [tmp_path / "a.tif", tmp_path / "b.tif"]
        for file in files:
            write_picture(file, pixels(), options=WriteOptions(color=color))
        assert files[0].read_bytes() == files[1].read_bytes()
