"""Every way of reading sees the same picture: whole, by windows, in strips, converted, shrunk, and its facts.

What is expected is made of the array that was written, with numpy alone; where a format loses something, of
what Pillow decodes.
"""

from __future__ import annotations

import itertools
import os
import struct
import zlib
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import imagecodecs
import numpy as np
import pytest
import tifffile
from numpy.testing import assert_allclose
from numpy.typing import NDArray
from PIL import Image, TiffImagePlugin

from tilestyle.errors import PictureError
from tilestyle.images import Picture, area_average, inspect_picture, open_source, read_all, read_picture
from tilestyle.images.color_management import ColorModel, srgb_from_samples

SHAPE = (35, 21)


@pytest.fixture(autouse=True)
def _no_waiting_for_the_disk(monkeypatch: pytest.MonkeyPatch) -> None:
    """Hundreds of converted copies reach the disk when it suits it."""
    monkeypatch.setattr(os, "fsync", lambda _: None)


STEP = 1.01 / 65535  # what a copy of 16 bits may be off by


class Seen(NamedTuple):
    """What a file holds, upright: pixels [H, W, 3], alpha [H, W] or None; and how exact its decoders are."""

    pixels: NDArray[Any]
    alpha: NDArray[Any] | None = None
    atol: float = STEP


def noise(top: int, channels: int, seed: int = 0) -> NDArray[np.int64]:
    return np.random.default_rng(seed).integers(0, top + 1, (*SHAPE, channels))


def turned(values: NDArray[Any], orientation: int) -> NDArray[Any]:
    """Stored samples the right way up, by the figure of the TIFF specification."""
    moves: dict[int, Callable[[NDArray[Any]], NDArray[Any]]] = {
        1: lambda v: v,
        2: lambda v: v[:, ::-1],
        3: lambda v: v[::-1, ::-1],
        4: lambda v: v[::-1],
        5: lambda v: v.swapaxes(0, 1),
        6: lambda v: np.rot90(v, -1),
        7: lambda v: np.rot90(v, 2).swapaxes(0, 1),
        8: lambda v: np.rot90(v),
    }
    return moves[orientation](values)


def upright(seen: Seen, orientation: int) -> Seen:
    alpha = None if seen.alpha is None else turned(seen.alpha, orientation)
    return seen._replace(pixels=turned(seen.pixels, orientation), alpha=alpha)


def check_agreement(path: Path, work: Path, seen: Seen) -> None:
    """All ways of reading a file give what is in it."""
    info = inspect_picture(path)
    assert (info.height, info.width) == seen.pixels.shape[:2], "size of the facts"
    assert info.has_alpha == (seen.alpha is not None), "alpha of the facts"
    whole = read_picture(path)
    check_pixels(whole, seen, "read")
    assert (whole.depth, whole.profile, whole.dpi) == (info.depth, info.profile, info.dpi)
    height, width = seen.pixels.shape[:2]
    smaller = area_average(Picture(whole.pixels, whole.alpha), height // 3, width // 2)
    for folder in (None, work):
        with open_source(path, folder) as source:
            if folder is not None and source.conversion_bytes() == 0:
                assert not folder.exists()
                continue  # it reads the file itself, as it did without a folder
            assert (source.height, source.width, source.has_alpha) == (height, width, seen.alpha is not None)
            assert (source.depth, source.profile, source.dpi) == (info.depth, info.profile, info.dpi)
            small = source.downsample(height // 3, width // 2)
            check_close(small.pixels, smaller.pixels, max(3 * seen.atol, 1e-5), "shrunk")
            check_pixels(read_all(source), seen, "strips")
            check_pixels(source.window(0, 0, height, width), seen, "window")
            part = np.s_[height // 2 :, 1 : width - 1]
            found = source.window(height // 2, 1, height - height // 2, width - 2)
            alpha = None if seen.alpha is None else seen.alpha[part]
            check_pixels(found, seen._replace(pixels=seen.pixels[part], alpha=alpha), "part")


def check_pixels(found: Picture, seen: Seen, way: str) -> None:
    assert (found.alpha is None) == (seen.alpha is None), way
    visible = np.ones(seen.pixels.shape[:2], bool) if seen.alpha is None else seen.alpha > 0
    assert found.pixels.shape == seen.pixels.shape, way
    check_close(found.pixels[visible], seen.pixels[visible], seen.atol, way)
    if found.alpha is not None and seen.alpha is not None:
        check_close(found.alpha, seen.alpha, seen.atol, way)


def check_close(found: NDArray[Any], expected: NDArray[Any], atol: float, way: str) -> None:
    if not (np.abs(found - expected) <= atol).all():  # as a rule all are near: this takes a tenth of the time
        assert_allclose(found, expected, atol=atol, err_msg=way)


def check_refusal(path: Path, work: Path, *, decoding: bool = False) -> str:
    """All ways of reading a file refuse it, each in one line; its facts too, unless that shows in decoding."""

    def opened(folder: Path | None) -> None:
        with open_source(path, folder) as source:
            read_all(source)

    lines = set()
    ways: list[Callable[[Path], object]] = [read_picture, lambda _: opened(None), lambda _: opened(work)]
    for way in [*ways, *([] if decoding else [inspect_picture])]:
        with pytest.raises(PictureError) as caught:
            way(path)
        assert "\n" not in str(caught.value) and len(str(caught.value)) < 400
        lines.add(str(caught.value))
    assert len(lines) == 1, lines
    return lines.pop()


def each(cases: Iterator[tuple[str, Callable[[Path], Seen]]], folder: Path) -> None:
    """Check many cases, and name those that fail."""
    failed = []
    for number, (name, make) in enumerate(cases):
        path = folder / f"case-{number}"
        seen = make(path)
        try:
            check_agreement(path, folder / "work", seen)
        except (AssertionError, PictureError) as error:
            failed.append(f"{name}: {str(error)[:300]}")
    assert not failed, f"{len(failed)} cases, the first: " + "\n".join(failed[:3])


# TIFF -------------------------------------------------------------------------------------------------

LAYOUTS: dict[str, dict[str, Any]] = {
    "one strip": {},
    "strips": {"rowsperstrip": 4},
    "packed strips": {"rowsperstrip": 5, "compression": "zlib"},
    "one packed strip": {"compression": "lzw"},
    "tiles": {"tile": (16, 16)},
    "packed tiles": {"tile": (16, 16), "compression": "zstd"},
    "planes": {"planarconfig": "separate"},
    "packed planes": {"planarconfig": "separate", "tile": (16, 16), "compression": "packbits"},
    "BigTIFF": {"bigtiff": True, "rowsperstrip": 4},
}
PHOTOMETRIC = {"gray": 1, "white is zero": 0, "RGB": 2, "CMYK": 5, "Lab": 8, "ICC Lab": 9, "palette": 3}
KINDS = [
    *(("gray", dtype) for dtype in ("uint8", "uint16", "uint32", "float16", "float32", "float64")),
    *(("white is zero", dtype) for dtype in ("uint8", "uint16", "float32")),
    *(("RGB", dtype) for dtype in ("uint8", "uint16", "uint32", "float16", "float32")),
    *(("CMYK", dtype) for dtype in ("uint8", "uint16")),
    *((coding, dtype) for coding in ("Lab", "ICC Lab") for dtype in ("uint8", "uint16", "float32")),
    ("palette", "uint8"),
    ("palette", "uint16"),
]
ALPHAS = {"none": None, "straight": "unassalpha", "premultiplied": "assocalpha", "spot": "unspecified"}


def in_colors(unit: NDArray[Any], coding: str) -> NDArray[Any]:
    """Colors in [0, 1] as sRGB, by the definitions; unit values of Lab are shares of the range."""
    if coding in ("gray", "white is zero"):
        return np.repeat(unit, 3, axis=2)
    if coding == "CMYK":
        return np.asarray((1 - unit[..., :3]) * (1 - unit[..., 3:]))
    if coding in ("Lab", "ICC Lab"):
        lab = np.concatenate([unit[..., :1] * 100, unit[..., 1:]], axis=2).astype(np.float32)
        return srgb_from_samples(lab, ColorModel.LAB, None)[0]
    return unit


def lab_case(coding: str, dtype: str) -> tuple[NDArray[Any], NDArray[Any]]:
    """L* as a share of 100 with a* and b*, and what is stored of them."""
    lightness, a, b = np.moveaxis(noise(90, 3), -1, 0)
    if dtype == "float32":
        return np.stack([lightness / 100, a - 45, b - 45], axis=2), np.stack(
            [lightness, a - 45, b - 45], axis=2
        )
    scale = 256 if dtype == "uint16" else 1
    white = {"Lab": 65535 if scale > 1 else 255, "ICC Lab": 255 * scale}[coding]
    offset = 128 if coding == "ICC Lab" else 0
    ranged = np.rint(lightness / 100 * white)
    unit = np.stack([ranged / white, a - 45, b - 45], axis=2)
    stored = np.stack([ranged, (a - 45 + offset) * scale, (b - 45 + offset) * scale], axis=2)
    return unit, stored.astype(np.int64) % (np.iinfo(dtype).max + 1)


def exactness(coding: str, kind: np.dtype[Any], alpha: str) -> float:
    """What values may be off by: rounded as stored, and then divided by an alpha of a quarter at the least."""
    if coding in ("Lab", "ICC Lab"):
        return 2e-3
    factor = 4 if alpha == "premultiplied" else 1
    if kind == np.float16:
        return 1e-3 * factor
    return STEP + (2.01 / min(np.iinfo(kind).max, 65535) * factor if factor > 1 and kind.kind == "u" else 0)


def tiff_case(
    path: Path, coding: str, dtype: str, alpha: str, orientation: int, layout: dict[str, Any]
) -> Seen:
    kind = np.dtype(dtype)
    top = 1 if kind.kind == "f" else np.iinfo(kind).max
    cover = np.rint(noise(4, 1)[..., 0] / 4 * top) / top if kind.kind == "u" else noise(4, 1)[..., 0] / 4
    extra: dict[str, Any] = {"extratags": [(274, "H", 1, orientation, True)]}
    unit: NDArray[Any]
    stored: NDArray[Any]
    if coding == "palette":
        table = np.random.default_rng(1).integers(0, 256, (3, top + 1)) * 257
        stored = noise(top, 1)
        unit = (table >> 8).T[stored[..., 0]] / 255
        extra["colormap"] = table.astype(np.uint16)
    elif coding in ("Lab", "ICC Lab"):
        unit, stored = lab_case(coding, dtype)
    else:
        unit = noise(255, {"gray": 1, "white is zero": 1, "CMYK": 4}.get(coding, 3)) / 255
        stored = unit * top * (cover[..., None] if alpha == "premultiplied" else 1)
    if alpha != "none":
        stored = np.dstack([stored, cover * top])
        extra["extrasamples"] = [ALPHAS[alpha]]
    stored = (stored if kind.kind == "f" else np.rint(stored)).astype(kind)
    if stored.shape[2] == 1:
        stored = stored[..., 0]
        layout = {name: value for name, value in layout.items() if name != "planarconfig"}
    elif "planarconfig" in layout:
        stored = np.moveaxis(stored, 2, 0)
    tifffile.imwrite(
        path, np.ascontiguousarray(stored), photometric=PHOTOMETRIC[coding], metadata=None, **layout, **extra
    )
    shown = cover if alpha in ("straight", "premultiplied") else None
    pixels = in_colors(1 - unit if coding == "white is zero" else unit, coding)
    return upright(Seen(pixels, shown, exactness(coding, kind, alpha)), orientation)


@pytest.mark.parametrize("alpha", ALPHAS)
@pytest.mark.parametrize(("coding", "dtype"), KINDS)
def test_tiff(tmp_path: Path, coding: str, dtype: str, alpha: str) -> None:
    if alpha != "none" and coding == "palette":
        pytest.skip("tifffile writes none")
    if alpha == "premultiplied" and coding in ("Lab", "ICC Lab"):
        tiff_case(tmp_path / "a", coding, dtype, alpha, 1, {})
        assert "straight" in check_refusal(tmp_path / "a", tmp_path / "work")
        return

    def cases() -> Iterator[tuple[str, Callable[[Path], Seen]]]:
        orders = itertools.product("<>", LAYOUTS) if dtype != "uint8" else zip("<>" * 9, LAYOUTS, strict=False)
        for number, (order, layout) in enumerate(orders):
            turn = number % 8 + 1
            how = {**LAYOUTS[layout], "byteorder": order}
            yield (
                f"{layout} {order} {turn}",
                partial(tiff_case, coding=coding, dtype=dtype, alpha=alpha, orientation=turn, layout=how),
            )

    each(cases(), tmp_path)


@pytest.mark.parametrize("bits", [1, 2, 3, 4, 5, 6, 7, 9, 10, 12, 14])
def test_tiff_of_few_bits(tmp_path: Path, bits: int) -> None:
    def make(path: Path, photometric: int, turn: int, layout: dict[str, Any]) -> Seen:
        top = 2**bits - 1
        values = noise(top, 1)[..., 0].astype("uint8" if bits <= 8 else "uint16")
        tifffile.imwrite(
            path,
            values,
            bitspersample=bits,
            photometric=photometric,
            metadata=None,
            extratags=[(274, "H", 1, turn, True)],
            **layout,
        )
        unit = values[..., None] / top
        return upright(Seen(np.repeat(1 - unit if photometric == 0 else unit, 3, axis=2)), turn)

    layouts: list[dict[str, Any]] = [{}, {"rowsperstrip": 3}]
    each(
        (
            (
                f"{photometric} {order} {layout}",
                partial(make, photometric=photometric, turn=6, layout={**layout, "byteorder": order}),
            )
            for photometric in (0, 1)
            for order in ("<>" if bits <= 8 else "<")  # tifffile writes the others wrong
            for layout in layouts
        ),
        tmp_path,
    )


@pytest.mark.parametrize("mode", ["L", "RGB", "CMYK", "YCbCr"])
@pytest.mark.parametrize("packing", ["raw", "jpeg", "tiff_deflate"])
def test_tiff_of_libtiff(tmp_path: Path, mode: str, packing: str) -> None:
    if (mode, packing) == ("CMYK", "jpeg"):
        pytest.skip("Pillow writes none")

    def make(path: Path, turn: int) -> Seen:
        smooth = Image.fromarray(np.add.outer(np.arange(48) * 3, np.arange(32) * 2).astype(np.uint8))
        image = smooth.convert("RGB").convert(mode)
        tags = TiffImagePlugin.ImageFileDirectory_v2()
        tags[274] = turn
        quality = {"quality": 95} if packing == "jpeg" else {}
        image.save(path, "TIFF", compression=packing, tiffinfo=tags, **quality)
        stored = np.asarray(image.convert("RGB")) / 255
        if mode == "CMYK":
            stored = (1 - np.asarray(image)[..., :3] / 255) * (1 - np.asarray(image)[..., 3:] / 255)
        return upright(Seen(stored, atol=4 / 255), turn)

    each(((f"{turn}", partial(make, turn=turn)) for turn in range(1, 9)), tmp_path)


@pytest.mark.parametrize("nodata", [0, 7, 255])
@pytest.mark.parametrize("layout", [{"tile": (16, 16)}, {"rowsperstrip": 4}, {}])
@pytest.mark.parametrize("packing", ["zlib", None])
def test_sparse_tiff(tmp_path: Path, nodata: int, layout: dict[str, Any], packing: str | None) -> None:
    path = tmp_path / "sparse.tif"
    values = noise(255, 1)[..., 0].astype(np.uint8)
    tifffile.imwrite(
        path,
        values,
        photometric="minisblack",
        compression=packing,
        metadata=None,
        extratags=[(42113, "s", 0, str(nodata), True)],
        **layout,
    )
    with tifffile.TiffFile(path) as file:
        page = file.pages.first
        kind = "Tile" if "tile" in layout else "Strip"
        tags = [page.tags[f"{kind}Offsets"], page.tags[f"{kind}ByteCounts"]]
        last = len(page.dataoffsets) - 1
    content = bytearray(path.read_bytes())
    for tag in tags:
        size = tag.valuebytecount // tag.count
        content[tag.valueoffset + last * size : tag.valueoffset + (last + 1) * size] = bytes(size)
    path.write_bytes(content)
    if "tile" in layout:
        values[32:, 16:] = nodata
    else:
        rows = layout.get("rowsperstrip", SHAPE[0])
        values[(SHAPE[0] - 1) // rows * rows :] = nodata
    check_agreement(path, tmp_path / "work", Seen(np.repeat(values[..., None] / 255, 3, axis=2)))


# PNG --------------------------------------------------------------------------------------------------

GRAY, RGB, PALETTE, GRAY_ALPHA, RGB_ALPHA = 0, 2, 3, 4, 6
PNG_KINDS = [
    *((GRAY, bits) for bits in (1, 2, 4, 8, 16)),
    *((PALETTE, bits) for bits in (1, 2, 4, 8)),
    *((kind, bits) for kind in (RGB, GRAY_ALPHA, RGB_ALPHA) for bits in (8, 16)),
]
CHANNELS = {GRAY: 1, RGB: 3, PALETTE: 1, GRAY_ALPHA: 2, RGB_ALPHA: 4}
ADAM7 = [(0, 0, 8, 8), (0, 4, 8, 8), (4, 0, 8, 4), (0, 2, 4, 4), (2, 0, 4, 2), (0, 1, 2, 2), (1, 0, 2, 1)]


def chunk(kind: bytes, content: bytes) -> bytes:
    return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))


def png_rows(values: NDArray[Any], bits: int) -> bytes:
    """Rows [h, w, C] without filters."""
    rows = b""
    for row in values.reshape(len(values), -1):
        if bits == 16:
            packed = row.astype(">u2").tobytes()
        elif bits == 8:
            packed = row.astype(np.uint8).tobytes()
        else:
            digits = (row[:, None] >> np.arange(bits - 1, -1, -1)) & 1
            packed = np.packbits(digits.astype(np.uint8).ravel()).tobytes()
        rows += b"\0" + packed
    return rows


def exif_of(orientation: object, kind: int = 3, order: str = "<") -> bytes:
    head = {"<": b"II*\0", ">": b"MM\0*"}[order]
    value = struct.pack(order + {1: "Bxxx", 3: "Hxx", 4: "I"}[kind], orientation)
    return head + struct.pack(order + "IHHHI", 8, 1, 274, kind, 1) + value + bytes(4)


def raw_text(content: bytes) -> bytes:
    return b"\nexif\n" + f"{len(content):8d}\n{content.hex()}\n".encode()


def xmp_of(orientation: int, *, element: bool = False) -> bytes:
    stated = (
        f"><tiff:Orientation>{orientation}</tiff:Orientation>"
        if element
        else f' tiff:Orientation="{orientation}">'
    )
    return (
        f'<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:Description{stated}</rdf:Description></x:xmpmeta>'.encode()
    )


def xmp_chunk(packet: bytes) -> bytes:
    return chunk(b"iTXt", b"XML:com.adobe.xmp\0\0\0\0\0" + packet)


# Where a PNG may state its orientation: chunks before and after the pixels, for an orientation.
PNG_TURNS: dict[str, Callable[[int], tuple[bytes, bytes]]] = {
    "eXIf": lambda turn: (chunk(b"eXIf", exif_of(turn)), b""),
    "eXIf after the pixels": lambda turn: (b"", chunk(b"eXIf", exif_of(turn, order=">"))),
    "zTXt": lambda turn: (
        chunk(b"zTXt", b"Raw profile type exif\0\0" + zlib.compress(raw_text(b"Exif\0\0" + exif_of(turn)))),
        b"",
    ),
    "tEXt": lambda turn: (
        chunk(b"tEXt", b"Raw profile type APP1\0" + raw_text(b"Exif\0\0" + exif_of(turn))),
        b"",
    ),
    "tEXt after": lambda turn: (
        b"",
        chunk(b"tEXt", b"Raw profile type exif\0" + raw_text(b"Exif\0\0" + exif_of(turn))),
    ),
    "XMP": lambda turn: (xmp_chunk(xmp_of(turn)), b""),
    "XMP after": lambda turn: (b"", xmp_chunk(xmp_of(turn, element=True))),
    "eXIf against XMP": lambda turn: (xmp_chunk(xmp_of(turn % 8 + 1)), chunk(b"eXIf", exif_of(turn))),
    "eXIf against text": lambda turn: (
        chunk(b"tEXt", b"Raw profile type exif\0" + raw_text(b"Exif\0\0" + exif_of(turn % 8 + 1))),
        chunk(b"eXIf", exif_of(turn)),
    ),
    "eXIf of 0 and XMP": lambda turn: (chunk(b"eXIf", exif_of(0)) + xmp_chunk(xmp_of(turn)), b""),
    "a byte": lambda turn: (chunk(b"eXIf", exif_of(turn, kind=1)), b""),
    "a long": lambda turn: (chunk(b"eXIf", exif_of(turn, kind=4, order=">")), b""),
}


def png_case(
    path: Path, kind: int, bits: int, *, key: bool, interlaced: bool, turn: int = 1, source: str = "eXIf"
) -> Seen:
    values = noise(2**bits - 1, CHANNELS[kind])
    unit: NDArray[Any] = values / (2**bits - 1)
    alpha = None
    before, after = PNG_TURNS[source](turn)
    if kind == PALETTE:
        table = np.random.default_rng(2).integers(0, 256, (2**bits, 3))
        unit = table[values[..., 0]] / 255
        before += chunk(b"PLTE", table.astype(np.uint8).tobytes())
        if key:
            cover = np.random.default_rng(3).integers(0, 256, len(table) // 2 + 1)
            alpha = np.append(cover, [255] * len(table))[values[..., 0]] / 255
            before += chunk(b"tRNS", cover.astype(np.uint8).tobytes())
    elif key and kind in (GRAY, RGB):
        clear = values[0, 0]
        alpha = (values != clear).any(axis=2).astype(float)
        before += chunk(b"tRNS", clear.astype(">u2").tobytes())
    elif kind in (GRAY_ALPHA, RGB_ALPHA):
        alpha, unit = unit[..., -1], unit[..., :-1]
    passes = [values[y::dy, x::dx] for y, x, dy, dx in ADAM7] if interlaced else [values]
    pixels = b"".join(png_rows(each, bits) for each in passes if each.size)
    header = struct.pack(">IIBBBBB", SHAPE[1], SHAPE[0], bits, kind, 0, 0, interlaced)
    path.write_bytes(
        b"\x89PNG\r\n\x1a\n"
        + chunk(b"IHDR", header)
        + before
        + chunk(b"IDAT", zlib.compress(pixels))
        + after
        + chunk(b"IEND", b"")
    )
    return upright(Seen(np.broadcast_to(unit, (*SHAPE, 3)), alpha), turn)


@pytest.mark.parametrize(("kind", "bits"), PNG_KINDS)
def test_png(tmp_path: Path, kind: int, bits: int) -> None:
    def cases() -> Iterator[tuple[str, Callable[[Path], Seen]]]:
        sources = itertools.cycle(itertools.product(PNG_TURNS, range(8, 0, -1)))
        for key, interlaced, _ in itertools.product((False, True), (False, True), range(4)):
            source, turn = next(sources)
            how: dict[str, Any] = {"key": key, "interlaced": interlaced, "turn": turn, "source": source}
            yield f"{how}", partial(png_case, kind=kind, bits=bits, **how)

    each(cases(), tmp_path)


@pytest.mark.parametrize("source", PNG_TURNS)
def test_png_orientation(tmp_path: Path, source: str) -> None:
    def make(path: Path, turn: int, bits: int) -> Seen:
        return png_case(path, RGB, bits, key=False, interlaced=False, turn=turn, source=source)

    each(
        ((f"{turn} {bits}", partial(make, turn=turn, bits=bits)) for turn in range(1, 9) for bits in (8, 16)),
        tmp_path,
    )


@pytest.mark.parametrize("length", [1, 500_000, 3_000_000])
@pytest.mark.parametrize("damaged", [False, True])
def test_png_with_long_or_damaged_texts(
    tmp_path: Path, length: int, damaged: bool, capfd: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "text.png"
    seen = png_case(path, RGB, 8, key=False, interlaced=False)
    extra = chunk(b"zTXt", b"Comment\0\0" + zlib.compress(bytes(length)))
    extra += chunk(b"tEXt", b"Comment\0" + b"x" * length)
    extra += chunk(b"gAMA", bytes(4)) + chunk(b"cHRM", bytes(3)) + chunk(b"sBIT", bytes(9))
    if damaged:
        extra = extra[:-1] + bytes([extra[-1] ^ 1])
    whole = path.read_bytes()
    path.write_bytes(whole[:33] + extra + whole[33:])
    check_agreement(path, tmp_path / "work", seen)
    assert capfd.readouterr() == ("", "")


def test_png_with_a_long_profile(tmp_path: Path) -> None:
    path = tmp_path / "profile.png"
    png_case(path, RGB, 8, key=False, interlaced=False)
    plain = read_picture(path)
    profile = bytes(imagecodecs.cms_profile("adobergb"))
    padded = struct.pack(">I", len(profile) + 4_000_000) + profile[4:] + bytes(4_000_000)
    whole = path.read_bytes()
    path.write_bytes(whole[:33] + chunk(b"iCCP", b"wide\0\0" + zlib.compress(padded)) + whole[33:])
    expected = srgb_from_samples(np.rint(plain.pixels * 255).astype(np.uint8), ColorModel.RGB, profile)[0]
    check_agreement(path, tmp_path / "work", Seen(expected, atol=1.01 / 255))
    assert "Adobe" in inspect_picture(path).profile


# Other formats ----------------------------------------------------------------------------------------

MODES = {
    "JPEG": ("L", "RGB", "CMYK"),
    "MPO": ("RGB",),
    "WEBP": ("RGB", "RGBA"),
    "GIF": ("L", "P", "P+"),
    "BMP": ("1", "L", "P", "RGB", "RGBA"),
    "DIB": ("RGB",),
    "TGA": ("L", "LA", "P", "RGB", "RGBA"),
    "PPM": ("1", "L", "I;16", "RGB", "F"),
    "PCX": ("1", "L", "P", "RGB"),
    "SGI": ("L", "RGB", "RGBA"),
    "ICO": ("RGB", "RGBA"),
    "JPEG2000": ("L", "LA", "RGB", "RGBA", "I;16"),
    "DDS": ("L", "LA", "RGB", "RGBA"),
    "AVIF": ("RGB", "RGBA"),
    "TIFF": ("1", "L", "LA", "P", "RGB", "RGBA", "CMYK", "I;16", "F"),
    "PNG": ("1", "L", "LA", "P", "P+", "RGB", "RGBA", "I;16"),
    "QOI": ("RGB", "RGBA"),
    "XBM": ("1",),
}


def smooth(channels: int, seed: int) -> NDArray[np.uint8]:
    """Waves, which formats that lose something lose little of."""
    y, x = np.mgrid[:24, :32]
    waves = [np.sin(x / (4 + c + seed) + c) * np.cos(y / (5 - c / 2)) for c in range(channels)]
    return np.rint(127.5 + 110 * np.stack(waves, axis=2)).astype(np.uint8)


def image_of(mode: str, seed: int) -> Image.Image:
    bands = {"LA": 2, "RGBA": 4, "CMYK": 4}.get(mode, 3 if mode.startswith(("RGB", "P")) else 1)
    values = smooth(bands, seed)
    if mode == "I;16":
        return Image.fromarray(values[..., 0].astype(np.uint16) * 257)
    if mode == "F":
        return Image.fromarray(values[..., 0].astype(np.float32) / 255)
    if mode == "1":
        return Image.fromarray(values[..., 0] > 127)
    if bands == 1:
        return Image.fromarray(values[..., 0])
    size = (values.shape[1], values.shape[0])
    image = Image.frombytes("RGB" if bands == 3 else mode, size, values.tobytes())
    return image.quantize(16) if mode.startswith("P") else image


def as_pillow_decodes(path: Path) -> Seen:
    """What is stored in a file, not turned."""
    with Image.open(path) as image:
        image.load()
        if image.mode.startswith("I") or image.mode == "F":
            unit = np.asarray(image) / (1 if image.mode == "F" else 65535)
            return Seen(np.repeat(unit[..., None], 3, axis=2))
        if image.mode == "CMYK":
            return Seen(in_colors(np.asarray(image) / 255, "CMYK"))
        if image.has_transparency_data:
            full = np.asarray(image.convert("RGBA")) / 255
            return Seen(full[..., :3], full[..., 3])
        return Seen(np.asarray(image.convert("RGB")) / 255)


def image_case(path: Path, form: str, mode: str, turn: str, orientation: int, save: dict[str, Any]) -> Seen:
    if mode == "P+":
        save = {**save, "transparency": 3}
    if turn == "EXIF":
        head = b"" if form == "AVIF" else b"Exif\0\0"
        save = {**save, "exif": head + exif_of(orientation)}
    elif turn == "XMP":
        save = {**save, "xmp": xmp_of(orientation)}
    image_of(mode, orientation).save(path, form, **save)
    seen = as_pillow_decodes(path)
    if form in ("JPEG", "MPO"):
        seen = seen._replace(atol=3 / 255)
    return upright(seen, orientation) if turn else seen


@pytest.mark.parametrize("form", MODES)
def test_other_formats(tmp_path: Path, form: str) -> None:
    Image.init()
    if form not in Image.SAVE:
        pytest.skip(f"this Pillow does not write {form}")
    ways: list[dict[str, Any]] = [{}]
    turns = [""]
    if form in ("JPEG", "WEBP", "AVIF", "MPO"):
        turns += ["EXIF", "XMP"]
    if form == "JPEG":
        ways = [{"quality": 95}, {"quality": 95, "subsampling": 0}, {"quality": 95, "progressive": True}]
    if form == "WEBP":
        ways = [{"lossless": True, "exact": True}, {"quality": 90}]

    def cases() -> Iterator[tuple[str, Callable[[Path], Seen]]]:
        orientations = itertools.cycle(range(8, 0, -1))
        for mode, way, turn in itertools.product(MODES[form], ways, turns):
            for _ in range(3 if turn else 1):
                orientation = next(orientations)
                yield (
                    f"{mode} {way} {turn} {orientation}",
                    partial(image_case, form=form, mode=mode, turn=turn, orientation=orientation, save=way),
                )

    each(cases(), tmp_path)


@pytest.mark.parametrize("top", [1, 15, 255, 256, 1023, 4095, 65535])
def test_gray_maps_of_any_depth(tmp_path: Path, top: int) -> None:
    """The depth is that of the file, however dark the picture is."""
    values = noise(min(top, 255), 1)[..., 0]
    body = values.astype(">u2" if top > 255 else "u1").tobytes()
    (tmp_path / "a.pgm").write_bytes(f"P5 {SHAPE[1]} {SHAPE[0]} {top}\n".encode() + body)
    unit = values[..., None] / top
    atol = 0.51 / (65535 if top > 255 else 255) + STEP
    check_agreement(tmp_path / "a.pgm", tmp_path / "work", Seen(np.repeat(unit, 3, axis=2), atol=atol))


# Colors by code points -------------------------------------------------------------------------------


def png_with(path: Path, values: NDArray[Any], *chunks: bytes) -> None:
    whole = imagecodecs.png_encode(values)
    path.write_bytes(whole[:33] + b"".join(chunks) + whole[33:])


def encoded(light: NDArray[Any]) -> NDArray[Any]:
    light = np.clip(light, 0, 1)
    return np.where(light <= 0.0031308, 12.92 * light, 1.055 * light ** (1 / 2.4) - 0.055)


def decoded(unit: NDArray[Any]) -> NDArray[Any]:
    return np.where(unit <= 0.04045, unit / 12.92, ((unit + 0.055) / 1.055) ** 2.4)


# Published matrices of linear light, D65 to D65, to the primaries of sRGB.
P3 = np.array([[1.2249, -0.2247, 0.0], [-0.0420, 1.0419, 0.0], [-0.0197, -0.0786, 1.0979]])
BT2020 = np.array([[1.6605, -0.5876, -0.0728], [-0.1246, 1.1329, -0.0083], [-0.0182, -0.1006, 1.1187]])


@pytest.mark.parametrize("dtype", ["uint8", "uint16"])
@pytest.mark.parametrize(
    ("code", "matrix", "curve", "name"),
    [
        ((1, 13, 0, 1), np.eye(3), decoded, "sRGB"),
        ((1, 1, 0, 1), np.eye(3), decoded, "sRGB"),
        ((12, 13, 0, 1), P3, decoded, "Display P3"),
        ((9, 13, 0, 1), BT2020, decoded, "BT.2020"),
        ((9, 14, 0, 1), BT2020, decoded, "BT.2020"),
        ((1, 8, 0, 1), np.eye(3), lambda unit: unit, "sRGB, linear"),
        ((12, 4, 0, 1), P3, lambda unit: unit**2.2, "Display P3, gamma 2.2"),
    ],
)
def test_code_points_of_png(
    tmp_path: Path, dtype: str, code: tuple[int, ...], matrix: NDArray[Any], curve: Any, name: str
) -> None:
    values = noise(255, 3) * (np.iinfo(dtype).max // 255)
    profile = chunk(b"iCCP", b"x\0\0" + zlib.compress(bytes(imagecodecs.cms_profile("adobergb"))))
    png_with(tmp_path / "a.png", values.astype(dtype), profile, chunk(b"cICP", bytes(code)))
    unit = values / np.iinfo(dtype).max
    expected = unit if name == "sRGB" else encoded(curve(unit) @ matrix.T)
    check_agreement(
        tmp_path / "a.png", tmp_path / "work", Seen(expected, atol=3e-3 if name != "sRGB" else STEP)
    )
    assert inspect_picture(tmp_path / "a.png").profile == name


@pytest.mark.parametrize("code", [(12, 13, 1, 1), (2, 2, 0, 1), (255, 13, 0, 1), (12, 99, 0, 1), (12, 13)])
def test_unknown_code_points_leave_the_word_to_the_profile(tmp_path: Path, code: tuple[int, ...]) -> None:
    values = noise(255, 3).astype(np.uint8)
    profile = chunk(b"iCCP", b"x\0\0" + zlib.compress(bytes(imagecodecs.cms_profile("adobergb"))))
    png_with(tmp_path / "profile.png", values, profile)
    png_with(tmp_path / "both.png", values, profile, chunk(b"cICP", bytes(code)))
    check_agreement(
        tmp_path / "both.png", tmp_path / "work", Seen(read_picture(tmp_path / "profile.png").pixels)
    )


def test_narrow_range_of_code_points(tmp_path: Path) -> None:
    for depth, dtype in ((8, "uint8"), (16, "uint16")):
        levels = np.array([0, 16, 126, 235, 255]) * 2 ** (depth - 8)
        values = np.broadcast_to(levels[:, None, None], (5, 6, 3)).astype(dtype)
        png_with(tmp_path / "a.png", values, chunk(b"cICP", bytes((1, 13, 0, 0))))
        expected = np.array([0, 0, 110 / 219, 1, 1])
        assert_allclose(read_picture(tmp_path / "a.png").pixels[:, 2, 1], expected, atol=1e-5)


@pytest.mark.parametrize("transfer", [16, 18])
@pytest.mark.parametrize("primaries", [9, 12])
def test_high_dynamic_range(tmp_path: Path, transfer: int, primaries: int) -> None:
    """Black stays black, shadows keep their light, 203 nits are nearly white, and nothing brighter is lost."""
    nits = np.array([0, 2.03, 20.3, 101.5, 203, 400, 800, 1000])
    if transfer == 16:
        power = (nits / 10000) ** 0.1593017578125
        signal = ((0.8359375 + 18.8515625 * power) / (1 + 18.6875 * power)) ** 78.84375
    else:
        scene = (nits / 1000) ** (1 / 1.2)
        a, b, c = 0.17883277, 0.28466892, 0.55991073
        signal = np.where(scene <= 1 / 12, np.sqrt(3 * scene), a * np.log(np.maximum(12 * scene - b, 1e-9)) + c)
    values = np.broadcast_to(np.rint(signal * 65535)[:, None, None], (8, 4, 3)).astype(np.uint16)
    png_with(tmp_path / "a.png", values, chunk(b"cICP", bytes((primaries, transfer, 0, 1))))
    gray = read_picture(tmp_path / "a.png").pixels[:, 2]
    assert_allclose(gray, gray[:, :1].repeat(3, axis=1), atol=2e-3)  # gray stays gray
    assert_allclose(decoded(gray[:4, 1]), nits[:4] / 203, atol=2e-3)
    assert 0.9 < gray[4, 1] < 1 and (np.diff(gray[:, 1]) > 0).all() and gray[-1, 1] < 1
    check_agreement(tmp_path / "a.png", tmp_path / "work", Seen(read_picture(tmp_path / "a.png").pixels))
    assert "highlights compressed" in inspect_picture(tmp_path / "a.png").profile


# Hostile files ----------------------------------------------------------------------------------------


def patched(path: Path, tag: int, *, count: int | None = None, value: int | None = None) -> None:
    """Change the entry of a tag in the first directory of a small little-endian TIFF."""
    content = bytearray(path.read_bytes())
    (start,) = struct.unpack_from("<I", content, 4)
    (entries,) = struct.unpack_from("<H", content, start)
    for position in range(start + 2, start + 2 + 12 * entries, 12):
        if struct.unpack_from("<H", content, position) == (tag,):
            if count is not None:
                struct.pack_into("<I", content, position + 4, count)
            if value is not None:
                struct.pack_into("<H", content, position + 8, value)
    path.write_bytes(content)


@pytest.mark.parametrize("tag", [256, 257, 258, 262, 277, 278, 284, 259])
@pytest.mark.parametrize("count", [0, 2, 3, 300, 10**9])
def test_tiff_whose_numbers_are_lists(tmp_path: Path, tag: int, count: int) -> None:
    tifffile.imwrite(tmp_path / "a.tif", noise(255, 3).astype(np.uint8), photometric="rgb", metadata=None)
    patched(tmp_path / "a.tif", tag, count=count)
    try:
        seen = Seen(read_picture(tmp_path / "a.tif").pixels)
    except PictureError:
        line = check_refusal(tmp_path / "a.tif", tmp_path / "work")
        if tag in (256, 257) and count == 2:
            assert "TIFF whose" in line
    else:
        check_agreement(tmp_path / "a.tif", tmp_path / "work", seen)


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("tag", [256, 257])
def test_tiff_larger_than_its_content(tmp_path: Path, layout: str, tag: int) -> None:
    """What is missing may not be memory that was never written."""
    path = tmp_path / "a.tif"
    how = {name: value for name, value in LAYOUTS[layout].items() if name != "bigtiff"}
    tiff_case(path, "RGB", "uint8", "none", 1, how)
    patched(path, tag, value=20 * SHAPE[0])
    check_refusal(path, tmp_path / "work", decoding="compression" in how and "tile" not in how)


@pytest.mark.parametrize(
    ("photometric", "channels"), [("cielab", 1), ("cielab", 2), ("icclab", 2), ("separated", 3), ("rgb", 2)]
)
def test_tiff_with_too_few_channels(tmp_path: Path, photometric: str, channels: int) -> None:
    kinds = {"cielab": 8, "icclab": 9, "separated": 5, "rgb": 2}
    values = noise(255, channels).astype(np.uint8)
    values = values[..., 0] if channels == 1 else values
    planar = None if channels == 1 else "contig"
    tifffile.imwrite(tmp_path / "a.tif", values, photometric="minisblack", planarconfig=planar, metadata=None)
    patched(tmp_path / "a.tif", 262, value=kinds[photometric])
    assert f"{channels} channels" in check_refusal(tmp_path / "a.tif", tmp_path / "work")


@pytest.mark.parametrize("photometric", [32803, 34892, 6, 4, 77, 65535])
def test_tiff_of_unknown_colors(tmp_path: Path, photometric: int) -> None:
    tifffile.imwrite(tmp_path / "a.tif", noise(255, 1)[..., 0].astype(np.uint8), metadata=None)
    patched(tmp_path / "a.tif", 262, value=photometric)
    check_refusal(tmp_path / "a.tif", tmp_path / "work")


@pytest.mark.parametrize(
    "head",
    [
        b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n%%EndComments\n",
        b"\xc5\xd0\xd3\xc6" + bytes(26),
        b"\xd7\xcd\xc6\x9a" + bytes(90),
        b"SIMPLE  =                    T" + b" " * 50,
        b"%PDF-1.7\n",
        b"GRIB" + bytes(90),
        b"\x89HDF\r\n\x1a\n" + bytes(90),
        b"<svg xmlns='http://www.w3.org/2000/svg' width='9' height='9'/>",
        b"#!/bin/sh\n",
    ],
)
@pytest.mark.parametrize("suffix", ["jpg", "png", "eps"])
def test_other_formats_are_refused_whatever_their_name(
    tmp_path: Path, head: bytes, suffix: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def started(*_: object, **__: object) -> None:
        raise SystemExit("a picture started a program")

    monkeypatch.setattr("subprocess.Popen", started)
    (tmp_path / f"a.{suffix}").write_bytes(head + bytes(2000))
    assert "not a picture" in check_refusal(tmp_path / f"a.{suffix}", tmp_path / "work")
