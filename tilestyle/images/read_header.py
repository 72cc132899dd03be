"""The one place where a picture file is described: see file_header.py."""

from __future__ import annotations

from pathlib import Path

from tilestyle.files.paths import PathLike, ordinary_file
from tilestyle.images import deepzoom, read_tiff
from tilestyle.images.file_header import Description
from tilestyle.images.library_errors import decoding
from tilestyle.images.read_pillow import describe_with_pillow
from tilestyle.images.read_png import describe_png
from tilestyle.images.write_png import SIGNATURE


def describe(path: PathLike) -> Description:
    """Describe a picture file.

    Raises:
        PictureError: The file is missing, empty, broken, unknown, of one pixel, or of a kind that is not read.
    """
    path = ordinary_file(path)
    with decoding(path.name):
        deepzoom.check_input(path)
        if is_tiff(path):
            return read_tiff.describe_tiff(path)
        return describe_png(path) if is_png(path) else describe_with_pillow(path)


def is_tiff(path: Path) -> bool:
    """Whether the file begins as TIFF or BigTIFF do."""
    with path.open("rb") as file:
        return file.read(4) in read_tiff.SIGNATURES


def is_png(path: Path) -> bool:
    """Whether the file begins as PNG do."""
    with path.open("rb") as file:
        return file.read(len(SIGNATURE)) == SIGNATURE
