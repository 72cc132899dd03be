"""Sources: windows are what the whole picture has there, and the small picture is its mean."""

from __future__ import annotations

import struct
import zlib
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import imagecodecs
import numpy as np
import pytest
import pyvips
import tifffile
from hypothesis import given
from hypothesis import strategies as st
from numpy.testing import assert_allclose, assert_array_equal
from numpy.typing import NDArray
from PIL import Image

from tilestyle.errors import MemoryLimit, OutputError, PictureError
from tilestyle.images import Picture, WriteOptions, as_source, open_source, read_picture, write_picture
from tilestyle.images.area_average import PictureAccumulator, area_average
from tilestyle.images.orientation import rotate_upright, stored_window

HEIGHT, WIDTH = 151, 213


def pattern(channels: int = 3, dtype: str = "uint8") -> NDArray[Any]:
    """Smooth waves with a little noise, over the full range of the type; the fourth channel is a disc."""
    y, x = np.mgrid[:HEIGHT, :WIDTH]
    waves = [np.sin(x / (9 + 7 * c) + c) * np.cos(y / (13 - 2 * c)) for c in range(min(channels, 3))]
    values = 0.5 + 0.45 * np.stack(waves, axis=2) + 0.05 * np.random.default_rng(0).random((*x.shape, 1))
    if channels in (2, 4):
        disc = np.clip(1.2 - np.hypot(y - 75, x - 100) / 75, 0, 1)
        values = np.dstack([values[..., : channels - 1], disc])
    top = np.iinfo(dtype).max if np.dtype(dtype).kind == "u" else 1
    return (values.clip(0, 1) * top).astype(dtype)


def tiff(**arguments: Any) -> Callable[[Path], None]:
    channels, dtype = arguments.pop("channels", 3), arguments.pop("dtype", "uint8")
    arguments.setdefault("photometric", "rgb" if channels > 2 else "minisblack")

    def save(path: Path) -> None:
        values = pattern(channels, dtype)
        if arguments.get("planarconfig") == "separate":
            values = np.ascontiguousarray(np.moveaxis(values, 2, 0))
        tifffile.imwrite(path, values[..., 0] if channels == 1 else values, metadata=None, **arguments)

    return save


def pillow(form: str, mode: str = "RGB", **arguments: Any) -> Callable[[Path], None]:
    def save(path: Path) -> None:
        channels = {"L": 1, "LA": 2, "RGB": 3, "RGBA": 4, "P": 3, "CMYK": 3}[mode]
        values = pattern(channels)
        image = Image.fromarray(values[..., 0] if channels == 1 else values)
        image.convert(mode).save(path, format=form, **arguments)

    return save


def deep_png(path: Path) -> None:
    path.write_bytes(imagecodecs.png_encode(pattern(4, "uint16")))


def turned(orientation: int) -> Image.Exif:
    exif = Image.Exif()
    exif[0x0112] = orientation
    return exif


KINDS: dict[str, Callable[[Path], None]] = {
    "tiles": tiff(tile=(64, 48), compression="zstd", predictor=True),
    "tiles with alpha": tiff(channels=4, tile=(64, 64), compression="zlib", extrasamples=["unassalpha"]),
    "premultiplied": tiff(channels=4, tile=(64, 64), extrasamples=["assocalpha"]),
    "strips": tiff(rowsperstrip=7, compression="lzw"),
    "one packed strip": tiff(rowsperstrip=HEIGHT, compression="zlib"),
    "unpacked": tiff(),
    "unpacked strips": tiff(rowsperstrip=16),
    "unpacked planes": tiff(planarconfig="separate"),
    "packed planes": tiff(planarconfig="separate", tile=(64, 64), compression="zlib"),
    "16 bits": tiff(dtype="uint16", tile=(64, 64), compression="zlib", predictor=True),
    "16 bits, big endian": tiff(dtype="uint16", rowsperstrip=9, compression="zlib", byteorder=">"),
    "floats": tiff(dtype="float32", tile=(64, 64), compression="zlib", predictor=True),
    "half floats": tiff(dtype="float16", rowsperstrip=3),
    "gray": tiff(channels=1, tile=(64, 64), compression="zstd"),
    "white is zero": tiff(channels=1, rowsperstrip=5, compression="packbits", photometric="miniswhite"),
    "JPEG in tiles": tiff(tile=(64, 64), compression="jpeg", photometric="ycbcr"),
    "JPEG in strips of libtiff": pillow("TIFF", compression="jpeg"),
    "PNG": pillow("PNG"),
    "PNG with alpha": pillow("PNG", "RGBA"),
    "PNG gray with alpha": pillow("PNG", "LA"),
    "PNG with palette": pillow("PNG", "P"),
    "PNG, 16 bits": deep_png,
    "PNG, wide": pillow("PNG", icc_profile=bytes(imagecodecs.cms_profile("adobergb"))),
    "PNG, turned": pillow("PNG", exif=turned(6)),
    "JPEG": pillow("JPEG", quality=95),
    "JPEG, progressive": pillow("JPEG", progressive=True, subsampling=0),
    "JPEG, gray": pillow("JPEG", "L"),
    "JPEG of inks": pillow("JPEG", "CMYK", quality=95),
    "JPEG, turned": pillow("JPEG", exif=turned(7), subsampling=0),
    "WebP": pillow("WEBP", lossless=True),
    "WebP with alpha": pillow("WEBP", "RGBA", lossless=True, exact=True),
    "GIF": pillow("GIF", "P"),
    "BMP": pillow("BMP"),
}


def whole(picture: Picture) -> NDArray[np.float32]:
    return picture.pixels if picture.alpha is None else np.dstack([picture.pixels, picture.alpha])


@pytest.mark.parametrize("kind", KINDS)
def test_strips_are_the_whole_and_streams_are_not_converted(tmp_path: Path, kind: str) -> None:
    path = tmp_path / "picture"
    KINDS[kind](path)
    expected = read_picture(path)
    with open_source(path, tmp_path / "work") as source:
        strips = list(source.strips())
    atol = 2.01 / 255 if "JPEG" in kind else 1e-6
    assert_allclose(np.concatenate(strips), whole(expected), atol=atol)
    if kind.startswith(("PNG", "JPEG, ", "WebP")) and "turned" not in kind:
        assert not (tmp_path / "work").exists()


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("converted", [False, True])
def test_windows_are_those_of_the_whole(tmp_path: Path, kind: str, converted: bool) -> None:
    path = tmp_path / "ä picture"
    KINDS[kind](path)
    expected = read_picture(path)
    with open_source(path, tmp_path / "work" if converted else None) as source:
        assert (source.height, source.width) == (expected.height, expected.width)
        assert source.has_alpha == (expected.alpha is not None)
        assert source.depth == expected.depth
        assert source.profile == expected.profile
        # Decoders of JPEG and of 16 bits may differ in the last place.
        atol = 2.01 / 255 if "JPEG" in kind else 1e-6
        for top, left, height, width in [(0, 0, 1, 1), (25, 30, 64, 64), (13, 7, 100, 140), (100, 120, 51, 31)]:
            part = np.s_[top : top + height, left : left + width]
            pixels = source.read(top, left, height, width)
            assert pixels.dtype == np.float32 and pixels.shape == (height, width, 3)
            assert_allclose(pixels, expected.pixels[part], atol=atol)
            alpha = source.alpha(top, left, height, width)
            assert (alpha is None) == (expected.alpha is None)
            if alpha is not None and expected.alpha is not None:
                assert_allclose(alpha, expected.alpha[part], atol=1e-6)
        assert_allclose(np.concatenate(list(source.strips())), whole(expected), atol=atol)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("size", [(30, 40), (HEIGHT - 2, 50)])
def test_small_pictures_are_means(tmp_path: Path, kind: str, size: tuple[int, int]) -> None:
    path = tmp_path / "picture"
    KINDS[kind](path)
    expected = area_average(read_picture(path), *size)
    with open_source(path) as source:
        small = source.downsample(*size)
    assert (small.height, small.width) == size
    assert_allclose(small.pixels, expected.pixels, atol=0.02 if "JPEG" in kind else 1e-5)
    assert (small.alpha is None) == (expected.alpha is None)
    if small.alpha is not None and expected.alpha is not None:
        assert_allclose(small.alpha, expected.alpha, atol=1e-5)


@pytest.mark.parametrize("channels", [3, 4])
def test_pictures_in_memory_are_sources_too(channels: int) -> None:
    values = pattern(channels, "float32")
    alpha = np.ascontiguousarray(values[..., 3]) if channels == 4 else None
    picture = Picture(np.ascontiguousarray(values[..., :3]), alpha, depth=16, dpi=(300, 300), name="a")
    source = as_source(picture)
    assert (source.height, source.width, source.depth, source.dpi) == (HEIGHT, WIDTH, 16, (300, 300))
    assert_array_equal(source.read(10, 20, 30, 40), picture.pixels[10:40, 20:60])
    assert (source.alpha(10, 20, 30, 40) is None) == (channels == 3)
    assert_array_equal(whole(source.downsample(50, 60)), whole(area_average(picture, 50, 60)))


def test_threads_share_a_source(tmp_path: Path) -> None:
    KINDS["tiles"](tmp_path / "a.tif")
    expected = read_picture(tmp_path / "a.tif").pixels
    corners = np.random.default_rng(0).integers(0, 100, (60, 2))
    with open_source(tmp_path / "a.tif") as source, ThreadPoolExecutor(4) as pool:
        found = pool.map(lambda corner: source.read(int(corner[0]), int(corner[1]), 50, 90), corners)
        for (top, left), pixels in zip(corners, found, strict=True):
            assert_array_equal(pixels, expected[top : top + 50, left : left + 90])


def test_conversion_happens_once_and_again_when_the_file_changes(tmp_path: Path) -> None:
    path, work = tmp_path / "a.png", tmp_path / "work"
    pillow("PNG")(path)
    with open_source(path, work) as source:
        source.downsample(30, 40)
        assert not work.exists()
        foreseen = source.conversion_bytes()
        source.read(0, 0, 9, 9)
        assert source.conversion_bytes() == 0
    (copy,) = work.iterdir()
    assert copy.stat().st_size <= foreseen
    made = copy.stat().st_mtime_ns
    with open_source(path, work) as source:
        source.read(0, 0, 9, 9)
    assert [entry.stat().st_mtime_ns for entry in work.iterdir()] == [made]
    Image.new("RGB", (50, 40), "red").save(path)
    with open_source(path, work) as source:
        assert_array_equal(source.read(5, 5, 1, 1), [[[1, 0, 0]]])
    assert len(list(work.iterdir())) == 2


def test_reduced_pages_serve_small_pictures(tmp_path: Path) -> None:
    path = tmp_path / "pyramid.tif"
    profile = bytes(imagecodecs.cms_profile("adobergb"))
    colors = np.array([[200, 40, 90], [60, 180, 90], [30, 40, 190]], np.uint8)
    with tifffile.TiffWriter(path) as writer:
        for number, color in enumerate(colors):
            values = np.broadcast_to(color, (256 >> number, 320 >> number, 3)).copy()
            extra: dict[str, Any] = {"subfiletype": 1} if number else {"iccprofile": profile}
            writer.write(values, photometric="rgb", tile=(64, 64), **extra)
    Image.fromarray(colors[None]).save(tmp_path / "colors.png", icc_profile=profile)
    expected = read_picture(tmp_path / "colors.png").pixels[0]
    with open_source(path) as source:
        for size, number in {(20, 30): 2, (32, 40): 2, (33, 40): 1, (64, 80): 1, (65, 80): 0}.items():
            found = source.downsample(*size).pixels
            assert_allclose(found, np.broadcast_to(expected[number], found.shape), atol=1e-5)


def test_a_picture_is_not_enlarged(tmp_path: Path) -> None:
    pillow("PNG")(tmp_path / "a.png")
    with open_source(tmp_path / "a.png") as source, pytest.raises(PictureError, match="smaller than 500 x 300"):
        source.downsample(300, 500)


# Geometry and means -----------------------------------------------------------------------------------


@given(st.integers(1, 8), st.data())
def test_windows_of_turned_pictures(orientation: int, data: st.DataObject) -> None:
    stored = np.arange(11 * 7).reshape(11, 7)
    seen = rotate_upright(stored, orientation)
    top = data.draw(st.integers(0, seen.shape[0] - 1))
    left = data.draw(st.integers(0, seen.shape[1] - 1))
    height = data.draw(st.integers(1, seen.shape[0] - top))
    width = data.draw(st.integers(1, seen.shape[1] - left))
    y, x, h, w = stored_window((top, left, height, width), (seen.shape[0], seen.shape[1]), orientation)
    found = rotate_upright(stored[y : y + h, x : x + w], orientation)
    assert_array_equal(found, seen[top : top + height, left : left + width])


@given(st.integers(1, 40), st.integers(1, 40), st.integers(1, 50), st.integers(1, 50), st.integers(1, 17))
def test_means_do_not_depend_on_strips(height: int, width: int, rows: int, columns: int, strip: int) -> None:
    values = np.random.default_rng(height).random((height, width, 4), dtype=np.float32)
    mean = PictureAccumulator((height, width), (rows, columns))
    for top in range(0, height, strip):
        mean.add(values[top : top + strip])
    found = mean.picture()
    expected = area_average(Picture(values[..., :3].copy(), values[..., 3].copy()), rows, columns)
    assert_allclose(whole(found), whole(expected), atol=1e-6)
    assert found.alpha is not None
    assert_allclose(found.alpha.mean(), values[..., 3].mean(), atol=1e-5)
    light = (found.pixels * found.alpha[..., None]).mean(axis=(0, 1), dtype=float)
    expected_light = (values[..., :3] * values[..., 3:]).mean(axis=(0, 1), dtype=float)
    assert_allclose(light, expected_light, atol=1e-5)


def test_means_of_whole_factors_are_those_of_blocks() -> None:
    values = np.random.default_rng(0).random((24, 36, 3), dtype=np.float32)
    blocks = values.reshape(6, 4, 9, 4, 3).mean(axis=(1, 3))
    assert_allclose(area_average(Picture(values), 6, 9).pixels, blocks, atol=1e-6)


def test_hidden_colors_leave_no_fringe() -> None:
    pixels = np.zeros((40, 40, 3), np.float32)
    pixels[:, :17] = (1.0, 0.5, 0.25)
    alpha = np.zeros((40, 40), np.float32)
    alpha[:, :17] = 1
    small = area_average(Picture(pixels, alpha), 10, 10)
    assert small.alpha is not None
    assert_allclose(small.alpha[0, :6], [1, 1, 1, 1, 0.25, 0], atol=1e-6)
    assert_allclose(small.pixels[:, :5], np.broadcast_to([1.0, 0.5, 0.25], (10, 5, 3)), atol=1e-6)


# Errors -----------------------------------------------------------------------------------------------


def one_line(error: BaseException) -> str:
    text = str(error)
    assert "\n" not in text and len(text) < 400
    return text


@pytest.mark.parametrize(
    "kind", ["tiles", "strips", "one packed strip", "unpacked", "PNG", "JPEG", "WebP", "BMP"]
)
@pytest.mark.parametrize("part", [0.02, 0.5, 0.9])
def test_truncated_files(tmp_path: Path, kind: str, part: float) -> None:
    path = tmp_path / "cut"
    KINDS[kind](path)
    content = path.read_bytes()
    path.write_bytes(content[: int(part * len(content))])
    for convert_into in (None, tmp_path / "work"):
        with pytest.raises(PictureError) as caught, open_source(path, convert_into) as source:
            np.concatenate(list(source.strips()))
        assert "cut" in one_line(caught.value)
        with pytest.raises(PictureError) as caught, open_source(path, convert_into) as source:
            source.downsample(40, 40)
        one_line(caught.value)
    assert not list(tmp_path.glob("work/*"))


@pytest.mark.parametrize("form", ["jpeg", "png", "webp", "tiff"])
def test_damaged_files_are_read_or_refused_but_never_crash(
    tmp_path: Path, form: str, capfd: pytest.CaptureFixture[str]
) -> None:
    path, random = tmp_path / "damaged", np.random.default_rng(0)
    Image.fromarray(pattern()[:60, :50]).save(path, form, icc_profile=b"broken" * 20)
    whole = path.read_bytes()
    for number in range(60):
        damaged = bytearray(whole)
        for position in random.integers(0, len(whole), 4):
            damaged[position] = random.integers(0, 256)
        path.write_bytes(damaged)
        try:
            with open_source(path, tmp_path / "work" if number % 2 else None) as source:
                source.downsample(1, 1)
                source.read(0, 0, source.height, source.width)
        except (PictureError, MemoryLimit) as error:
            one_line(error)
    assert capfd.readouterr() == ("", "")


def test_empty_missing_and_no_picture(tmp_path: Path) -> None:
    (tmp_path / "empty.tif").touch()
    (tmp_path / "note.png").write_text("dear diary")
    for name, message in {"empty.tif": "is empty", "gone.png": "no file", "note.png": "not a picture"}.items():
        with pytest.raises(PictureError, match=message) as caught:
            open_source(tmp_path / name)
        one_line(caught.value)


def test_a_tile_that_is_damaged_is_named_when_it_is_read(tmp_path: Path) -> None:
    path = tmp_path / "damaged.tif"
    tiff(tile=(64, 64), compression="zlib")(path)
    with tifffile.TiffFile(path) as file:
        start = file.pages.first.dataoffsets[6]
    content = bytearray(path.read_bytes())
    content[start : start + 40] = bytes(40)
    path.write_bytes(content)
    with open_source(path) as source:
        source.read(0, 0, 64, 64)
        with pytest.raises(PictureError, match=r"damaged\.tif cannot be decoded"):
            source.read(64, 128, 64, 64)


@pytest.mark.parametrize("sides", [(40, 50), (40, 150), (HEIGHT, WIDTH)])
@pytest.mark.parametrize("place", [(0, 0), (-1, -1)])
def test_floats_are_looked_at_in_every_corner(
    tmp_path: Path, sides: tuple[int, int], place: tuple[int, int]
) -> None:
    values = np.full((*sides, 3), 0.5, np.float32)
    values[place] = np.nan
    tifffile.imwrite(tmp_path / "a.tif", values, photometric="rgb", metadata=None)
    with open_source(tmp_path / "a.tif") as source, pytest.raises(PictureError, match="NaN"):
        source.read(15, 20, 9, 9)


def png_of_zeros(path: Path, height: int, width: int, content: bytes) -> None:
    def chunk(kind: bytes, content: bytes) -> bytes:
        return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))

    header = chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0))
    path.write_bytes(b"\x89PNG\r\n\x1a\n" + header + chunk(b"IDAT", content) + chunk(b"IEND", b""))


def test_bombs_are_refused_and_posters_are_not(tmp_path: Path) -> None:
    png_of_zeros(tmp_path / "bomb.png", 60000, 60000, zlib.compress(bytes(100)))
    with pytest.raises(PictureError, match="60000 x 60000 pixels, more than the limit of 1073741824") as caught:
        open_source(tmp_path / "bomb.png")
    one_line(caught.value)
    height, width = 15000, 18000  # most of a gigabyte of black, packed a thousandfold
    packer = zlib.compressobj(1, wbits=-15)
    hundredth = packer.compress(bytes(height // 100 * (3 * width + 1))) + packer.flush(zlib.Z_FULL_FLUSH)
    checksum = (height * (3 * width + 1) % 65521 << 16) + 1  # Adler-32 of zeros
    content = b"\x78\x01" + 100 * hundredth + packer.flush() + struct.pack(">I", checksum)
    png_of_zeros(tmp_path / "poster.png", height, width, content)
    with open_source(tmp_path / "poster.png") as source:
        assert (source.height, source.width) == (height, width)


@pytest.mark.parametrize("suffix", ["png", "tif", "webp", "jpg"])
@pytest.mark.parametrize("sides", [(7, 70_000), (70_000, 7), (3, 400)])
def test_long_strips_and_low_pictures(tmp_path: Path, suffix: str, sides: tuple[int, int]) -> None:
    path = tmp_path / f"long.{suffix}"
    if max(sides) > 65500 and suffix in ("jpg", "webp"):
        with pytest.raises(OutputError, match="exceed"):
            write_picture(path, np.zeros((*sides, 3), np.uint8))
        return
    values = np.broadcast_to(
        np.linspace(0, 1, max(sides), dtype=np.float32)[:, None, None], (max(sides), min(sides), 3)
    )
    values = values if sides[0] > sides[1] else values.swapaxes(0, 1)
    write_picture(path, values, options=WriteOptions(quality=100, lossless=True))
    for work in (None, tmp_path / "work"):
        with open_source(path, work) as source:
            assert (source.height, source.width) == sides
            top, left = (sides[0] - 3, 0) if sides[0] > sides[1] else (0, sides[1] - 3)
            assert_allclose(source.read(top, left, 3, 3), values[top : top + 3, left : left + 3], atol=0.01)
            small = source.downsample(*(max(1, side // 20) for side in sides))
            assert_allclose(small.pixels.mean(), 0.5, atol=0.01)


def test_a_full_disk_while_converting(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object, **__: object) -> None:
        raise pyvips.Error("unable to call tiffsave\nwrite failed\nsystem error: No space left on device")

    pillow("PNG")(tmp_path / "a.png")
    monkeypatch.setattr(pyvips.Image, "tiffsave", fail)
    with open_source(tmp_path / "a.png", tmp_path / "work") as source:
        with pytest.raises(OutputError, match=r"No space left on device.*free some space") as caught:
            source.read(0, 0, 4, 4)
        one_line(caught.value)
    assert not list((tmp_path / "work").iterdir())
