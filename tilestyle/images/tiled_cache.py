"""Pictures that cannot be read by windows, as files that can."""

from __future__ import annotations

import hashlib
import os
from pathlib import Path

import pyvips

from tilestyle.config.enums import Compression
from tilestyle.errors import PictureError
from tilestyle.files import ownership
from tilestyle.files.atomic import replacing
from tilestyle.images import vips
from tilestyle.images.file_header import Description, shown
from tilestyle.images.library_errors import disk_full, encoding, is_disk_full
from tilestyle.images.pixel_limit import check_pixels
from tilestyle.images.raster import TiffWindows
from tilestyle.images.read import picture_of
from tilestyle.images.read_header import describe
from tilestyle.images.write import write_picture
from tilestyle.images.write_options import WriteOptions

_FORMAT = "2"
"""Of what lies in copies: raised when it changes, so that copies of before are not taken up."""


# Copies that this process has made, with their length, number and time of change.
_made: dict[Path, tuple[int, int, int]] = {}


def tiled_copy(seen: Description, folder: Path) -> tuple[TiffWindows, Description]:
    """Windows of a tiled TIFF in ``folder`` with a picture's pixels, made unless it is there from before.

    One that another process has left in a work folder is made again: it may have been damaged since.

    Streamed where libvips can: then the samples are those of the file, not yet managed nor turned, and still
    mean what the file's description says. Otherwise the picture is read whole, and the copy has a description
    of its own. The name tells the file's place, length and time of change.
    Raises OutputError when it cannot be written, PictureError when it cannot be read.
    """
    copy = copy_of(seen.path, folder)
    if not copy.exists() or (_made.get(copy) != _facts(copy) and ownership.is_marked(folder)):
        with encoding(str(folder)):
            folder.mkdir(parents=True, exist_ok=True)
            ownership.claim(copy)
        (_stream if seen.streamed else _develop)(seen, copy)
        _made[copy] = _facts(copy)
    own = describe(copy)
    if not seen.streamed:
        return TiffWindows.opened(own), own
    found = own.stored_height, own.stored_width, own.channels, own.dtype
    assert found == (seen.stored_height, seen.stored_width, seen.channels, seen.dtype), (
        "a copy of other samples"
    )
    return TiffWindows.opened(own), seen


def _facts(copy: Path) -> tuple[int, int, int]:
    found = copy.stat()
    return found.st_size, found.st_ino, found.st_mtime_ns


def copy_of(path: Path, folder: Path) -> Path:
    """Where the tiled copy of a file lies, or will."""
    facts = path.stat()
    identity = f"{_FORMAT}\0{os.path.realpath(path)}\0{facts.st_size}\0{facts.st_mtime_ns}"
    return folder / f"source-{hashlib.sha256(os.fsencode(identity)).hexdigest()[:16]}.tif"


def _develop(seen: Description, copy: Path) -> None:
    """Write a picture as sRGB, upright."""
    picture = picture_of(seen)
    depth = 8 if seen.depth == 8 and seen.colours == "sRGB" else 16
    write_picture(copy, picture, options=WriteOptions(depth=depth, compression=Compression.NONE))


def _stream(seen: Description, copy: Path) -> None:
    """Write the samples of a file as they are stored in it."""
    check_pixels(seen.name, seen.stored_height, seen.stored_width)
    stream = vips.Stream(seen)
    found = stream.image.height, stream.image.width, stream.image.bands
    if found != (seen.stored_height, seen.stored_width, seen.channels):
        raise PictureError(
            f"{seen.label} decodes to {shown(found)} samples where others are described",
            hint="it may be damaged or an unusual variant: convert it to PNG or TIFF",
        )
    with replacing(copy) as file:
        try:
            stream.run(
                lambda image: image.tiffsave(
                    os.fsencode(file.name),  # names need not be UTF-8
                    tile=True,
                    tile_width=256,
                    tile_height=256,
                    compression="none",
                    bigtiff=True,
                    keep="none",
                )
            )
        except pyvips.Error as error:
            if is_disk_full(error):
                raise disk_full(str(copy)) from error
            raise  # by the picture, then
