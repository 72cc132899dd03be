"""Streams: strips of any height become files that other programs read, whole or not at all."""

from __future__ import annotations

import errno
import json
import os
import tracemalloc
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import numpy as np
import pytest
import pyvips
import tifffile
from numpy.testing import assert_allclose, assert_array_equal
from numpy.typing import NDArray
from PIL import Image

from tilestyle.errors import OutputError, PictureError
from tilestyle.images import (
    Compression,
    WriteOptions,
    check_writable,
    max_disk_bytes,
    open_source,
    read_picture,
    read_provenance,
    read_strips,
    write_stream,
)
from tilestyle.images.alpha import composite, fill_transparent_pixels, halve, premultiply, unpremultiply
from tilestyle.images.color_management import srgb_profile

HEIGHT = 2100
SUFFIXES = ["png", "tif", "jpg", "webp", "dzi"]


def waves(height: int = HEIGHT, width: int = 333, channels: int = 3) -> NDArray[np.float32]:
    y, x = np.mgrid[:height, :width].astype(np.float32)
    planes = [0.5 + 0.45 * np.sin(x / (40 + 9 * c) + y / (60 - 8 * c)) for c in range(channels)]
    return np.stack(planes, axis=2).astype(np.float32)


def cut(values: NDArray[np.float32], *heights: int) -> Iterator[NDArray[np.float32]]:
    top = 0
    while top < values.shape[0]:
        for height in heights:
            if top < values.shape[0]:
                yield values[top : top + height]
            top += height


def write(path: Path, values: NDArray[np.float32], **options: Any) -> None:
    height, width = values.shape[:2]
    write_stream(path, height, width, cut(values, 100, 1, 255), options=WriteOptions(**options))


# Pyramids ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("compression", Compression)
@pytest.mark.parametrize(("depth", "channels"), [(8, 3), (16, 4)])
def test_large_tiff_is_tiled_and_has_smaller_copies(
    tmp_path: Path, compression: Compression, depth: int, channels: int
) -> None:
    path, values = tmp_path / "a.tif", waves(channels=channels)
    if compression is Compression.JPEG and depth == 16:
        with pytest.raises(OutputError, match=r"JPEG compression cannot hold 16 bits.*zstd"):
            write(path, values, compression=compression, depth=depth)
        return
    write(path, values, compression=compression, depth=depth, dpi=300, provenance={"seed": 7})
    lossless = compression is not Compression.JPEG
    top = 2**depth - 1
    with tifffile.TiffFile(path) as file:
        pages = [page for page in file.pages if isinstance(page, tifffile.TiffPage)]
        assert [(page.imagelength, page.imagewidth) for page in pages] == [
            (2100, 333),
            (1050, 167),
            (525, 84),
            (263, 42),
        ]
        assert [page.subfiletype for page in pages] == [0, 1, 1, 1]
        assert all((page.tilelength, page.tilewidth) == (256, 256) for page in pages)
        assert all(page.tags["InterColorProfile"].value == srgb_profile() for page in pages)
        assert pages[0].tags["XResolution"].value == (300, 1)
        full, small = (np.asarray(pages[number].asarray()) for number in (0, 2))
    if lossless:
        assert_array_equal(full, np.rint(values.astype(float) * top))
        mean = unpremultiply(halve(halve(premultiply(values))))
        assert_allclose(small / top, mean, atol=2 / top)  # rounded twice
    else:
        assert full.shape[2] == 3
        again = read_picture(path).pixels
        shown = values[..., :3] if channels == 3 else values[..., :3] * values[..., 3:] + 1 - values[..., 3:]
        assert_allclose(again, shown, atol=6 / 255)
    assert read_provenance(path) == {"seed": 7}
    if compression is not Compression.ZSTD:  # the binary libvips is built without
        for page in range(4):
            image = pyvips.Image.new_from_file(str(path), page=page)
            assert (image.height, image.width) == (pages[page].imagelength, pages[page].imagewidth)
            assert image.avg() > 0.4 * (255 if depth == 8 else 65535)
        assert round(pyvips.Image.new_from_file(str(path)).xres * 25.4) == 300


def test_small_tiff_has_one_page(tmp_path: Path) -> None:
    write(tmp_path / "a.tif", waves(300, 400))
    with tifffile.TiffFile(tmp_path / "a.tif") as file:
        assert len(file.pages) == 1 and file.pages.first.is_tiled


def test_smaller_copies_have_no_fringe(tmp_path: Path) -> None:
    values = np.zeros((600, 2100, 4), np.float32)
    values[:, :1051] = (1.0, 0.5, 0.2, 1.0)
    write(tmp_path / "a.tif", values)
    with open_source(tmp_path / "a.tif") as source:
        small = source.downsample(60, 210)
    assert small.alpha is not None
    seen = small.alpha > 0
    assert_allclose(small.pixels[seen], np.broadcast_to([1.0, 0.5, 0.2], (seen.sum(), 3)), atol=1.01 / 255)
    assert_allclose(small.alpha[30].sum(), 105.1, atol=0.02)


def test_the_same_strips_give_the_same_bytes(tmp_path: Path) -> None:
    values = waves(700, 500)
    for suffix in ("png", "tif", "jpg", "webp"):
        write(tmp_path / f"a.{suffix}", values)
        write_stream(tmp_path / f"b.{suffix}", 700, 500, cut(values, 700))
        assert (tmp_path / f"a.{suffix}").read_bytes() == (tmp_path / f"b.{suffix}").read_bytes()


def test_strips_of_a_reader_of_windows(tmp_path: Path) -> None:
    values = waves(70, 50)
    strips = list(read_strips(lambda t, le, h, w: values[t : t + h, le : le + w], 70, 50, rows=32))
    assert [strip.shape for strip in strips] == [(32, 50, 3), (32, 50, 3), (6, 50, 3)]
    assert_array_equal(np.concatenate(strips), values)


# Deep Zoom --------------------------------------------------------------------------------------------

SPACE = "{http://schemas.microsoft.com/deepzoom/2008}"


@pytest.mark.parametrize(("height", "width", "channels"), [(700, 1030, 3), (255, 254, 4), (1, 300, 3)])
def test_deep_zoom_is_as_specified(tmp_path: Path, height: int, width: int, channels: int) -> None:
    values = waves(height, width, channels)
    write(tmp_path / "ä b.dzi", values, provenance={"seed": 7})
    image = ElementTree.parse(tmp_path / "ä b.dzi").getroot()
    assert image.tag == f"{SPACE}Image"
    form = "png" if channels == 4 else "jpg"
    tile, overlap = int(image.attrib["TileSize"]), int(image.attrib["Overlap"])
    assert (image.attrib["Format"], tile, overlap) == (form, 254, 1)
    size = image.find(f"{SPACE}Size")
    assert size is not None and size.attrib == {"Width": str(width), "Height": str(height)}
    levels = int(np.ceil(np.log2(max(height, width)))) + 1
    folder = tmp_path / "ä b_files"
    assert {entry.name for entry in folder.iterdir() if entry.is_dir()} == {str(n) for n in range(levels)}
    for level in range(levels):
        factor = 2 ** (levels - 1 - level)
        rows, columns = -(-height // factor), -(-width // factor)
        expected = {}
        for row in range(-(-rows // tile)):
            for column in range(-(-columns // tile)):
                top, left = max(0, row * tile - overlap), max(0, column * tile - overlap)
                bottom = min(rows, (row + 1) * tile + overlap)
                right = min(columns, (column + 1) * tile + overlap)
                expected[f"{column}_{row}.{form}"] = (top, left, bottom, right)
        assert {entry.name for entry in (folder / str(level)).iterdir()} == set(expected)
        for name, (top, left, bottom, right) in expected.items():
            with Image.open(folder / str(level) / name) as shown:
                pixels = np.asarray(shown)
            assert pixels.shape == (bottom - top, right - left, channels)
            if factor == 1:
                atol = 0.51 / 255 if form == "png" else 8 / 255
                assert_allclose(pixels / 255, values[top:bottom, left:right], atol=atol)
    assert read_provenance(tmp_path / "ä b.dzi") == {"seed": 7}
    assert {entry.name for entry in tmp_path.iterdir()} == {"ä b.dzi", "ä b_files"}


def test_deep_zoom_takes_the_place_of_an_older_one(tmp_path: Path) -> None:
    write(tmp_path / "a.dzi", waves(600, 600))
    (tmp_path / "a_files" / "10" / "9_9.jpg").touch()
    write(tmp_path / "a.dzi", waves(300, 300))
    assert not (tmp_path / "a_files" / "10").exists()
    assert len(list((tmp_path / "a_files").iterdir())) == 10
    assert len(list(tmp_path.iterdir())) == 2


def test_deep_zoom_leaves_a_foreign_folder_alone(tmp_path: Path) -> None:
    (tmp_path / "a_files").mkdir()
    check_writable(tmp_path / "a.dzi", 2, 2)
    (tmp_path / "a_files" / "holiday.txt").write_text("mine")
    with pytest.raises(OutputError, match="a_files, meant for the tiles"):
        write(tmp_path / "a.dzi", waves(30, 30))
    assert (tmp_path / "a_files" / "holiday.txt").read_text() == "mine"


# Limits and disk --------------------------------------------------------------------------------------


def test_limits_are_told_before(tmp_path: Path) -> None:
    for name, side in {"a.jpg": 65536, "a.webp": 16384, "a.dzi": 10_000_001}.items():
        with pytest.raises(OutputError, match=f"{side} x 9 pixels exceed the limit of .* pixels per side"):
            check_writable(tmp_path / name, 9, side)
    with pytest.raises(OutputError, match="Deep Zoom cannot hold 16 bits"):
        check_writable(tmp_path / "a.dzi", 9, 9, 16)
    with pytest.raises(OutputError, match="JPEG compression cannot hold 16 bits"):
        check_writable(tmp_path / "a.tif", 9, 9, 16, Compression.JPEG)
    check_writable(tmp_path / "a.tif", 200_000, 200_000, 16)


@pytest.mark.parametrize("suffix", SUFFIXES)
@pytest.mark.parametrize("channels", [3, 4])
def test_disk_is_foreseen(tmp_path: Path, suffix: str, channels: int) -> None:
    values = np.random.default_rng(0).random((2100, 400, channels), dtype=np.float32)
    write(tmp_path / f"a.{suffix}", values, quality=100, lossless=True)
    taken = sum(entry.stat().st_size for entry in tmp_path.rglob("*") if entry.is_file())
    assert 0.1 * taken < taken <= 1.1 * max_disk_bytes(tmp_path / f"a.{suffix}", 2100, 400, channels)


@pytest.mark.parametrize("suffix", ["png", "tif", "jpg"])
def test_memory_does_not_grow_with_the_picture(tmp_path: Path, suffix: str) -> None:
    def peak(height: int) -> int:
        strip = waves(64, 2500)
        tracemalloc.start()
        write_stream(tmp_path / f"a.{suffix}", height, 2500, (strip for _ in range(height // 64)))
        found = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        return found

    peak(64)
    assert peak(64 * 40) < 1.3 * peak(64 * 12)


# Failures ---------------------------------------------------------------------------------------------


class Interrupted(BaseException):
    """What no handler of errors expects."""


@pytest.mark.parametrize("suffix", SUFFIXES)
@pytest.mark.parametrize("older", [False, True])
@pytest.mark.parametrize("error", [Interrupted("stop"), PictureError("the render went wrong")])
def test_what_goes_wrong_in_the_strips_arrives(
    tmp_path: Path, suffix: str, older: bool, error: BaseException
) -> None:
    path = tmp_path / f"a.{suffix}"
    if older:
        write(path, waves(300, 300))
    before = {entry: entry.stat().st_mtime_ns for entry in tmp_path.rglob("*")}

    def strips() -> Iterator[NDArray[np.float32]]:
        yield waves(100, 300)
        yield waves(100, 300)
        raise error

    with pytest.raises(type(error), match=str(error)):
        write_stream(path, 300, 300, strips())
    assert {entry: entry.stat().st_mtime_ns for entry in tmp_path.rglob("*")} == before


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_values_that_are_not_finite(tmp_path: Path, suffix: str) -> None:
    values = waves(300, 300)
    values[250, 3, 1] = np.nan
    with pytest.raises(PictureError, match="contains NaN or infinity; nothing was written"):
        write(tmp_path / f"a.{suffix}", values)
    assert not list(tmp_path.iterdir())


class FullDisk:
    """A file that takes so many bytes and no more."""

    def __init__(self, file: Any, room: int) -> None:
        self._file, self._room = file, room

    def write(self, content: Any) -> int:
        self._room -= memoryview(content).nbytes
        if self._room < 0:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        return int(self._file.write(content))

    def writelines(self, pieces: Any) -> None:
        for piece in pieces:
            self.write(piece)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._file, name)


@pytest.mark.parametrize("suffix", ["png", "tif", "jpg", "webp"])
@pytest.mark.parametrize("room", [0, 5000, 60000])
def test_full_disk(tmp_path: Path, suffix: str, room: int, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / f"a.{suffix}").write_bytes(b"an older picture")
    encoders = dict(write_module()._ENCODERS)

    def cramped(encode: Callable[..., None]) -> Callable[..., None]:
        return lambda file, *rest: encode(FullDisk(file, room), *rest)

    monkeypatch.setattr(write_module(), "_ENCODERS", {form: cramped(f) for form, f in encoders.items()})
    noise = np.random.default_rng(0).random((300, 300, 3), dtype=np.float32)
    with pytest.raises(OutputError, match=r"cannot write .*No space left on device.*free some space") as caught:
        write(tmp_path / f"a.{suffix}", noise, quality=100)
    assert "\n" not in str(caught.value)
    assert [entry.name for entry in tmp_path.iterdir()] == [f"a.{suffix}"]
    assert (tmp_path / f"a.{suffix}").read_bytes() == b"an older picture"


def write_module() -> Any:
    from tilestyle.images import write

    return write


@pytest.mark.skipif(
    os.geteuid() != 0 or not Path("/proc/mounts").exists(), reason="mounting needs root on Linux"
)
@pytest.mark.parametrize("suffix", SUFFIXES)
def test_really_full_disk(tmp_path: Path, suffix: str) -> None:
    place = tmp_path / "small"
    place.mkdir()
    if os.system(f"mount -t tmpfs -o size=64k tmpfs '{place}' 2>/dev/null"):
        pytest.skip("mounting is not allowed here")
    try:
        noise = np.random.default_rng(0).random((400, 300, 3), dtype=np.float32)
        with pytest.raises(OutputError, match=r"No space left on device.*free some space") as caught:
            write(place / f"a.{suffix}", noise, quality=100)
        assert "\n" not in str(caught.value)
        assert not list(place.iterdir())
    finally:
        os.system(f"umount '{place}'")


def test_read_only_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "access", lambda *_: False)  # a test run by root may write everywhere
    for suffix in SUFFIXES:
        with pytest.raises(OutputError, match="is not writable; choose another folder"):
            write(tmp_path / f"a.{suffix}", waves(30, 30))


# Alpha ------------------------------------------------------------------------------------------------


def test_premultiplied_and_back() -> None:
    values = np.random.default_rng(0).random((9, 8, 4), dtype=np.float32)
    assert_allclose(unpremultiply(premultiply(values)), values, atol=1e-5)
    values[..., 3] = 0
    assert_array_equal(unpremultiply(premultiply(values)), 0)


def test_halves_of_odd_sides() -> None:
    values = np.arange(15, dtype=np.float32).reshape(3, 5, 1).repeat(3, axis=2)
    assert_array_equal(halve(values)[..., 0], [[3, 5, 6.5], [10.5, 12.5, 14]])


def test_composite_is_exact_at_both_ends() -> None:
    over, under = waves(9, 9), 1 - waves(9, 9)
    cover = np.zeros((9, 9), np.float32)
    cover[3:6], cover[6:] = 0.25, 1
    mixed = composite(over, under, cover)
    assert_array_equal(mixed[:3], under[:3])
    assert_array_equal(mixed[6:], over[6:])
    assert_allclose(mixed[3:6], 0.25 * over[3:6] + 0.75 * under[3:6], atol=1e-6)


def test_hidden_pixels_take_colors_from_around() -> None:
    pixels = np.zeros((50, 70, 3), np.float32)
    pixels[:, :30], pixels[:, 40:] = (1, 0.5, 0), (0, 0.5, 1)
    alpha = np.ones((50, 70), np.float32)
    alpha[:, 30:40] = 0
    full = fill_transparent_pixels(pixels, alpha)
    assert_array_equal(full[:, :30], pixels[:, :30])
    assert_array_equal(full[:, 40:], pixels[:, 40:])
    assert_allclose(full[:, 30:40, 1], 0.5, atol=1e-6)
    assert full[:, 30:33, 0].mean() > full[:, 37:40, 0].mean()
    assert_array_equal(fill_transparent_pixels(pixels, np.zeros_like(alpha)), 0.5)


def test_provenance_of_deep_zoom_without_settings(tmp_path: Path) -> None:
    write(tmp_path / "a.dzi", waves(30, 30))
    assert read_provenance(tmp_path / "a.dzi") is None
    (tmp_path / "a_files" / "tilestyle.json").write_text(json.dumps({"other": 1}))
    assert read_provenance(tmp_path / "a.dzi") is None
