"""Converted copies of picture files: tiled TIFF files that can be read by windows."""

from __future__ import annotations

import hashlib
import os
from pathlib import Path

import pyvips

from tilestyle.config.enums import Compression
from tilestyle.errors import PictureError
from tilestyle.files import ownership
from tilestyle.files.atomic import atomic_write
from tilestyle.images import vips
from tilestyle.images.file_header import FileHeader, format_shape
from tilestyle.images.library_errors import disk_full_error, is_disk_full, translating_encode_errors
from tilestyle.images.pixel_limit import check_pixel_count
from tilestyle.images.raster import TiffRaster
from tilestyle.images.read import picture_from_header
from tilestyle.images.read_header import describe
from tilestyle.images.write import write_picture
from tilestyle.images.write_options import WriteOptions

_FORMAT = "2"
"""Version of the content of copies; increased when it changes, so that older copies are not used."""

# Copies that this process has made, with their size, inode number and time of change.
_own_copies: dict[Path, tuple[int, int, int]] = {}


def open_tiled_copy(header: FileHeader, folder: Path) -> tuple[TiffRaster, FileHeader]:
    """Open the tiled copy of a picture file, and make it first if it does not exist.

    A copy that another process has left in a work folder is made again, because it may be damaged.

    If libvips can stream the file, the copy has its samples without color conversion or rotation, and the
    header of the file still applies to them. Otherwise the picture is read as a whole and converted to upright
    sRGB, and the copy has its own header. The file name of a copy is a hash of path, size and time of change of
    the picture file.

    Args:
        header: Header of the picture file.
        folder: Folder for the copy; created if necessary.

    Returns:
        The raster of the copy, and the header that applies to its samples.

    Raises:
        OutputError: The copy cannot be written.
        PictureError: The picture cannot be read.
    """
    copy = tiled_copy_path(header.path, folder)
    if not copy.exists() or (_own_copies.get(copy) != _file_stamp(copy) and ownership.is_marked(folder)):
        with translating_encode_errors(str(folder)):
            folder.mkdir(parents=True, exist_ok=True)
            ownership.claim(copy)
        (_write_streamed if header.is_streamable else _write_developed)(header, copy)
        _own_copies[copy] = _file_stamp(copy)
    own = describe(copy)
    if not header.is_streamable:
        return TiffRaster.open(own), own
    layout = own.stored_height, own.stored_width, own.channels, own.dtype
    assert layout == (header.stored_height, header.stored_width, header.channels, header.dtype), (
        "the samples of the copy must be those of the file"
    )
    return TiffRaster.open(own), header


def _file_stamp(copy: Path) -> tuple[int, int, int]:
    """Return size, inode number and time of change of a copy."""
    status = copy.stat()
    return status.st_size, status.st_ino, status.st_mtime_ns


def tiled_copy_path(path: Path, folder: Path) -> Path:
    """Return the path of the tiled copy of a file, whether or not it exists."""
    status = path.stat()
    identity = f"{_FORMAT}\0{os.path.realpath(path)}\0{status.st_size}\0{status.st_mtime_ns}"
    return folder / f"source-{hashlib.sha256(os.fsencode(identity)).hexdigest()[:16]}.tif"


def _write_developed(header: FileHeader, copy: Path) -> None:
    """Write a copy as upright sRGB."""
    picture = picture_from_header(header)
    depth = 8 if header.depth == 8 and header.color_description == "sRGB" else 16
    write_picture(copy, picture, options=WriteOptions(depth=depth, compression=Compression.NONE))


def _write_streamed(header: FileHeader, copy: Path) -> None:
    """Write a copy with the samples as they are stored in the file."""
    check_pixel_count(header.name, header.stored_height, header.stored_width)
    stream = vips.VipsStream(header)
    shape = stream.image.height, stream.image.width, stream.image.bands
    expected = header.stored_height, header.stored_width, header.channels
    if shape != expected:
        raise PictureError(
            f"{header.label} decodes to {format_shape(shape)} samples, but its header says "
            f"{format_shape(expected)}",
            hint="it may be damaged or an unusual variant: convert it to PNG or TIFF",
        )
    with atomic_write(copy) as file:
        try:
            stream.run(
                lambda image: image.tiffsave(
                    os.fsencode(file.name),  # file names need not be UTF-8
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
                raise disk_full_error(str(copy)) from error
            raise  # an error of the picture, not of the disk
