"""Pictures that cannot be read by windows, as files that can."""

from __future__ import annotations

import hashlib
import math
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pyvips
import tifffile
from numpy.typing import NDArray
from tifffile import COMPRESSION, PHOTOMETRIC

from tilestyle.choices import Compression
from tilestyle.images import tiff, vips
from tilestyle.images.atomic import replacing
from tilestyle.images.border import disk_full, encoding, is_disk_full
from tilestyle.images.colour import CHANNELS, ColourModel
from tilestyle.images.options import WriteOptions
from tilestyle.images.orientation import known_orientation
from tilestyle.images.read import is_tiff, read_picture
from tilestyle.images.samples import Samples
from tilestyle.images.write import write_picture

_STREAMED = ("PNG", "JPEG", "MPO", "WEBP")
_SHRUNK_WHILE_DECODED = ("JPEG", "MPO")
_FACTORS = (8, 4, 2)
_LIBTIFF = {
    COMPRESSION.NONE,
    COMPRESSION.LZW,
    COMPRESSION.JPEG,
    COMPRESSION.ADOBE_DEFLATE,
    COMPRESSION.DEFLATE,
    COMPRESSION.PACKBITS,
}
_PLAIN = {PHOTOMETRIC.MINISBLACK, PHOTOMETRIC.RGB, PHOTOMETRIC.YCBCR}
_MODELS = {
    "b-w": ColourModel.GREY,
    "grey16": ColourModel.GREY,
    "srgb": ColourModel.RGB,
    "rgb16": ColourModel.RGB,
    "cmyk": ColourModel.CMYK,
}


def tiled_copy(path: Path, form: str, folder: Path) -> Path:
    """A tiled TIFF with the pixels of ``path`` in ``folder``, made unless it is there from before.

    Streamed where libvips can: then the samples are those of the file, not yet managed nor turned.
    Otherwise the picture is read whole. The name tells the file's place, length and time of change.
    Raises OutputError when it cannot be written, PictureError when it cannot be read.
    """
    copy = copy_of(path, folder)
    if copy.exists():
        return copy
    with encoding(str(folder)):
        folder.mkdir(parents=True, exist_ok=True)
    page = _streamed_page(path, form)
    if page is None:
        picture = read_picture(path)
        depth = 8 if picture.depth == 8 and picture.profile == "sRGB" else 16
        write_picture(copy, picture, options=WriteOptions(depth=depth, compression=Compression.NONE))
        return copy
    with replacing(copy) as file:
        arguments = {"page": page} if is_tiff(path) else {}
        source = pyvips.Source.new_from_file(os.fsencode(path))  # names need not be UTF-8
        image = pyvips.Image.new_from_source(source, "", access="sequential", fail_on="truncated", **arguments)
        try:
            image.tiffsave(
                os.fsencode(file.name),
                tile=True,
                tile_width=256,
                tile_height=256,
                compression="none",
                bigtiff=True,
            )
        except pyvips.Error as error:
            if is_disk_full(error):
                raise disk_full(str(copy)) from error
            raise  # by the picture, then
    return copy


def copy_of(path: Path, folder: Path) -> Path:
    """Where the tiled copy of a file lies, or will."""
    facts = path.stat()
    identity = f"{os.path.realpath(path)}\0{facts.st_size}\0{facts.st_mtime_ns}"
    return folder / f"source-{hashlib.sha256(os.fsencode(identity)).hexdigest()[:16]}.tif"


def is_streamed(form: str) -> bool:
    """Whether the strips of a file of this format can be had without its whole."""
    return form in _STREAMED


def strips_for(path: Path, form: str, height: int, width: int) -> tuple[tuple[float, float], Iterator[Samples]]:
    """Strips of a streamed file, and the sides they make up: its own, or smaller ones JPEG decodes to.

    ``height`` and ``width`` are what the picture is wanted at, as stored; what comes is at least twice
    that where the file has it. Smaller sides need not be whole: their last row and column reach beyond.
    """
    image = vips.opened(path)
    sides = (float(image.height), float(image.width))
    if form in _SHRUNK_WHILE_DECODED:
        room = min(sides[0] / height, sides[1] / width)
        factor = next((factor for factor in _FACTORS if room >= 2 * factor), 1)
        image, sides = vips.opened(path, factor), (sides[0] / factor, sides[1] / factor)
    missing = math.ceil(sides[0]) - image.height, math.ceil(sides[1]) - image.width
    return sides, (_samples(strip, image) for strip in _completed(vips.strips(image), *missing))


def _completed(strips: Iterator[NDArray[Any]], rows: int, columns: int) -> Iterator[NDArray[Any]]:
    """Repeat the last row and column, which libvips leaves out when half of them is beyond the edge."""
    last: NDArray[Any] | None = None
    for strip in strips:
        last = np.pad(strip, ((0, 0), (0, columns), (0, 0)), mode="edge") if columns else strip
        yield last
    if last is not None and rows:
        yield last[-1:].repeat(rows, axis=0)


def _samples(strip: NDArray[Any], image: pyvips.Image) -> Samples:
    model = _MODELS.get(image.interpretation, ColourModel.RGB)
    fields = image.get_fields()
    colours = CHANNELS[model]
    return Samples(
        values=strip[..., :colours],
        model=model,
        depth=8 * strip.itemsize,
        alpha=strip[..., colours] if strip.shape[2] > colours else None,
        profile=image.get("icc-profile-data") if "icc-profile-data" in fields else None,
        orientation=known_orientation(image.get("orientation")) if "orientation" in fields else 1,
    )


def _streamed_page(path: Path, form: str) -> int | None:
    """The page of a file that libvips decodes to the same samples as we would; None when there is none."""
    if not is_tiff(path):
        return 0 if is_streamed(form) else None
    with tifffile.TiffFile(path) as file:
        page = tiff.main_page_of(file)
        known = page.compression in _LIBTIFF and page.photometric in _PLAIN
        plain = page.dtype is not None and page.dtype.name in ("uint8", "uint16")
        return page.index if known and plain and page.bitspersample in (8, 16) else None
