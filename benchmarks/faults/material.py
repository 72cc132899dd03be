"""Files of every kind that commands read, small and sound: what mutations begin with."""

from __future__ import annotations

import io
import random
import struct
import zlib
from collections.abc import Callable, Iterator
from functools import lru_cache
from pathlib import Path
from typing import Any, Literal

import numpy as np
import tifffile
from PIL import Image, ImageCms, PngImagePlugin

SIDES = ((48, 40), (40, 66), (97, 34), (36, 36), (48, 40), (40, 66), (97, 34), (1, 1), (2, 50))
MODES = ("1", "L", "LA", "P", "PA", "RGB", "RGBA", "CMYK", "YCbCr", "LAB", "HSV", "I", "I;16", "F")
FORMATS = ("png", "jpg", "webp", "tif", "gif", "bmp", "tga", "ppm", "jp2", "ico", "avif", "mpo", "psd", "eps")
PNG_DEPTHS = {0: (1, 2, 4, 8, 16), 2: (8, 16), 3: (1, 2, 4, 8), 4: (8, 16), 6: (8, 16)}
LIMIT = 3_000_000  # bytes of a picture of the user's that is not left out


def pixels(draw: random.Random, height: int, width: int, channels: int) -> Any:
    """Some pixels, of 8 bits."""
    noise = np.random.default_rng(draw.randrange(2**32))
    ramp = np.linspace(0, 200, width)[None, :, None] + noise.integers(0, 55, (height, 1, channels))
    return ramp.astype(np.uint8)


def exif(draw: random.Random) -> Image.Exif:
    """Facts of a camera: orientation and resolution."""
    found = Image.Exif()
    found[0x0112] = draw.randint(1, 8)
    found[0x011A], found[0x011B], found[0x0128] = 300.0, 300.0, 2
    return found


def by_pillow(draw: random.Random) -> tuple[str, bytes]:
    """A picture in any mode and format that Pillow writes."""
    mode, form = draw.choice(MODES), draw.choice(FORMATS)
    width, height = draw.choice(SIDES)
    image = Image.fromarray(pixels(draw, height, width, 3))
    try:
        image = image.convert(mode)
    except ValueError:
        image = Image.new(mode, (width, height))
    options: dict[str, Any] = {}
    if draw.random() < 0.5:
        options["exif"] = exif(draw)
    if draw.random() < 0.3:
        options["icc_profile"] = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    if form == "png" and draw.random() < 0.5:
        text = PngImagePlugin.PngInfo()
        text.add_text("Comment", "[bold]text[/] " * draw.choice([1, 100]), zip=draw.random() < 0.5)
        text.add_itxt("XML:com.adobe.xmp", f'<x tiff:Orientation="{draw.randint(0, 9)}"/>')
        options["pnginfo"] = text
    for _ in range(2):
        out = io.BytesIO()
        try:
            image.save(out, {"jpg": "jpeg", "tif": "tiff", "jp2": "jpeg2000"}.get(form, form), **options)
            return f"{mode} by Pillow.{form}", out.getvalue()
        except (OSError, ValueError, KeyError, TypeError, AttributeError):
            image, options = image.convert("RGB"), {}
    return by_pillow(draw)


def by_tifffile(draw: random.Random) -> tuple[str, bytes]:
    """A TIFF of any type, byte order, layout, packing and colors."""
    width, height = draw.choice(SIDES)
    channels = draw.choice([1, 2, 3, 3, 4, 4, 5])
    kind = draw.choice(["u1", "u2", "u2", "u4", "i2", "f2", "f4", "f8", "u8", "i1"])
    data = pixels(draw, height, width, channels).astype(np.float64) / 255
    whole = {"u1": 255, "u2": 65535, "u4": 2**32 - 1, "u8": 2**60, "i2": 32767, "i1": 127}.get(kind, 1)
    data = (data * whole).astype(kind)
    photometric = draw.choice(["minisblack", "miniswhite", "rgb", "separated", "cielab", "ycbcr"])
    options: dict[str, Any] = {
        "photometric": photometric,
        "planarconfig": draw.choice(["contig", "separate"]),
        "compression": draw.choice([None, None, "deflate", "lzw", "zstd", "packbits", "jpeg"]),
        "predictor": draw.choice([None, None, True]),
        "extratags": [(274, 3, 1, draw.randint(0, 9), True)] if draw.random() < 0.4 else (),
    }
    if draw.random() < 0.3:
        options["tile"] = (16, 16)
    if draw.random() < 0.3:
        options["rowsperstrip"] = draw.randint(1, 8)
    if channels in (2, 4, 5):
        options["extrasamples"] = draw.choice([["unassalpha"], ["assocalpha"], ["unspecified"], None])
    if options["planarconfig"] == "separate":
        data = np.moveaxis(data, 2, 0)
    out = io.BytesIO()
    order: Literal["<", ">"] = draw.choice(("<", ">"))
    big = draw.random() < 0.2
    try:
        with tifffile.TiffWriter(out, byteorder=order, bigtiff=big) as writer:
            writer.write(data if channels > 1 else data.squeeze(), **options)
    except Exception:  # what cannot be combined
        return by_tifffile(draw)
    return f"{kind} x {channels} {photometric} {order} by tifffile.tif", out.getvalue()


def chunk(name: bytes, data: bytes) -> bytes:
    """A chunk of a PNG."""
    return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))


def by_hand(draw: random.Random) -> tuple[str, bytes]:
    """A PNG of any color type and depth, with chunks that libraries do not write."""
    color, depth = draw.choice([(kind, depth) for kind, depths in PNG_DEPTHS.items() for depth in depths])
    width, height = draw.choice(SIDES)
    bits = {0: 1, 2: 3, 3: 1, 4: 2, 6: 4}[color] * depth
    rows = b"".join(b"\0" + draw.randbytes((width * bits + 7) // 8) for _ in range(height))
    ahead = {
        "gAMA": struct.pack(">I", draw.choice([45455, 0, 100000, 1, 2**31])),
        "cHRM": struct.pack(">8I", *(draw.choice([31270, 32900, 64000, 0, 2**31]) for _ in range(8))),
        "sBIT": bytes(draw.randrange(9) for _ in range({0: 1, 2: 3, 3: 3, 4: 2, 6: 4}[color])),
        "sRGB": bytes([draw.randrange(5)]),
        "cICP": bytes([draw.choice([1, 9, 12, 99]), draw.choice([13, 16, 18, 8, 99]), 0, draw.randrange(2)]),
        "pHYs": struct.pack(">IIB", draw.choice([0, 11811, 2**31]), 11811, draw.randrange(3)),
        "iCCP": b"x\0\0" + zlib.compress(draw.choice([b"", draw.randbytes(200), bytes(3_000_000)])),
        "tEXt": draw.choice([b"a\0b", b"[bold]\0[/]", b"k\0\x1b[31mred", b"\0", b"k" * 90 + b"\0"]),
        "zTXt": b"k\0\0" + zlib.compress(b"x" * draw.choice([1, 2_000_000])),
        "eXIf": b"II*\0\x08\0\0\0\x01\0\x12\x01\x03\0\x01\0\0\0" + bytes([draw.randrange(10)]) + bytes(7),
    }
    names = draw.sample(list(ahead), draw.randint(0, 4))
    palette = chunk(b"PLTE", draw.randbytes(3 * 2 ** min(depth, 8))) if color == 3 else b""
    clear = chunk(b"tRNS", draw.randbytes({0: 2, 2: 6, 3: 2}[color])) if color in (0, 2, 3) else b""
    parts = [
        b"\x89PNG\r\n\x1a\n",
        chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, depth, color, 0, 0, 0)),
        *(chunk(name.encode(), ahead[name]) for name in names),
        palette,
        clear if draw.random() < 0.3 else b"",
        chunk(b"IDAT", zlib.compress(rows)),
        chunk(b"IEND", b""),
    ]
    return f"color type {color}, {depth} bits by hand.png", b"".join(parts)


def bomb(draw: random.Random) -> tuple[str, bytes]:
    """A small file of many pixels."""
    side = draw.choice([4000, 9000, 26000])
    row = b"\0" + bytes((side + 7) // 8)
    packer = zlib.compressobj(9)
    packed = b"".join(packer.compress(row) for _ in range(side)) + packer.flush()
    header = chunk(b"IHDR", struct.pack(">IIBBBBB", side, side, 1, 0, 0, 0, 0))
    return f"{side} pixels square.png", b"\x89PNG\r\n\x1a\n" + header + chunk(b"IDAT", packed) + chunk(
        b"IEND", b""
    )


def other_kinds(draw: random.Random) -> tuple[str, bytes]:
    """What is no picture, under a picture's name; or a picture under the name of another."""
    found: list[bytes] = [
        b"",
        b"hello\n",
        b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n0 0 9 9 rectfill\n",
        b"%PDF-1.4\n",
        b"<svg xmlns='http://www.w3.org/2000/svg' width='9' height='9'/>",
        b"PK\x03\x04" + bytes(60),
        b"\x80\x04\x95" + bytes(60),
        b"P6\n9999999 9999999\n255\n",
        draw.randbytes(500),
        by_pillow(draw)[1],
    ]
    return f"something else.{draw.choice(('png', 'jpg', 'tif', 'webp', 'dzi', 'gif'))}", draw.choice(found)


def pictures(folder: Path | None) -> list[Path]:
    """Pictures of the user's, those that are not too large."""
    if folder is None:
        return []
    return sorted(path for path in folder.rglob("*") if path.is_file() and 0 < path.stat().st_size < LIMIT)


def picture(draw: random.Random, more: list[Path]) -> tuple[str, bytes]:
    """A picture by chance: made here, or one of the user's. Its name says what it is."""
    if more and draw.random() < 0.4:
        path = draw.choice(more)
        return path.name, path.read_bytes()
    kinds: list[Callable[[random.Random], tuple[str, bytes]]] = [
        by_pillow,
        by_tifffile,
        by_hand,
        other_kinds,
        bomb,
    ]
    return draw.choices(kinds, [35, 30, 25, 6, 0.7])[0](draw)


def flat(draw: random.Random, *, gray: bool) -> tuple[str, bytes]:
    """A mask of two flat colors, red and blue, or a gray map, in a format without loss."""
    width, height = draw.choice(SIDES)
    image = Image.new("L" if gray else "RGB", (width, height), 0 if gray else "#ff0000")
    image.paste(255 if gray else "#0000ff", (0, 0, width // 2, height))
    form = draw.choice(["png", "tiff", "bmp", "gif", "webp"])
    out = io.BytesIO()
    image.save(out, form, **({"lossless": True} if form == "webp" else {}))
    return f"{'gray' if gray else 'flat'} by Pillow.{form}", out.getvalue()


def weights(draw: random.Random) -> bytes:
    """A narrow VGG of the first layers, as safetensors."""
    import torch
    from safetensors.torch import save

    scale = draw.choice([0.3, 0.3, 0.3, 0.0, 1e4, 1e18, 3e38])
    tensors, channels = {}, 3
    for index in (0, 2, 5, 7, 10):
        width = draw.choice([1, 4, 8])
        generator = torch.Generator().manual_seed(draw.randrange(2**32))
        tensors[f"features.{index}.weight"] = torch.randn(width, channels, 3, 3, generator=generator) * scale
        tensors[f"features.{index}.bias"] = torch.zeros(width)
        channels = width
    return save(tensors)


def profile(draw: random.Random) -> bytes:
    """An ICC profile, mostly of a press."""
    if draw.random() < 0.8:
        return press()
    kind: Literal["sRGB", "XYZ", "LAB"] = draw.choice(("sRGB", "sRGB", "XYZ", "LAB"))
    return ImageCms.ImageCmsProfile(ImageCms.createProfile(kind)).tobytes()


@lru_cache(1)
def press() -> bytes:
    """The profile for CMYK that libvips carries."""
    import pyvips

    return bytes(pyvips.Operation.call("profile_load", "cmyk"))


def settings(draw: random.Random) -> bytes:
    """A file of settings, with values of any type at and beyond the ends of their ranges."""
    names = "size sweeps patch seed coarsest content_weight style_weight tv_weight style_scale locality overlap"
    names += " arrangement_weight"
    names += (
        " history memory network quality optimizer sampler color tileable init style_blend scale_odds precision"
    )
    values = [
        "0",
        "1",
        "-1",
        "64",
        "1e300",
        "nan",
        "-inf",
        "9223372036854775808",
        '""',
        '"x"',
        '"1GiB"',
        "true",
    ]
    values += [
        "[]",
        "[1, 2]",
        "[[1]]",
        "{}",
        "{a = 1}",
        '"wavelet"',
        '"compact"',
        '"[/]"',
        "1979-05-27",
        "0.5",
        "[0.5, 0.5]",
    ]
    lines = [f"{draw.choice(names.split())} = {draw.choice(values)}" for _ in range(draw.randint(1, 3))]
    return ("\n".join(dict.fromkeys(lines)) + "\n").encode()


def everything(draw: random.Random) -> Iterator[tuple[str, bytes]]:
    """One of each, for tests."""
    for kind in (by_pillow, by_tifffile, by_hand, other_kinds):
        yield kind(draw)
