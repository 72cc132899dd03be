"""Reading: every kind of file and array arrives as the same float sRGB picture."""

from __future__ import annotations

import io
import struct
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import imagecodecs
import numpy as np
import pytest
import tifffile
import torch
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from numpy.testing import assert_allclose, assert_array_equal
from numpy.typing import NDArray
from PIL import Image, ImageCms, ImageOps

from tilestyle.errors import MemoryLimit, PictureError
from tilestyle.files.paths import regular_file
from tilestyle.images import Picture, inspect_picture, picture_from, read_picture
from tilestyle.images.color_management import srgb_profile

HEIGHT, WIDTH = 5, 7
SHAPE = (HEIGHT, WIDTH)
EXACT = 1e-7


def noise(dtype: str, channels: int = 3, seed: int = 0, shape: tuple[int, int] = SHAPE) -> NDArray[Any]:
    """Random samples [H, W] or [H, W, C] over the full range of an unsigned type."""
    generator = np.random.default_rng(seed)
    full = (*shape, channels) if channels > 1 else shape
    return generator.integers(0, np.iinfo(dtype).max + 1, full, dtype=dtype)


def image_of(values: NDArray[Any], mode: str) -> Image.Image:
    """An image of a mode that Pillow would not guess from the array."""
    return Image.frombytes(mode, (values.shape[1], values.shape[0]), values.tobytes())


def gray_as_rgb(unit: NDArray[Any]) -> NDArray[Any]:
    return np.repeat(unit[..., None], 3, axis=2)


# Modes ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("suffix", ["png", "bmp", "webp", "tif", "ppm", "tga"])
def test_eight_bit_rgb_is_exact(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"Ölbild 1.{suffix}"
    values = noise("uint8")
    Image.fromarray(values).save(path, lossless=True)
    picture = read_picture(str(path))
    assert_allclose(picture.pixels, values / 255, atol=EXACT)
    assert picture.pixels.dtype == np.float32 and picture.pixels.flags.c_contiguous
    assert (picture.height, picture.width, picture.depth) == (HEIGHT, WIDTH, 8)
    assert (picture.name, picture.alpha, picture.profile) == (path.name, None, "sRGB")


@pytest.mark.parametrize("suffix", ["png", "tif", "gif", "jpg"])
def test_gray_has_three_equal_channels(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"gray.{suffix}"
    Image.fromarray(np.full(SHAPE, 51, np.uint8)).save(path)
    assert_allclose(read_picture(path).pixels, np.full((*SHAPE, 3), 0.2), atol=EXACT)


def test_black_and_white(tmp_path: Path) -> None:
    bits = noise("uint8", 1) > 127
    for suffix in ("png", "tif"):
        Image.fromarray(bits).save(tmp_path / f"bits.{suffix}")
        assert_array_equal(read_picture(tmp_path / f"bits.{suffix}").pixels, gray_as_rgb(bits))


@pytest.mark.parametrize("mode", ["LA", "RGBA"])
@pytest.mark.parametrize("suffix", ["png", "tif"])
def test_alpha_is_straight(tmp_path: Path, mode: str, suffix: str) -> None:
    values = noise("uint8", len(mode))
    image_of(values, mode).save(tmp_path / f"a.{suffix}")
    picture = read_picture(tmp_path / f"a.{suffix}")
    assert picture.alpha is not None
    assert_allclose(picture.alpha, values[..., -1] / 255, atol=EXACT)
    assert_allclose(picture.pixels, np.broadcast_to(values[..., :-1] / 255, (*SHAPE, 3)), atol=EXACT)


def test_palette_with_transparent_entry(tmp_path: Path) -> None:
    indices = noise("uint8", 1) % 3
    palette = np.array([[255, 0, 0], [0, 255, 0], [10, 20, 30]], np.uint8)
    image = image_of(indices, "P")
    image.putpalette(palette.tobytes())
    image.save(tmp_path / "opaque.png")
    image.save(tmp_path / "holes.png", transparency=bytes([255, 128, 0]))
    opaque, holes = (read_picture(tmp_path / name) for name in ("opaque.png", "holes.png"))
    for picture in (opaque, holes):
        assert_allclose(picture.pixels, palette[indices] / 255, atol=EXACT)
    assert opaque.alpha is None and holes.alpha is not None
    assert_allclose(holes.alpha, np.array([255, 128, 0])[indices] / 255, atol=EXACT)


def test_transparent_color_of_rgb_png(tmp_path: Path) -> None:
    values = noise("uint8")
    Image.fromarray(values).save(tmp_path / "key.png", transparency=tuple(int(v) for v in values[0, 0]))
    picture = read_picture(tmp_path / "key.png")
    assert picture.alpha is not None
    assert picture.alpha[0, 0] == 0 and picture.alpha.sum() == HEIGHT * WIDTH - 1


def test_cmyk_without_profile_multiplies_what_inks_leave(tmp_path: Path) -> None:
    inks = noise("uint8", 4)
    image_of(inks, "CMYK").save(tmp_path / "inks.tif")
    light = 1 - inks / 255
    picture = read_picture(tmp_path / "inks.tif")
    assert_allclose(picture.pixels, light[..., :3] * light[..., 3:], atol=1e-6)
    assert picture.profile == "CMYK without a profile"


def test_cmyk_jpeg_is_not_inverted(tmp_path: Path) -> None:
    Image.new("CMYK", (16, 16), (0, 255, 255, 0)).save(tmp_path / "red.jpg", quality=100)
    assert_allclose(read_picture(tmp_path / "red.jpg").pixels[8, 8], [1, 0, 0], atol=2 / 255)


def test_ycbcr_jpeg_matches_pillow(tmp_path: Path) -> None:
    smooth = np.linspace(0, 255, 32 * 32 * 3).reshape(32, 32, 3).astype(np.uint8)
    Image.fromarray(smooth).save(tmp_path / "a.jpg")
    with Image.open(tmp_path / "a.jpg") as image:
        assert_allclose(read_picture(tmp_path / "a.jpg").pixels, np.asarray(image) / 255, atol=EXACT)


@pytest.mark.parametrize(
    ("lab", "srgb"),
    [((100, 0, 0), (255, 255, 255)), ((50, 0, 0), (119, 119, 119)), ((54, 81, 70), (255, 0, 0))],
)
def test_lab_tiff(tmp_path: Path, lab: tuple[int, int, int], srgb: tuple[int, int, int]) -> None:
    lightness, a, b = lab
    eight = np.array([round(lightness * 2.55), a, b], np.int16).astype(np.uint8)
    offset = np.array([round(lightness * 2.55), a + 128, b + 128], np.uint8)
    sixteen = np.array([round(lightness * 655.35), a * 256, b * 256], np.int32).astype(np.uint16)
    variants: list[tuple[str, NDArray[Any], int]] = [
        ("8", eight, 8),
        ("16", sixteen, 8),
        ("icc", offset, 9),
    ]
    for name, value, photometric in variants:
        path = tmp_path / f"{name}.tif"
        values = np.broadcast_to(value, (*SHAPE, 3))
        tifffile.imwrite(path, np.ascontiguousarray(values), photometric=photometric, metadata=None)
        assert_allclose(read_picture(path).pixels[2, 3] * 255, srgb, atol=4)
    assert read_picture(path).profile == "CIELAB"


def test_first_frame_of_an_animation(tmp_path: Path) -> None:
    red, blue = Image.new("RGB", (7, 5), "red"), Image.new("RGB", (7, 5), "blue")
    red.save(tmp_path / "a.gif", save_all=True, append_images=[blue])
    assert_array_equal(read_picture(tmp_path / "a.gif").pixels[2, 3], [1, 0, 0])


# Depth ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("channels", [1, 2, 3, 4])
def test_sixteen_bit_png_is_exact(tmp_path: Path, channels: int) -> None:
    values = noise("uint16", channels)
    path = tmp_path / "deep.png"
    path.write_bytes(imagecodecs.png_encode(values))
    picture = read_picture(path)
    stacked = values[..., None] if channels == 1 else values
    colors = stacked[..., : 1 if channels < 3 else 3]
    assert_array_equal(np.rint(picture.pixels * 65535), np.broadcast_to(colors, (*SHAPE, 3)))
    assert picture.depth == 16
    if channels in (2, 4):
        assert picture.alpha is not None
        assert_array_equal(np.rint(picture.alpha * 65535), stacked[..., -1])


@pytest.mark.parametrize("byteorder", ["<", ">"])
@pytest.mark.parametrize("channels", [1, 3])
def test_sixteen_bit_tiff_is_exact(tmp_path: Path, byteorder: str, channels: int) -> None:
    values = noise("uint16", channels)
    photometric = "rgb" if channels == 3 else "minisblack"
    tifffile.imwrite(tmp_path / "a.tif", values, photometric=photometric, byteorder=byteorder)  # type: ignore[arg-type]
    picture = read_picture(tmp_path / "a.tif")
    expected = values if channels == 3 else gray_as_rgb(values)
    assert_array_equal(np.rint(picture.pixels * 65535), expected)
    assert picture.depth == 16


@pytest.mark.parametrize("suffix", ["png", "tif", "pgm"])
def test_sixteen_bit_gray_by_pillow(tmp_path: Path, suffix: str) -> None:
    values = noise("uint16", 1)
    values[0, 0] = 65535
    Image.fromarray(values).save(tmp_path / f"a.{suffix}")
    picture = read_picture(tmp_path / f"a.{suffix}")
    assert_array_equal(np.rint(picture.pixels[..., 1] * 65535), values)
    assert picture.depth == 16


@pytest.mark.parametrize("mode", ["I;16", "I;16B"])
def test_sixteen_bit_pillow_images(mode: str) -> None:
    values = noise("uint16", 1)
    stored = {"I;16": "<u2", "I;16B": ">u2"}[mode]
    image = Image.frombytes(mode, (WIDTH, HEIGHT), values.astype(stored).tobytes())
    assert_array_equal(np.rint(picture_from(image).pixels[..., 0] * 65535), values)


@pytest.mark.parametrize("dtype", ["float16", "float32", "float64"])
def test_float_tiff_is_taken_as_it_is(tmp_path: Path, dtype: str) -> None:
    values = np.random.default_rng(1).random((*SHAPE, 3)).astype(dtype)
    tifffile.imwrite(tmp_path / "f.tif", values, photometric="rgb")
    picture = read_picture(tmp_path / "f.tif")
    assert_array_equal(picture.pixels, values.astype(np.float32))
    assert picture.depth == (16 if dtype == "float16" else 32)


def test_highlights_of_float_tiff_are_clipped(tmp_path: Path) -> None:
    values = np.full((*SHAPE, 3), 0.25, np.float32)
    values[0, 0], values[1, 1] = 37.5, -0.01
    tifffile.imwrite(tmp_path / "hdr.tif", values, photometric="rgb")
    pixels = read_picture(tmp_path / "hdr.tif").pixels
    assert_array_equal(pixels[0, 0], [1, 1, 1])
    assert_array_equal(pixels[1, 1], [0, 0, 0])
    assert_array_equal(pixels[2, 2], [0.25, 0.25, 0.25])


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_values_that_are_not_finite_are_refused(tmp_path: Path, bad: float) -> None:
    values = np.zeros((*SHAPE, 3), np.float32)
    values[2, 2, 2] = bad
    tifffile.imwrite(tmp_path / "bad.tif", values, photometric="rgb")
    with pytest.raises(PictureError, match=r"bad\.tif contains NaN or infinity"):
        read_picture(tmp_path / "bad.tif")
    with pytest.raises(PictureError, match="contains NaN"):
        picture_from(values)


# TIFF -------------------------------------------------------------------------------------------------


def test_planar_tiff(tmp_path: Path) -> None:
    values = noise("uint8")
    planes = np.ascontiguousarray(np.moveaxis(values, -1, 0))
    tifffile.imwrite(tmp_path / "p.tif", planes, photometric="rgb", planarconfig="separate")
    assert_allclose(read_picture(tmp_path / "p.tif").pixels, values / 255, atol=EXACT)


@pytest.mark.parametrize("dtype", ["uint8", "uint16", "float32"])
def test_white_is_zero(tmp_path: Path, dtype: str) -> None:
    unit = np.linspace(0, 1, HEIGHT * WIDTH).reshape(SHAPE)
    scale = 1 if dtype == "float32" else np.iinfo(dtype).max
    tifffile.imwrite(tmp_path / "w.tif", (unit * scale).astype(dtype), photometric="miniswhite")
    expected = gray_as_rgb(1 - (unit * scale).astype(dtype) / scale)
    assert_allclose(read_picture(tmp_path / "w.tif").pixels, expected, atol=1e-6)


@pytest.mark.parametrize("bits", [1, 2, 4, 12])
def test_odd_bit_depths_reach_white(tmp_path: Path, bits: int) -> None:
    top = 2**bits - 1
    values = (np.arange(HEIGHT * WIDTH).reshape(SHAPE) % (top + 1)).astype("uint16" if bits > 8 else "uint8")
    values[0, 0] = top
    tifffile.imwrite(tmp_path / "b.tif", values, bitspersample=bits, photometric="minisblack")
    picture = read_picture(tmp_path / "b.tif")
    assert_allclose(picture.pixels, gray_as_rgb(values / top), atol=1e-6)
    assert picture.depth == (16 if bits > 8 else 8)


@pytest.mark.parametrize("kind", ["assocalpha", "unassalpha", "unspecified"])
def test_extra_samples(tmp_path: Path, kind: str) -> None:
    straight = noise("uint8").astype(float)
    alpha = np.array([255, 128, 51], np.uint8)[noise("uint8", 1, seed=5) % 3]
    alpha[1, 2] = 0
    colors = straight * alpha[..., None] / 255 if kind == "assocalpha" else straight
    stored = np.dstack([np.rint(colors), alpha]).astype(np.uint8)
    tifffile.imwrite(tmp_path / "x.tif", stored, photometric="rgb", extrasamples=[kind])
    picture = read_picture(tmp_path / "x.tif")
    if kind == "unspecified":
        assert picture.alpha is None
        return
    assert picture.alpha is not None
    assert_allclose(picture.alpha, alpha / 255, atol=EXACT)
    visible = alpha > 0
    assert_allclose(picture.pixels[visible], straight[visible] / 255, atol=0.5 / 51 + EXACT)


def test_palette_tiff(tmp_path: Path) -> None:
    table = noise("uint16", 3, shape=(1, 256))[0]
    indices = noise("uint8", 1)
    table = np.ascontiguousarray(table.T)
    tifffile.imwrite(tmp_path / "p.tif", indices, photometric="palette", colormap=table)
    expected = (table >> 8).T[indices] / 255
    assert_allclose(read_picture(tmp_path / "p.tif").pixels, expected, atol=EXACT)


def test_multipage_tiff_gives_the_first_full_page(tmp_path: Path) -> None:
    full, thumbnail, second = noise("uint8"), noise("uint8", shape=(2, 3)), noise("uint8", seed=3)
    with tifffile.TiffWriter(tmp_path / "m.tif") as writer:
        writer.write(thumbnail, photometric="rgb", subfiletype=1)
        writer.write(full, photometric="rgb")
        writer.write(second, photometric="rgb")
    assert_allclose(read_picture(tmp_path / "m.tif").pixels, full / 255, atol=EXACT)
    assert inspect_picture(tmp_path / "m.tif").width == WIDTH


@pytest.mark.parametrize("compression", ["lzw", "zlib", "packbits", "zstd", "lzma"])
def test_compressed_tiled_tiff(tmp_path: Path, compression: str) -> None:
    values = noise("uint8", shape=(40, 33))
    tifffile.imwrite(tmp_path / "c.tif", values, photometric="rgb", compression=compression, tile=(16, 16))
    assert_allclose(read_picture(tmp_path / "c.tif").pixels, values / 255, atol=EXACT)


def test_jpeg_in_tiff(tmp_path: Path) -> None:
    values = np.full((32, 32, 3), (200, 100, 50), np.uint8)
    Image.fromarray(values).save(tmp_path / "j.tif", compression="jpeg", quality=100)
    assert_allclose(read_picture(tmp_path / "j.tif").pixels, values / 255, atol=3 / 255)


def test_uncompressed_ycbcr_tiff(tmp_path: Path) -> None:
    image = Image.new("RGB", (8, 6), (200, 100, 50)).convert("YCbCr")
    image.save(tmp_path / "y.tif")
    expected = np.broadcast_to(np.array([200, 100, 50]) / 255, (6, 8, 3))
    assert_allclose(read_picture(tmp_path / "y.tif").pixels, expected, atol=2 / 255)


@pytest.mark.parametrize("dtype", ["int16", "complex64"])
def test_signed_and_complex_tiff_are_refused(tmp_path: Path, dtype: str) -> None:
    tifffile.imwrite(tmp_path / "s.tif", np.zeros(SHAPE, dtype), photometric="minisblack")
    with pytest.raises(PictureError, match=f"samples of type {dtype}"):
        read_picture(tmp_path / "s.tif")


def test_raw_sensor_tiff_is_refused(tmp_path: Path) -> None:
    tifffile.imwrite(tmp_path / "raw.tif", np.zeros(SHAPE, "uint16"), photometric="minisblack")
    with tifffile.TiffFile(tmp_path / "raw.tif", mode="r+") as file:
        file.pages.first.tags["PhotometricInterpretation"].overwrite(34892)
    with pytest.raises(PictureError, match="LINEAR_RAW"):
        read_picture(tmp_path / "raw.tif")


# Orientation ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("suffix", ["png", "webp", "tif", "jpg"])
def test_orientation_is_applied(tmp_path: Path, orientation: int, suffix: str) -> None:
    path = tmp_path / f"turned.{suffix}"
    values = np.kron(noise("uint8", shape=(2, 3)), np.ones((16, 16, 1), np.uint8))
    exif = Image.Exif()
    exif[0x0112] = orientation
    extra: dict[str, Any] = {"webp": {"lossless": True}, "jpg": {"subsampling": 0, "quality": 100}}
    Image.fromarray(values).save(path, exif=exif, **extra.get(suffix, {}))
    with Image.open(path) as image:
        expected = np.asarray(ImageOps.exif_transpose(image))
    picture = read_picture(path)
    assert_allclose(picture.pixels, expected / 255, atol=EXACT)
    info = inspect_picture(path)
    assert (info.height, info.width) == (picture.height, picture.width) == expected.shape[:2]


def png_chunk(kind: bytes, content: bytes) -> bytes:
    return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))


@pytest.mark.parametrize("dtype", ["uint8", "uint16"])
@pytest.mark.parametrize("late", [False, True])
def test_orientation_of_png_before_and_after_the_pixels(tmp_path: Path, dtype: str, late: bool) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    values = np.dstack([noise(dtype), noise(dtype, 1, seed=9)])
    encoded = imagecodecs.png_encode(values)
    position = len(encoded) - 12 if late else 33
    chunk = png_chunk(b"eXIf", exif.tobytes()[6:])
    (tmp_path / "e.png").write_bytes(encoded[:position] + chunk + encoded[position:])
    picture = read_picture(tmp_path / "e.png")
    turned = np.rot90(values, -1) / np.iinfo(dtype).max
    assert_allclose(picture.pixels, turned[..., :3], atol=EXACT)
    assert picture.alpha is not None
    assert_allclose(picture.alpha, turned[..., 3], atol=EXACT)
    assert inspect_picture(tmp_path / "e.png").height == WIDTH


def test_impossible_orientation_is_upright(tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[0x0112] = 0
    Image.fromarray(noise("uint8")).save(tmp_path / "o.png", exif=exif)
    assert_allclose(read_picture(tmp_path / "o.png").pixels, noise("uint8") / 255, atol=EXACT)


# Profiles ---------------------------------------------------------------------------------------------


def wide_profile() -> bytes:
    return bytes(imagecodecs.cms_profile("adobergb"))


def lut_tag(inputs: int, nodes: list[tuple[int, int, int]]) -> bytes:
    """A lut16 tag of two grid points a side, from device values to Lab."""
    identity = struct.pack(f">{9}i", *(65536 * value for value in (1, 0, 0, 0, 1, 0, 0, 0, 1)))
    head = b"mft2" + bytes(4) + bytes([inputs, 3, 2, 0]) + identity + struct.pack(">2H", 2, 2)
    table = b"".join(struct.pack(">3H", *node) for node in nodes)
    return head + struct.pack(">2H", 0, 65535) * inputs + table + struct.pack(">2H", 0, 65535) * 3


def ink_profile() -> bytes:
    """A made-up press: each ink takes its share of lightness and pushes the color its own way."""
    nodes = []
    for index in range(16):
        cyan, magenta, yellow, black = ((index >> shift) & 1 for shift in (3, 2, 1, 0))
        lightness = max(0, 100 - 45 * cyan - 50 * magenta - 10 * yellow - 80 * black) / 100
        a, b = -35 * cyan + 70 * magenta, -45 * cyan + 85 * yellow
        faded = 0.1 if black else 1.0
        nodes.append((round(lightness * 65280), round((a * faded + 128) * 256), round((b * faded + 128) * 256)))
    description = b"press"
    tags = {
        b"desc": b"desc" + bytes(4) + struct.pack(">I", 6) + description + bytes(1 + 8 + 3 + 67),
        b"cprt": b"text" + bytes(4) + b"none\0",
        b"wtpt": b"XYZ " + bytes(4) + struct.pack(">3i", 63190, 65536, 54061),
        b"A2B0": lut_tag(4, nodes),
    }
    offset, table, body = 128 + 4 + 12 * len(tags), b"", b""
    for name, content in tags.items():
        padded = content + bytes(-len(content) % 4)
        table += name + struct.pack(">2I", offset + len(body), len(content))
        body += padded
    header = bytearray(128)
    header[8:12], header[12:24] = bytes([2, 0x40, 0, 0]), b"prtrCMYKLab "
    header[36:40], header[68:80] = b"acsp", struct.pack(">3i", 63190, 65536, 54061)
    profile = bytes(header) + struct.pack(">I", len(tags)) + table + body
    return struct.pack(">I", len(profile)) + profile[4:]


def by_imagecms(values: NDArray[np.uint8], mode: str, profile: bytes) -> NDArray[Any]:
    converted = ImageCms.profileToProfile(
        image_of(values, mode),
        ImageCms.ImageCmsProfile(io.BytesIO(profile)),
        ImageCms.createProfile("sRGB"),
        renderingIntent=ImageCms.Intent.RELATIVE_COLORIMETRIC,
        outputMode="RGB",
        flags=ImageCms.Flags.BLACKPOINTCOMPENSATION,
    )
    assert converted is not None
    return np.asarray(converted) / 255


@pytest.mark.parametrize("suffix", ["png", "tif", "webp"])
def test_wide_gamut_profile_is_converted(tmp_path: Path, suffix: str) -> None:
    values = noise("uint8", shape=(20, 30))
    path = tmp_path / f"wide.{suffix}"
    Image.fromarray(values).save(path, icc_profile=wide_profile(), lossless=True)
    picture = read_picture(path)
    assert_allclose(picture.pixels, by_imagecms(values, "RGB", wide_profile()), atol=1.01 / 255)
    assert np.abs(picture.pixels - values / 255).max() > 0.05
    assert picture.profile == "Adobe RGB (compatible)" == inspect_picture(path).profile


@pytest.mark.parametrize("suffix", ["png", "tif"])
def test_deep_pictures_are_converted_beyond_eight_bits(tmp_path: Path, suffix: str) -> None:
    ramp = np.linspace(20000, 24000, 64).astype(np.uint16)
    values = np.ascontiguousarray(np.broadcast_to(ramp[None, :, None], (2, 64, 3)))
    path = tmp_path / f"deep.{suffix}"
    if suffix == "tif":
        tifffile.imwrite(path, values, photometric="rgb", iccprofile=wide_profile())
    else:
        encoded = imagecodecs.png_encode(values)
        chunk = png_chunk(b"iCCP", b"wide\0\0" + zlib.compress(wide_profile()))
        path.write_bytes(encoded[:33] + chunk + encoded[33:])
    pixels = read_picture(path).pixels
    assert (np.diff(pixels[0, :, 1]) > 0).all()  # 16 steps of 8 bits could not give 64 levels
    light = (ramp / 65535) ** (563 / 256)  # gray of Adobe RGB is gray of sRGB, by another curve
    assert_allclose(pixels[0, :, 1], 1.055 * light ** (1 / 2.4) - 0.055, atol=3e-4)


def test_float_tiff_with_profile(tmp_path: Path) -> None:
    values = noise("uint8", shape=(20, 30))
    unit = (values / 255).astype(np.float32)
    tifffile.imwrite(tmp_path / "f.tif", unit, photometric="rgb", iccprofile=wide_profile())
    expected = by_imagecms(values, "RGB", wide_profile())
    assert_allclose(read_picture(tmp_path / "f.tif").pixels, expected, atol=1.01 / 255)


@pytest.mark.parametrize("dtype", ["uint8", "uint16", "float32"])
def test_gray_profile_is_converted(tmp_path: Path, dtype: str) -> None:
    profile = imagecodecs.cms_profile("gray", whitepoint=(0.3127, 0.329, 1.0), gamma=1.8)
    unit = np.linspace(0, 1, 35).reshape(SHAPE)
    scale = 1 if dtype == "float32" else np.iinfo(dtype).max
    stored = (unit * scale).astype(dtype)
    tifffile.imwrite(tmp_path / "g.tif", stored, photometric="minisblack", iccprofile=profile)
    light = (stored / scale) ** 1.8
    encoded = np.where(light <= 0.0031308, 12.92 * light, 1.055 * light ** (1 / 2.4) - 0.055)
    assert_allclose(read_picture(tmp_path / "g.tif").pixels, gray_as_rgb(encoded), atol=1.5 / 255)


def test_gray_picture_with_rgb_profile(tmp_path: Path) -> None:
    values = noise("uint8", 1)
    Image.fromarray(values).save(tmp_path / "g.png", icc_profile=wide_profile())
    expected = by_imagecms(np.repeat(values[..., None], 3, axis=2), "RGB", wide_profile())
    assert_allclose(read_picture(tmp_path / "g.png").pixels, expected, atol=1.01 / 255)


@pytest.mark.parametrize("suffix", ["tif", "jpg"])
def test_cmyk_profile_is_converted(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"inks.{suffix}"
    values = np.kron(noise("uint8", 4, shape=(3, 4)), np.ones((16, 16, 1), np.uint8))
    image_of(values, "CMYK").save(path, icc_profile=ink_profile(), quality=100, subsampling=0)
    with Image.open(path) as image:
        stored = np.asarray(image)
    picture = read_picture(path)
    assert_allclose(picture.pixels, by_imagecms(stored, "CMYK", ink_profile()), atol=2.01 / 255)
    light = 1 - stored / 255
    assert np.abs(picture.pixels - light[..., :3] * light[..., 3:]).max() > 0.05
    assert picture.profile == "press"


@pytest.mark.parametrize("profile", [srgb_profile(), bytes(imagecodecs.cms_profile("srgb"))])
@pytest.mark.parametrize("dtype", ["uint8", "uint16"])
def test_srgb_profile_changes_nothing(tmp_path: Path, profile: bytes, dtype: str) -> None:
    values = noise(dtype, shape=(20, 30))
    tifffile.imwrite(tmp_path / "s.tif", values, photometric="rgb", iccprofile=profile)
    top = np.iinfo(dtype).max
    assert_array_equal(np.rint(read_picture(tmp_path / "s.tif").pixels * top), values)


@pytest.mark.parametrize("mode", ["RGB", "CMYK", "L"])
@pytest.mark.parametrize("damage", ["noise", "cut", "short", "tagless"])
def test_broken_profile_keeps_the_picture(tmp_path: Path, mode: str, damage: str) -> None:
    whole = {"RGB": wide_profile(), "CMYK": ink_profile(), "L": wide_profile()}[mode]
    tagless = whole[:128] + bytes(4)
    broken = {
        "noise": noise("uint8", shape=(10, 10)).tobytes(),
        "cut": whole[: len(whole) // 2],
        "short": b"x",
        "tagless": struct.pack(">I", len(tagless)) + tagless[4:],
    }[damage]
    color = {"RGB": (255, 0, 0), "CMYK": (0, 255, 255, 0), "L": 51}[mode]
    image = Image.new(mode, (WIDTH, HEIGHT), color)  # type: ignore[arg-type]
    image.save(tmp_path / "b.tif", icc_profile=broken)
    picture = read_picture(tmp_path / "b.tif")
    assert_allclose(picture.pixels[2, 3], [0.2] * 3 if mode == "L" else [1, 0, 0], atol=EXACT)
    assert "not used" in picture.profile


def test_profile_of_other_channels_is_not_used(tmp_path: Path) -> None:
    values = noise("uint8")
    Image.fromarray(values).save(tmp_path / "o.png", icc_profile=ink_profile())
    picture = read_picture(tmp_path / "o.png")
    assert_allclose(picture.pixels, values / 255, atol=EXACT)
    assert picture.profile == "press, not used: not for RGB pictures"


# Arrays, tensors, images ------------------------------------------------------------------------------


@pytest.mark.parametrize("channels", [1, 3, 4])
@pytest.mark.parametrize("dtype", ["uint8", "uint16", "float16", "float32", "float64", ">u2", ">f4"])
def test_arrays_and_tensors_agree(channels: int, dtype: str) -> None:
    unit = np.random.default_rng(2).random((*SHAPE, channels))
    kind = np.dtype(dtype)
    array = (unit * (np.iinfo(kind).max if kind.kind == "u" else 1)).astype(kind)
    picture = picture_from(array)
    assert_allclose(
        picture.pixels,
        np.broadcast_to(unit[..., : 1 if channels == 1 else 3], (*SHAPE, 3)),
        atol=1e-3 if dtype == "float16" else 1 / 255,
    )
    assert (picture.alpha is not None) == (channels == 4)
    assert (picture.name, picture.dpi, picture.profile) == ("", None, "sRGB")
    if kind.byteorder == ">":
        return
    tensor = torch.from_numpy(array).permute(2, 0, 1)
    for source in (tensor, tensor[None]):
        again = picture_from(source)
        assert_array_equal(again.pixels, picture.pixels)
        assert (again.alpha is not None) == (channels == 4)


@given(
    hnp.arrays(
        np.float32,
        hnp.array_shapes(min_dims=2, max_dims=2, min_side=2, max_side=6),
        elements=st.floats(0, 1, width=32),
    )
)
def test_unit_floats_pass_unchanged(values: NDArray[np.float32]) -> None:
    assert_array_equal(picture_from(values).pixels, gray_as_rgb(values))


def test_tensor_with_gradient_and_bfloat16() -> None:
    tensor = torch.rand(3, *SHAPE, requires_grad=True)
    assert_array_equal(picture_from(tensor).pixels, tensor.detach().permute(1, 2, 0).numpy())
    assert picture_from(tensor.to(torch.bfloat16)).pixels.dtype == np.float32


def test_bool_is_black_and_white() -> None:
    mask = np.eye(4, dtype=bool)
    assert_array_equal(picture_from(mask).pixels, gray_as_rgb(mask))
    assert_array_equal(picture_from(torch.eye(4, dtype=torch.bool)).pixels, gray_as_rgb(mask))


def test_arrays_are_copied_and_pictures_are_not() -> None:
    values = np.zeros((*SHAPE, 3), np.float32)
    picture = picture_from(values)
    values += 1
    assert picture.pixels.max() == 0
    assert picture_from(picture) is picture


class OwnArray(np.ndarray):
    """A subclass whose parts have another shape than those of an array."""

    def __getitem__(self, key: Any) -> Any:
        return np.asarray(self)[key].ravel()


@pytest.mark.parametrize(
    "subclass",
    [
        np.asmatrix,  # NumPy itself crashes if it gets a third axis
        np.ma.masked_array,
        lambda values: values.view(OwnArray),
        lambda values: values.view(np.recarray),
    ],
)
@pytest.mark.parametrize("kind", ["uint8", "float32", "bool"])
@pytest.mark.filterwarnings("ignore:the matrix subclass")
def test_arrays_of_other_classes_are_read_as_arrays(
    subclass: Callable[[NDArray[Any]], NDArray[Any]], kind: str
) -> None:
    values = (noise("uint8")[..., 0] % 2).astype(kind)
    assert_array_equal(picture_from(subclass(values)).pixels, picture_from(values).pixels)


def test_pillow_images_with_profile_and_orientation(tmp_path: Path) -> None:
    values = noise("uint8")
    exif = Image.Exif()
    exif[0x0112] = 3
    Image.fromarray(values).save(tmp_path / "i.png", icc_profile=wide_profile(), exif=exif, dpi=(300, 150))
    with Image.open(tmp_path / "i.png") as image:
        picture = picture_from(image)
    from_file = read_picture(tmp_path / "i.png")
    assert_array_equal(picture.pixels, from_file.pixels)
    assert picture.name == from_file.name == "i.png"
    assert picture.dpi is not None
    assert_allclose(picture.dpi, (300, 150), rtol=1e-3)
    assert_array_equal(picture_from(Image.fromarray(values)).pixels, values / np.float32(255))


@pytest.mark.parametrize(
    ("array", "message"),
    [
        (np.zeros((3, 5, 7)), "moveaxis"),
        (np.zeros((5, 7, 2)), r"shape \(5, 7, 2\)"),
        (np.zeros(5), r"shape \(5,\)"),
        (np.zeros((1, 5, 7, 3)), "shape"),
        (np.zeros((5, 7), np.int64), "type int64"),
        (np.zeros((5, 7), np.complex64), "type complex64"),
        (np.zeros((5, 7), object), "type object"),
        (np.zeros((0, 7, 3)), "7 x 0 pixels"),
        (np.zeros((1, 1, 3)), "1 x 1 pixels"),
        (np.full((5, 7), 200.0), "from 200 to 200"),
        (np.random.default_rng(0).normal(size=(50, 70, 3)), r"instead of \[0, 1\]"),
        (np.full((5, 7), 1e300), "contains NaN"),
    ],
)
def test_impossible_arrays(array: NDArray[Any], message: str) -> None:
    with pytest.raises(PictureError, match=message):
        picture_from(array)


@pytest.mark.parametrize(
    ("shape", "message"),
    [((5, 7, 3), "permute"), ((2, 3, 5, 7), "one picture"), ((2, 5, 7), "shape"), ((5,), "shape")],
)
def test_impossible_tensors(shape: tuple[int, ...], message: str) -> None:
    with pytest.raises(PictureError, match=message):
        picture_from(torch.zeros(shape))


@pytest.mark.parametrize("source", [None, 3, [[0.0, 1.0]], b"picture.png"])
def test_other_things_are_no_pictures(source: object) -> None:
    with pytest.raises(PictureError, match=f"from {type(source).__name__}"):
        picture_from(source)


def test_picture_refuses_other_shapes_and_types() -> None:
    with pytest.raises(PictureError, match="float64"):
        Picture(pixels=np.zeros((2, 2, 3)))  # type: ignore[arg-type]
    with pytest.raises(PictureError, match="alpha"):
        Picture(pixels=np.zeros((2, 2, 3), np.float32), alpha=np.zeros((2, 3), np.float32))


# Errors -----------------------------------------------------------------------------------------------


def one_line(caught: pytest.ExceptionInfo[PictureError]) -> str:
    text = str(caught.value)
    assert "\n" not in text and caught.value.hint
    return text


def test_a_color_that_was_taken_for_a_file(tmp_path: Path) -> None:
    for name in ("#f00", "#ff00zz"):
        with pytest.raises(PictureError, match=f"there is no file .*{name}; write a color as #rrggbb"):
            read_picture(tmp_path / name)
    for name, hint in (("red", "check the path, or write a color as #rrggbb"), ("red.png", "check the path$")):
        with pytest.raises(PictureError, match=f"mask of style: there is no file .*{name}; {hint}"):
            regular_file(tmp_path / name, "mask of style", PictureError)


def test_a_pillow_image_that_was_closed_is_not_called_damaged(tmp_path: Path) -> None:
    Image.new("RGB", (8, 8)).save(tmp_path / "a.png")
    for loaded in (False, True):
        image = Image.open(tmp_path / "a.png")
        if loaded:
            image.load()
        image.close()
        with pytest.raises(PictureError, match=r"a\.png is a Pillow image that was closed; open it again"):
            picture_from(image)


@pytest.mark.parametrize("read", [read_picture, inspect_picture])
def test_missing_folder_and_empty(tmp_path: Path, read: Callable[[Path], object]) -> None:
    (tmp_path / "empty.png").touch()
    expected = {
        "gone.png": "there is no file",
        ".": "is a folder",
        "empty.png": "is empty",
        "a\0b": "a",
    }
    for name, message in expected.items():
        with pytest.raises(PictureError, match=message) as caught:
            read(tmp_path / name)
        one_line(caught)


@pytest.mark.parametrize("read", [read_picture, inspect_picture])
def test_not_a_picture(tmp_path: Path, read: Callable[[Path], object]) -> None:
    (tmp_path / "note.png").write_text("dear diary")
    with pytest.raises(PictureError, match=r"note\.png is not a picture") as caught:
        read(tmp_path / "note.png")
    assert "PNG, TIFF or JPEG" in one_line(caught)


@pytest.mark.parametrize("kind", ["jpg", "png", "deep.png", "gif", "webp", "tif", "zlib.tif", "bmp", "jp2"])
@pytest.mark.parametrize("part", [0.1, 0.5, 0.9])
def test_truncated_files(tmp_path: Path, kind: str, part: float) -> None:
    path = tmp_path / f"cut.{kind}"
    values = noise("uint8", shape=(60, 50))
    if kind == "deep.png":
        path.write_bytes(imagecodecs.png_encode(noise("uint16", shape=(60, 50))))
    elif kind == "zlib.tif":
        tifffile.imwrite(path, values, photometric="rgb", compression="zlib", rowsperstrip=7)
    else:
        Image.fromarray(values).save(path)
    whole = path.read_bytes()
    path.write_bytes(whole[: int(part * len(whole))])
    if kind == "jp2" and part > 0.1:
        return  # made to be cut: what arrived is a coarser picture
    with pytest.raises(PictureError, match="cut") as caught:
        read_picture(path)
    one_line(caught)


@pytest.mark.parametrize("suffix", ["png", "jpg", "tif", "webp", "gif"])
def test_damaged_files_are_read_or_refused_but_never_crash(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"d.{suffix}"
    Image.fromarray(noise("uint8", shape=(12, 10))).save(path, icc_profile=wide_profile())
    whole = bytearray(path.read_bytes())
    generator = np.random.default_rng(4)
    for _ in range(60):
        damaged = whole.copy()
        for position in generator.integers(0, len(whole), 4):
            damaged[position] = generator.integers(0, 256)
        path.write_bytes(damaged)
        for read in (read_picture, inspect_picture):
            try:
                read(path)
            except (PictureError, MemoryLimit) as error:
                assert "\n" not in str(error)


def test_one_pixel_is_no_picture(tmp_path: Path) -> None:
    for name in ("one.png", "one.tif"):
        Image.new("RGB", (1, 1)).save(tmp_path / name)
        with pytest.raises(PictureError, match="1 x 1 pixels"):
            read_picture(tmp_path / name)
    Image.new("RGB", (2, 1)).save(tmp_path / "two.png")
    assert read_picture(tmp_path / "two.png").width == 2


def test_limit_is_ours_while_reading_and_theirs_after(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    Image.new("RGB", (20, 20)).save(tmp_path / "a.png")
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 10)
    assert read_picture(tmp_path / "a.png").width == 20
    assert Image.MAX_IMAGE_PIXELS == 10


def test_bombs_are_refused_before_they_are_decoded(tmp_path: Path) -> None:
    header = png_chunk(b"IHDR", struct.pack(">IIBBBBB", 60000, 60000, 8, 2, 0, 0, 0))
    body = png_chunk(b"IDAT", zlib.compress(bytes(100))) + png_chunk(b"IEND", b"")
    (tmp_path / "bomb.png").write_bytes(b"\x89PNG\r\n\x1a\n" + header + body)
    with pytest.raises(
        PictureError,
        match=r"60000 x 60000 pixels, more than the limit of 1073741824.*--max-input-pixels 3600000000",
    ):
        read_picture(tmp_path / "bomb.png")


@pytest.mark.parametrize("value", [0, 255, 65535, 70000])
def test_whole_numbers_that_do_not_say_where_white_is_are_refused(value: int) -> None:
    with pytest.raises(PictureError, match=r"mode I.*white is not defined.*mode I;16"):
        picture_from(Image.fromarray(np.full(SHAPE, value, np.int32)))


# Facts ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "mode", "expected_mode", "depth"),
    [
        ("a.png", "RGB", "RGB", 8),
        ("a.png", "LA", "gray + alpha", 8),
        ("a.png", "I;16", "gray", 16),
        ("a.png", "1", "black and white", 8),
        ("a.jpg", "CMYK", "CMYK", 8),
        ("a.gif", "P", "palette", 8),
        ("a.webp", "RGBA", "RGB + alpha", 8),
        ("a.tif", "RGBA", "RGB + alpha", 8),
        ("a.tif", "F", "gray, float", 32),
        ("a.tif", "CMYK", "CMYK", 8),
    ],
)
def test_facts(tmp_path: Path, name: str, mode: str, expected_mode: str, depth: int) -> None:
    path = tmp_path / name
    Image.new(mode, (WIDTH, HEIGHT)).save(path, dpi=(240, 240))
    info = inspect_picture(path)
    assert (info.name, info.height, info.width) == (name, HEIGHT, WIDTH)
    profile = "CMYK without a profile" if mode == "CMYK" else "sRGB"
    assert (info.mode, info.depth, info.profile) == (expected_mode, depth, profile)
    assert info.format == {"jpg": "JPEG", "tif": "TIFF"}.get(name[2:], name[2:].upper())
    assert info.file_bytes == path.stat().st_size
    if name[2:] not in ("gif", "webp"):
        assert info.dpi is not None
        assert_allclose(info.dpi, (240, 240), rtol=1e-3)
    assert read_picture(path).depth == depth


def test_facts_of_deep_png(tmp_path: Path) -> None:
    (tmp_path / "d.png").write_bytes(imagecodecs.png_encode(noise("uint16")))
    assert inspect_picture(tmp_path / "d.png").depth == 16


def test_dots_per_centimeter(tmp_path: Path) -> None:
    values = noise("uint8")
    tifffile.imwrite(
        tmp_path / "c.tif", values, photometric="rgb", resolution=(100, 50), resolutionunit="centimeter"
    )
    assert read_picture(tmp_path / "c.tif").dpi == pytest.approx((254.0, 127.0))
