"""Reading the header of a picture file; see file_header.py."""

from __future__ import annotations

from pathlib import Path

from tilestyle.errors import PictureError
from tilestyle.files.paths import PathLike, regular_file
from tilestyle.images import deepzoom, read_tiff, write_pdf
from tilestyle.images.file_header import FileHeader
from tilestyle.images.library_errors import translating_decode_errors
from tilestyle.images.read_pillow import describe_with_pillow
from tilestyle.images.read_png import describe_png
from tilestyle.images.write_png import SIGNATURE


def describe(path: PathLike) -> FileHeader:
    """Read the header of a picture file.

    Raises:
        PictureError: The file is missing, empty, broken or in an unknown format, has fewer than two pixels, or
            is of a kind that is not supported.
    """
    path = regular_file(path)
    with translating_decode_errors(path.name):
        deepzoom.check_input(path)
        if write_pdf.is_pdf(path):
            raise PictureError(
                f"{path.name} is a PDF, not a picture",
                hint="give the picture that it was made of",
            )
        if is_tiff(path):
            return read_tiff.describe_tiff(path)
        return describe_png(path) if is_png(path) else describe_with_pillow(path)


def is_tiff(path: Path) -> bool:
    """Whether a file starts with a signature of TIFF or BigTIFF."""
    with path.open("rb") as file:
        return file.read(4) in read_tiff.SIGNATURES


def is_png(path: Path) -> bool:
    """Whether a file starts with the signature of PNG."""
    with path.open("rb") as file:
        return file.read(len(SIGNATURE)) == SIGNATURE
