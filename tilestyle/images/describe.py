"""The one place where a picture file is described: see description.py."""

from __future__ import annotations

import os
from pathlib import Path

from tilestyle.errors import PictureError
from tilestyle.images import deepzoom, tiff
from tilestyle.images.border import decoding
from tilestyle.images.description import Description
from tilestyle.images.pillow import describe_with_pillow
from tilestyle.images.png import SIGNATURE
from tilestyle.images.png_file import describe_png

PathLike = str | os.PathLike[str]


def describe(path: PathLike) -> Description:
    """Describe a picture file.

    Raises:
        PictureError: The file is missing, empty, broken, unknown, of one pixel, or of a kind that is not read.
    """
    path = existing_file(path)
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


def existing_file(path: PathLike) -> Path:
    """Return the path of a file that has content, or raise PictureError that says what is there."""
    path = Path(path)
    try:
        exists, is_folder, is_file = path.exists(), path.is_dir(), path.is_file()
        size = path.stat().st_size if is_file else 0
    except (OSError, ValueError) as error:
        raise PictureError(f"{path} cannot be opened ({error})", hint="check the path") from error
    if not exists:
        raise PictureError(f"there is no file {path}", hint="check the path")
    if is_folder:
        raise PictureError(f"{path} is a folder", hint="name a picture inside it")
    if not is_file:
        raise PictureError(f"{path} is not an ordinary file", hint="copy it to a file first")
    if size == 0:
        raise PictureError(f"{path.name} is empty", hint="copy or fetch the file again")
    return path
