"""What the formats that can be written hold, and whether a picture fits before it is made."""

from __future__ import annotations

import os
from pathlib import Path

from tilestyle.config.enums import SUFFIXES, Compression, Format
from tilestyle.errors import OutputError, SettingError
from tilestyle.files.atomic import check_place
from tilestyle.images import deepzoom, write_jpeg, write_png, write_tiff
from tilestyle.images.library_errors import encoding

PathLike = str | os.PathLike[str]


_SIDE_LIMITS = {
    Format.PNG: write_png.SIDE_LIMIT,
    Format.JPEG: write_jpeg.SIDE_LIMIT,
    Format.WEBP: 16383,
    Format.TIFF: write_tiff.SIDE_LIMIT,
    Format.DEEP_ZOOM: deepzoom.SIDE_LIMIT,
}

OUTPUT_SUFFIXES = tuple(SUFFIXES)
"""File name endings of the formats that can be written, in lower case."""


def check_writable(
    path: PathLike,
    height: int,
    width: int,
    depth: int = 8,
    compression: Compression = Compression.DEFLATE,
) -> Format:
    """Check all that can be known before the hours of rendering; sides in pixels, depth in bits.

    Raises OutputError when the suffix is unknown, its format cannot hold the size or depth, or the
    folder is missing or not writable.
    """
    path = Path(path)
    form = format_of(path)
    if depth != 8 and form not in (Format.PNG, Format.TIFF):
        raise OutputError(f"{form.label} cannot hold {depth} bits per channel", hint="write PNG or TIFF")
    if depth != 8 and form is Format.TIFF and compression is Compression.JPEG:
        raise OutputError(f"JPEG compression cannot hold {depth} bits per channel", hint="use zstd or deflate")
    limit = _SIDE_LIMITS[form]
    if max(height, width) > limit:
        fit = [each.label for each, its in _SIDE_LIMITS.items() if max(height, width) <= its]
        fit = [label for label in fit if depth == 8 or label in (Format.PNG.label, Format.TIFF.label)]
        hint = (
            f"write {' or '.join(fit)}"
            if fit
            else f"give a size of at most {max(_SIDE_LIMITS.values())} a side"
        )
        raise OutputError(f"{width} x {height} pixels exceed the {limit} a side of {form.label}", hint=hint)
    with encoding(str(path)):
        check_place(path)
        if form is Format.DEEP_ZOOM:
            _check_tiles_folder(path)
    return form


def _check_tiles_folder(path: Path) -> None:
    """Raise OutputError when what is not a folder of tiles stands where one is to be."""
    folder = deepzoom.tiles_folder(path)
    if folder.exists() and not path.exists() and any(folder.iterdir()):
        raise OutputError(f"{folder} is in the way and no tiles of {path.name}", hint="choose another name")


def format_of(path: Path) -> Format:
    """The format that a file name asks for. Raises OutputError when it asks for none that is known."""
    form = SUFFIXES.get(path.suffix.lower())
    if form is None:
        what = f"unknown format {path.suffix!r}" if path.suffix else "no format"
        raise OutputError(f"{path.name or path}: {what}", hint=f"use one of {' '.join(OUTPUT_SUFFIXES)}")
    return form


def named(path: PathLike, form: Format | None) -> Path:
    """The file to write for a name and a format that was asked for: with its suffix, if it has none yet.

    Raises SettingError when the name is one of another format, OutputError when it is that of a folder.
    """
    path = Path(path)
    if path.name in ("", ".."):  # the names of "", "." and "/", to which no ending can be added
        raise OutputError(f"{path} is a folder", hint="name a file inside it")
    if form is None:
        return path
    found = SUFFIXES.get(path.suffix.lower())
    if found is None:
        first = next(suffix for suffix, its in SUFFIXES.items() if its is form)
        return path.with_name(path.name + first)
    if found is not form:
        raise SettingError(f"{path.name} is no name for {form.label}", hint="give another suffix or --format")
    return path


def disk_bytes(path: PathLike, height: int, width: int, channels: int, depth: int = 8) -> int:
    """The most disk that writing can take while it goes on, bytes: as if nothing could be packed.

    TIFF counts its reduced pages twice, in the file and while they wait. JPEG of the highest quality is
    larger than its samples when they are noise.
    """
    shape = (height, width, channels)
    unpacked = write_tiff.unpacked_bytes(shape, depth // 8)
    form = format_of(Path(path))
    if form is Format.TIFF:
        return unpacked + 2 * write_tiff.spooled_bytes(shape, depth // 8)
    return {Format.DEEP_ZOOM: 2 * unpacked, Format.JPEG: unpacked * 3 // 2}.get(form, unpacked)
