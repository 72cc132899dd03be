"""Writing: exact values, whole files, and settings that come back."""

from __future__ import annotations

import errno
import io
import os
import re
import stat
from pathlib import Path
from typing import Any

import imagecodecs
import numpy as np
import pytest
import tifffile
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from numpy.testing import assert_allclose, assert_array_equal
from numpy.typing import NDArray
from PIL import Image, ImageCms

from tilestyle.errors import OutputError, PictureError, SettingError
from tilestyle.images import (
    OUTPUT_SUFFIXES,
    Json,
    Picture,
    WriteOptions,
    check_writable,
    picture_from,
    read_picture,
    read_provenance,
    write_picture,
)
from tilestyle.images import write as write_module
from tilestyle.images.color_management import srgb_profile

SETTINGS: dict[str, Json] = {
    "content": "Straße nach Süden 写真.jpg",
    "steps": [200, 100],
    "weight": 0.1,
    "seed": None,
    "exact": True,
    "nested": {"emoji": "🎨", "quotes": "\"'\\\n"},
}


def noise(channels: int = 3, height: int = 11, width: int = 13, seed: int = 0) -> NDArray[np.float32]:
    return np.random.default_rng(seed).random((height, width, channels), dtype=np.float32)


def quantized(unit: NDArray[Any], depth: int) -> NDArray[Any]:
    levels: NDArray[Any] = np.floor(unit.astype(np.float64) * (2**depth - 1) + 0.5)
    return levels


# Values -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("alpha", [False, True])
@pytest.mark.parametrize(
    ("suffix", "options"),
    [
        ("png", WriteOptions()),
        ("png", WriteOptions(depth=16)),
        ("tif", WriteOptions()),
        ("tiff", WriteOptions(depth=16)),
        ("webp", WriteOptions(lossless=True)),
    ],
)
def test_lossless_formats_hold_the_nearest_level(
    tmp_path: Path, suffix: str, options: WriteOptions, alpha: bool
) -> None:
    pixels = noise()
    cover = noise(seed=1)[..., 0] if alpha else None
    path = tmp_path / f"a.{suffix}"
    write_picture(path, Picture(pixels, cover), options=options)
    again = read_picture(path)
    top = 2**options.depth - 1
    assert_array_equal(np.rint(again.pixels * top), quantized(pixels, options.depth))
    assert (again.alpha is not None) == alpha
    if alpha:
        assert again.alpha is not None
        assert_array_equal(np.rint(again.alpha * top), quantized(noise(seed=1)[..., 0], options.depth))
    assert again.depth == options.depth
    assert again.profile == "sRGB built-in"
    second = tmp_path / f"b.{suffix}"
    write_picture(second, again, options=options)
    assert second.read_bytes() == path.read_bytes()


@pytest.mark.parametrize("depth", [8, 16])
@pytest.mark.parametrize("channels", [3, 4])
def test_other_libraries_read_the_same(tmp_path: Path, depth: int, channels: int) -> None:
    values = noise(4)
    picture = Picture(values[..., :3], values[..., 3] if channels == 4 else None)
    for suffix in ("png", "tif"):
        write_picture(tmp_path / f"a.{suffix}", picture, options=WriteOptions(depth=depth))
    expected = quantized(values[..., :channels], depth)
    assert_array_equal(imagecodecs.png_decode((tmp_path / "a.png").read_bytes()), expected)
    assert_array_equal(tifffile.imread(tmp_path / "a.tif"), expected)
    if depth == 8:
        for suffix in ("png", "tif"):
            with Image.open(tmp_path / f"a.{suffix}") as image:
                assert_array_equal(np.asarray(image), expected)


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    st.sampled_from(["png", "tif"]),
    hnp.arrays(
        np.uint16,
        st.tuples(st.integers(1, 9), st.integers(2, 9), st.sampled_from([3, 4])),
        elements=st.sampled_from([0, 1, 255, 256, 32767, 32768, 65534, 65535]) | st.integers(0, 65535),
    ),
)
def test_sixteen_bits_round_trip(tmp_path: Path, suffix: str, values: NDArray[np.uint16]) -> None:
    path = tmp_path / f"a.{suffix}"
    write_picture(path, values, options=WriteOptions(depth=16))
    again = read_picture(path)
    assert_array_equal(np.rint(again.pixels * 65535), values[..., :3])
    if again.alpha is not None:
        assert_array_equal(np.rint(again.alpha * 65535), values[..., 3])


@pytest.mark.parametrize("suffix", ["png", "tif", "jpg", "webp"])
def test_bands_meet_without_a_seam(tmp_path: Path, suffix: str, monkeypatch: pytest.MonkeyPatch) -> None:
    pixels = np.ascontiguousarray(np.broadcast_to(np.linspace(0, 1, 40)[:, None, None], (40, 30, 3)), "f4")
    whole, parts = tmp_path / f"whole.{suffix}", tmp_path / f"parts.{suffix}"
    write_picture(whole, pixels)
    monkeypatch.setattr("tilestyle.images.strips._STRIP_SAMPLES", 1000)
    write_picture(parts, pixels)
    assert_array_equal(read_picture(parts).pixels, read_picture(whole).pixels)


@pytest.mark.parametrize("suffix", ["jpg", "jpeg", "JPG"])
def test_jpeg_is_close_and_keeps_fine_color(tmp_path: Path, suffix: str) -> None:
    stripes = np.zeros((32, 32, 3), np.float32)
    stripes[:, ::2], stripes[:, 1::2] = (0.9, 0.2, 0.2), (0.2, 0.2, 0.9)
    write_picture(tmp_path / f"a.{suffix}", stripes)
    assert_allclose(read_picture(tmp_path / f"a.{suffix}").pixels, stripes, atol=12 / 255)


@pytest.mark.parametrize("suffix", ["jpg", "webp"])
def test_quality_costs_bytes(tmp_path: Path, suffix: str) -> None:
    sizes = []
    for quality in (30, 95):
        path = tmp_path / f"{quality}.{suffix}"
        write_picture(path, noise(height=64, width=64), options=WriteOptions(quality=quality))
        sizes.append(path.stat().st_size)
    assert sizes[0] < 0.7 * sizes[1]


def test_jpeg_lays_alpha_on_white(tmp_path: Path) -> None:
    pixels = np.full((16, 16, 3), 0.2, np.float32)
    for cover, expected in ((0.0, 1.0), (0.5, 0.6), (1.0, 0.2)):
        write_picture(tmp_path / "a.jpg", Picture(pixels, np.full((16, 16), cover, np.float32)))
        again = read_picture(tmp_path / "a.jpg")
        assert again.alpha is None
        assert_allclose(again.pixels, expected, atol=2 / 255)


def test_values_are_clipped_and_rounded(tmp_path: Path) -> None:
    row = np.array([-3.0, -0.001, 0.4 / 255, 0.6 / 255, 254.4 / 255, 254.6 / 255, 1.2, 9.0], np.float32)
    write_picture(tmp_path / "a.png", np.repeat(row[None, :, None], 3, axis=2))
    levels = np.rint(read_picture(tmp_path / "a.png").pixels[0, :, 0] * 255)
    assert_array_equal(levels, [0, 0, 0, 1, 254, 255, 255, 255])


def test_sources_of_every_kind(tmp_path: Path) -> None:
    values = (noise() * 255).astype(np.uint8)
    planes = np.ascontiguousarray(np.moveaxis(values, -1, 0)).astype(np.float32) / 255
    mapped = np.memmap(tmp_path / "canvas", np.float32, "w+", shape=planes.shape)
    mapped[:] = planes
    tensor, view = torch.from_numpy(planes), np.moveaxis(mapped, 0, -1)
    sources: list[object] = [values, Image.fromarray(values), tensor, view]
    for source in sources:
        write_picture(tmp_path / "a.png", source)
        assert_array_equal(np.rint(read_picture(tmp_path / "a.png").pixels * 255), values)


@pytest.mark.parametrize("suffix", ["png", "jpg", "webp", "tif"])
def test_profile_is_embedded_and_is_srgb(tmp_path: Path, suffix: str) -> None:
    write_picture(tmp_path / f"a.{suffix}", noise())
    with Image.open(tmp_path / f"a.{suffix}") as image:
        profile = image.info["icc_profile"]
    assert profile == srgb_profile()
    opened = ImageCms.ImageCmsProfile(io.BytesIO(profile))
    assert ImageCms.getProfileDescription(opened).strip() == "sRGB built-in"


@pytest.mark.parametrize("suffix", ["png", "jpg", "webp", "tif"])
@pytest.mark.parametrize("dpi", [None, 300, 150.0])
def test_dots_per_inch_are_stored(tmp_path: Path, suffix: str, dpi: float | None) -> None:
    write_picture(tmp_path / f"a.{suffix}", noise(), options=WriteOptions(dpi=dpi))
    stored = read_picture(tmp_path / f"a.{suffix}").dpi
    if dpi is None:
        assert stored is None
    else:
        assert stored == pytest.approx((dpi, dpi), rel=1e-3)


def test_big_tiff_beyond_four_gigabytes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_picture(tmp_path / "small.tif", noise())
    monkeypatch.setattr("tilestyle.images.write_tiff._CLASSIC_LIMIT", 100)
    write_picture(tmp_path / "big.tif", noise(), options=WriteOptions(provenance=SETTINGS))
    assert (tmp_path / "small.tif").read_bytes()[:4] == b"II*\0"
    assert (tmp_path / "big.tif").read_bytes()[:4] == b"II+\0"
    assert_array_equal(read_picture(tmp_path / "big.tif").pixels, read_picture(tmp_path / "small.tif").pixels)
    assert read_provenance(tmp_path / "big.tif") == SETTINGS


def test_tiff_is_deflated_with_a_predictor(tmp_path: Path) -> None:
    write_picture(tmp_path / "a.tif", noise(4)[..., :3])
    with tifffile.TiffFile(tmp_path / "a.tif") as file:
        page = file.pages.first
        assert (page.compression, page.predictor, page.photometric) == (8, 2, 2)


# Provenance -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("suffix", ["png", "jpg", "webp", "tif"])
@pytest.mark.parametrize("depth", [8, 16])
def test_provenance_round_trip(tmp_path: Path, suffix: str, depth: int) -> None:
    if depth == 16 and suffix in ("jpg", "webp"):
        return
    path = tmp_path / f"ü.{suffix}"
    write_picture(path, noise(), options=WriteOptions(depth=depth, provenance=SETTINGS))
    assert read_provenance(path) == SETTINGS
    again = read_picture(path)
    assert (again.height, again.width) == (11, 13)


@pytest.mark.parametrize("suffix", ["png", "jpg", "webp", "tif"])
def test_software_is_named(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"a.{suffix}"
    write_picture(path, noise())
    with Image.open(path) as image:
        named = image.info["Software"] if suffix == "png" else image.getexif()[0x0131]
    assert named.startswith("tilestyle ") and named[10].isdigit()


@pytest.mark.parametrize("suffix", ["png", "jpg", "webp", "tif"])
def test_pictures_without_provenance(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"a.{suffix}"
    write_picture(path, noise())
    assert read_provenance(path) is None
    exif = Image.Exif()
    for description in ("my holiday", "[1, 2]", '{"tilestyle": 3}', '{"other": {}}'):
        exif[0x010E] = description
        Image.new("RGB", (4, 4)).save(path, exif=exif)
        assert read_provenance(path) is None


def test_provenance_of_missing_and_broken_files(tmp_path: Path) -> None:
    (tmp_path / "bad.png").write_bytes(b"nonsense")
    for name in ("gone.png", "bad.png"):
        with pytest.raises(PictureError):
            read_provenance(tmp_path / name)


@pytest.mark.parametrize("value", [float("nan"), {1, 2}, Path("a")])
def test_settings_that_are_not_json_are_refused(tmp_path: Path, value: Any) -> None:
    for suffix in ("png", "jpg"):
        with pytest.raises(SettingError, match="not JSON"):
            write_picture(tmp_path / f"a.{suffix}", noise(), options=WriteOptions(provenance={"x": value}))
    assert not list(tmp_path.iterdir())


def test_settings_too_long_for_jpeg(tmp_path: Path) -> None:
    long: dict[str, Json] = {"text": "x" * 70000}
    with pytest.raises(OutputError, match="bytes of settings exceed"):
        write_picture(tmp_path / "a.jpg", noise(), options=WriteOptions(provenance=long))
    for suffix in ("png", "webp", "tif"):
        write_picture(tmp_path / f"a.{suffix}", noise(), options=WriteOptions(provenance=long))
        assert read_provenance(tmp_path / f"a.{suffix}") == long


# Refusals ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["a", "a.gif", "a.psd", ".png", "a.png.bak"])
def test_unknown_suffix_lists_the_known(tmp_path: Path, name: str) -> None:
    with pytest.raises(OutputError) as checked:
        check_writable(tmp_path / name, 2, 2)
    with pytest.raises(OutputError) as written:
        write_picture(tmp_path / name, noise())
    for caught in (checked, written):
        assert all(suffix in str(caught.value) for suffix in OUTPUT_SUFFIXES)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("suffix", ["jpg", "webp"])
def test_depth_the_format_has_not(tmp_path: Path, suffix: str) -> None:
    message = "cannot hold 16 bits per channel; write PNG, TIFF or PDF"
    with pytest.raises(OutputError, match=message):
        check_writable(tmp_path / f"a.{suffix}", 2, 2, 16)
    with pytest.raises(OutputError, match=message):
        write_picture(tmp_path / f"a.{suffix}", noise(), options=WriteOptions(depth=16))


@pytest.mark.parametrize(
    ("suffix", "side"), [("jpg", 65500), ("webp", 16383), ("png", 2**31 - 1), ("tif", 2**32 - 1)]
)
def test_size_limits(tmp_path: Path, suffix: str, side: int) -> None:
    path = tmp_path / f"a.{suffix}"
    check_writable(path, side, 1)
    check_writable(path, 1, side)
    for height, width in ((side + 1, 1), (1, side + 1)):
        with pytest.raises(
            OutputError, match=f"{width} x {height} pixels exceed the limit of .*{side} pixels per side"
        ):
            check_writable(path, height, width)


@pytest.mark.parametrize(("suffix", "side"), [("jpg", 65500), ("webp", 16383)])
def test_the_largest_side_can_be_encoded(tmp_path: Path, suffix: str, side: int) -> None:
    path = tmp_path / f"a.{suffix}"
    write_picture(path, np.full((1, side, 3), 0.5, np.float32))
    assert read_picture(path).width == side
    with pytest.raises(OutputError, match="exceed"):
        write_picture(path, np.full((1, side + 1, 3), 0.5, np.float32))


@pytest.mark.parametrize(
    "options", [{"depth": 12}, {"quality": 0}, {"quality": 101}, {"dpi": 0.0}, {"dpi": float("nan")}]
)
def test_options_out_of_range(options: dict[str, Any]) -> None:
    with pytest.raises(SettingError):
        WriteOptions(**options)


def test_places_that_cannot_be_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "folder.png").mkdir()
    (tmp_path / "file").touch()
    os.mkfifo(tmp_path / "pipe.png")
    expected = {
        "gone/a.png": "there is no folder",
        "folder.png": "is a folder",
        "file/a.png": "is not a folder",
        "pipe.png": "is not a regular file",
    }
    for name, message in expected.items():
        with pytest.raises(OutputError, match=message) as caught:
            check_writable(tmp_path / name, 2, 2)
        assert caught.value.hint
    monkeypatch.setattr(os, "access", lambda *_: False)  # a test run by root may write everywhere
    with pytest.raises(OutputError, match="is not writable; choose another folder"):
        check_writable(tmp_path / "a.png", 2, 2)


# Whole or not at all ----------------------------------------------------------------------------------


@pytest.mark.parametrize("suffix", ["png", "jpg", "webp", "tif"])
@pytest.mark.parametrize("there", [False, True])
def test_failure_leaves_no_trace(
    tmp_path: Path, suffix: str, there: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / f"a.{suffix}"
    if there:
        path.write_bytes(b"an older picture")
    pixels = noise(height=60)
    pixels[50, 3, 1] = np.nan
    monkeypatch.setattr("tilestyle.images.strips._STRIP_SAMPLES", 1000)
    with pytest.raises(PictureError, match="contains NaN"):
        write_picture(path, pixels)
    assert [entry.name for entry in tmp_path.iterdir()] == ([path.name] if there else [])
    assert not there or path.read_bytes() == b"an older picture"


class Interrupted(BaseException):
    """What no handler of errors expects."""


@pytest.mark.parametrize(
    ("raised", "expected", "message"),
    [
        (OSError(errno.ENOSPC, "No space left on device"), OutputError, "No space left.*free some space"),
        (PermissionError(errno.EACCES, "Permission denied"), OutputError, "Permission denied"),
        (Interrupted("stop"), Interrupted, "stop"),
    ],
)
@pytest.mark.parametrize("moment", ["fsync", "replace"])
def test_failure_at_the_last_moment(
    tmp_path: Path,
    raised: BaseException,
    expected: type[BaseException],
    message: str,
    moment: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    path = tmp_path / "a.png"
    path.write_bytes(b"an older picture")

    def fail(*_: object) -> None:
        assert len(list(tmp_path.iterdir())) == 2
        raise raised

    monkeypatch.setattr(os, moment, fail)
    if moment == "replace":  # nor in two steps
        monkeypatch.setattr(os, "rename", fail)
    with pytest.raises(expected, match=message):
        write_picture(path, noise())
    assert [entry.name for entry in tmp_path.iterdir()] == ["a.png"]
    assert path.read_bytes() == b"an older picture"


def test_encoder_errors_are_ours(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object, **__: object) -> None:
        raise ValueError("encoder error\n-2")

    monkeypatch.setattr(Image.Image, "save", fail)
    with pytest.raises(OutputError, match="encoder error -2"):
        write_picture(tmp_path / "a.webp", noise())
    assert not list(tmp_path.iterdir())


def test_file_mode_is_that_of_open(tmp_path: Path) -> None:
    before = os.umask(0o027)
    try:
        write_picture(tmp_path / "new.png", noise())
        (tmp_path / "plain").touch()
    finally:
        os.umask(before)
    plain = stat.S_IMODE((tmp_path / "plain").stat().st_mode)
    assert stat.S_IMODE((tmp_path / "new.png").stat().st_mode) == plain == 0o640
    (tmp_path / "new.png").chmod(0o604)
    write_picture(tmp_path / "new.png", noise())
    assert stat.S_IMODE((tmp_path / "new.png").stat().st_mode) == 0o604


def test_links_are_followed(tmp_path: Path) -> None:
    (tmp_path / "elsewhere").mkdir()
    link, target = tmp_path / "link.png", tmp_path / "elsewhere" / "target.png"
    link.symlink_to(target)
    for _ in range(2):
        write_picture(link, noise())
        assert link.is_symlink() and read_picture(target).width == 13


def test_names_as_long_as_they_can_be(tmp_path: Path) -> None:
    path = tmp_path / ("ü" * 125 + ".png")
    write_picture(path, noise())
    assert picture_from(path).name == path.name
    with pytest.raises(OutputError, match="name"):
        write_picture(tmp_path / ("u" * 260 + ".png"), noise())


def test_the_package_needs_no_torch() -> None:
    source = Path(write_module.__file__).parent
    # Picture.tensor imports it, when it is called.
    at_once = re.compile(r"^(import|from) torch\b", re.M)
    assert not [file.name for file in source.glob("*.py") if at_once.search(file.read_text())]
