"""The one place where a picture file is described: see description.py."""

from __future__ import annotations

from pathlib import Path

from tilestyle.files import PathLike, ordinary_file
from tilestyle.images import deepzoom, tiff
from tilestyle.images.border import decoding
from tilestyle.images.description import Description
from tilestyle.images.pillow import describe_with_pillow
from tilestyle.images.png import SIGNATURE
from tilestyle.images.png_file import describe_png


def describe(path: PathLike) -> Description:
    """Describe a picture file.

    Raises:
        PictureError: The file is missing, empty, broken, unknown, of one pixel, or of a kind that is not read.
    """
    path = ordinary_file(path)
    with decoding(path.name):
        deepzoom.check_input(path)
        if is_tiff(path):
            return tiff.describe_tiff(path)
        return describe_png(path) if is_png(path) else describe_with_pillow(path)


def is_tiff(path: Path) -> bool:
    """Whether the file begins as TIFF or BigTIFF do."""
    with path.open("rb") as file:
        return file.read(4) in tiff.SIGNATURES


def is_png(path: Path) -> bool:
    """Whether the file begins as PNG do."""
    with path.open("rb") as file:
        return file.read(len(SIGNATURE)) == SIGNATURE
