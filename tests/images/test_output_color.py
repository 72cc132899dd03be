"""Colors of files for print: those of littleCMS itself, profiles that are found, ink that is measured."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import pyvips
from numpy.testing import assert_array_equal
from numpy.typing import NDArray
from PIL import Image, ImageCms

from benchmarks.delta_e import delta_e_2000, lab_of
from tilestyle.errors import PictureError
from tilestyle.images import InkMeter, Intent, OutputColor, has_wide_colors, open_output_color, output_color
from tilestyle.images.color_management import srgb_profile
from tilestyle.images.output_color import BUILT_IN, built_in_profile, exceeds_srgb

PRESS = bytes(pyvips.Operation.call("profile_load", "cmyk"))


def chart() -> NDArray[np.uint8]:
    """Colors all over sRGB, and all grays of a ramp."""
    levels = np.linspace(0, 255, 6).round().astype(np.uint8)
    cube = np.stack(np.meshgrid(levels, levels, levels), axis=-1).reshape(6, -1, 3)
    grays = np.arange(0, 252, 7, dtype=np.uint8)[None, :, None].repeat(3, axis=2)
    return np.concatenate([cube, grays])


def by_pillow(pixels: NDArray[np.uint8], target: bytes, intent: Intent, black_point: bool) -> NDArray[Any]:
    kinds = {
        Intent.PERCEPTUAL: ImageCms.Intent.PERCEPTUAL,
        Intent.RELATIVE: ImageCms.Intent.RELATIVE_COLORIMETRIC,
    }
    mode = {b"CMYK": "CMYK", b"RGB ": "RGB", b"GRAY": "L"}[target[16:20]]
    flags = ImageCms.Flags.BLACKPOINTCOMPENSATION if black_point else ImageCms.Flags.NONE
    converted = ImageCms.profileToProfile(
        Image.fromarray(pixels),
        ImageCms.ImageCmsProfile(io.BytesIO(srgb_profile())),
        ImageCms.ImageCmsProfile(io.BytesIO(target)),
        kinds[intent],
        mode,
        flags=flags | ImageCms.Flags.NOOPTIMIZE,
    )
    assert converted is not None
    values = np.asarray(converted)
    return values if values.ndim == 3 else values[..., None]


@pytest.mark.parametrize("intent", Intent)
@pytest.mark.parametrize("black_point", [True, False])
@pytest.mark.parametrize("name", ["adobe-rgb", "display-p3", "press"])
def test_colors_are_those_of_littlecms(name: str, intent: Intent, black_point: bool) -> None:
    target = PRESS if name == "press" else built_in_profile(name)
    ours = OutputColor(target, intent, black_point).convert(chart(), srgb_profile())
    assert ours.dtype == np.uint16
    theirs = by_pillow(chart(), target, intent, black_point)
    difference = delta_e_2000(lab_of(ours, target), lab_of(theirs, target))
    assert difference.max() < 1  # theirs has 8 bits


def test_black_point_keeps_shadows_apart() -> None:
    shadows = np.arange(0, 12, dtype=np.uint8)[None, :, None].repeat(3, axis=2)
    kept, lost = (
        lab_of(OutputColor(PRESS, black_point=each).convert(shadows, srgb_profile()), PRESS)[0, :, 0]
        for each in (True, False)
    )
    assert np.ptp(kept) > np.ptp(lost)
    assert (np.diff(kept) > 0).all()


@pytest.mark.parametrize("name", BUILT_IN)
def test_built_in_profiles_are_always_the_same(name: str) -> None:
    first = built_in_profile(name)
    built_in_profile.cache_clear()
    assert built_in_profile(name) == first
    assert open_output_color(name).exceeds_srgb == (name != "srgb")


def test_names_that_shops_know() -> None:
    assert open_output_color("display-p3").name == "Display P3"
    assert open_output_color("adobe-rgb").name == "Adobe RGB (compatible)"
    expected = np.array([234, 51, 35], np.uint8)  # the red of sRGB in Display P3 and in Adobe RGB
    red = np.array([[[255, 0, 0]]], np.uint8)
    p3 = open_output_color("display-p3").convert(red, srgb_profile())[0, 0] / 257
    assert np.abs(p3 - expected).max() < 1.5
    adobe = open_output_color("adobe-rgb").convert(red, srgb_profile())[0, 0] / 257
    assert np.abs(adobe - [219, 0, 0]).max() < 2.5


def test_gray_profiles_make_one_channel(tmp_path: Path) -> None:
    gray = tmp_path / "gray.icc"
    gray.write_bytes(bytes(__import__("imagecodecs").cms_profile("gray", gamma=2.2)))
    color = open_output_color(gray)
    ramp = np.arange(256, dtype=np.uint8)[None, :, None].repeat(3, axis=2)
    converted = color.convert(ramp, srgb_profile())
    assert converted.shape == (1, 256, 1) and color.space == "gray"
    assert (np.diff(converted[0, :, 0].astype(int)) >= 0).all()


def test_samples_of_any_kind_convert() -> None:
    color = OutputColor(PRESS)
    wide = built_in_profile("adobe-rgb")
    rows = np.random.default_rng(0).integers(0, 65536, (40, 5, 3), dtype=np.uint16)
    whole = color.convert(rows, wide)
    assert_array_equal(color.convert(rows[7:9], wide), whole[7:9])
    back = OutputColor(srgb_profile()).convert(whole, PRESS)
    assert back.shape == (40, 5, 3)


def test_the_press_profile_of_the_computer_is_the_usual_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(output_color, "profile_folders", lambda: [tmp_path / "none", tmp_path])
    (tmp_path / "srgb.icc").write_bytes(srgb_profile())
    (tmp_path / "dummy.icc").write_bytes(PRESS[:5000])
    with pytest.raises(PictureError, match=r"no press profile on this computer; .*eci\.org.* --profile FILE"):
        open_output_color("press")
    (tmp_path / "deep").mkdir()
    for name in ("Other.icc", "deep/PSOcoated_v3.icc", "USWebCoatedSWOP.ICC"):
        (tmp_path / name).write_bytes(PRESS)
    assert output_color.find_press_profile().name == "PSOcoated_v3.icc"
    assert open_output_color("press").space == "CMYK"


def test_profiles_that_cannot_be_written_to(tmp_path: Path) -> None:
    (tmp_path / "noise.icc").write_bytes(b"nonsense" * 30)
    (tmp_path / "cut.icc").write_bytes(PRESS[:4000])
    (tmp_path / "lab.icc").write_bytes(bytes(__import__("imagecodecs").cms_profile("lab4")))
    expected = {
        "gone.icc": "there is no file",
        "noise.icc": "is not an ICC profile",
        "cut.icc": "cannot be written to",
        "lab.icc": "is a profile for Lab; give one for RGB, CMYK or gray",
    }
    for name, message in expected.items():
        with pytest.raises(PictureError, match=message) as caught:
            open_output_color(tmp_path / name)
        assert "\n" not in str(caught.value)


def test_ink_is_measured() -> None:
    meter = InkMeter(limit=250)
    bands = [np.array([[[0, 0, 0, 0], [255, 255, 255, 0]]], np.uint8), np.array([[[0, 51, 0, 0]]], np.uint8)]
    assert [band.shape for band in meter.watch(bands)] == [(1, 2, 4), (1, 1, 4)]
    assert (meter.most, meter.pixels, meter.above) == (300, 3, 1)
    fine = InkMeter()
    fine.add(np.full((1, 1, 4), 65535, np.uint16))
    assert fine.most == 400


def test_profiles_wider_than_srgb(tmp_path: Path) -> None:
    assert exceeds_srgb(PRESS)  # its cyan
    assert not exceeds_srgb(srgb_profile())
    assert not exceeds_srgb(b"nonsense" * 30)
    image = Image.new("RGB", (4, 4))
    image.save(tmp_path / "plain.png")
    image.save(tmp_path / "wide.png", icc_profile=built_in_profile("display-p3"))
    assert not has_wide_colors(tmp_path / "plain.png")
    assert has_wide_colors(tmp_path / "wide.png")
