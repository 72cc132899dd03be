"""Limits of the output formats, and checks whether a picture fits before it is rendered."""

from __future__ import annotations

import os
from pathlib import Path

from tilestyle.config.enums import SUFFIXES, Compression, Format
from tilestyle.errors import OutputError, SettingError
from tilestyle.files.atomic import check_output_path
from tilestyle.images import deepzoom, write_jpeg, write_pdf, write_png, write_tiff
from tilestyle.images.library_errors import translating_encode_errors

PathLike = str | os.PathLike[str]


_SIDE_LIMITS = {
    Format.PNG: write_png.SIDE_LIMIT,
    Format.JPEG: write_jpeg.SIDE_LIMIT,
    Format.WEBP: 16383,
    Format.TIFF: write_tiff.SIDE_LIMIT,
    Format.DEEP_ZOOM: deepzoom.SIDE_LIMIT,
    Format.PDF: write_pdf.SIDE_LIMIT,
}

_DEEP = (Format.PNG, Format.TIFF, Format.PDF)  # 16 bits per channel
_COLORED = {
    "CMYK": (Format.TIFF, Format.JPEG, Format.PDF),
    "gray": (Format.PNG, Format.TIFF, Format.JPEG, Format.PDF),
}
"""Formats of other color spaces than RGB."""

OUTPUT_SUFFIXES = tuple(SUFFIXES)
"""File name extensions of the output formats, in lower case."""


def check_writable(
    path: PathLike,
    height: int,
    width: int,
    depth: int = 8,
    compression: Compression = Compression.DEFLATE,
    *,
    creates_folder: bool = False,
) -> Format:
    """Check, before the hours of rendering, whether a picture can be written.

    Args:
        path: The file to write.
        height: Height of the picture in pixels.
        width: Width of the picture in pixels.
        depth: Bits per channel.
        compression: Compression of a TIFF or PDF.
        creates_folder: Whether missing folders will be created.

    Returns:
        The format that the file name extension stands for.

    Raises:
        OutputError: The extension is unknown, its format cannot hold the size or depth, or the folder is
            missing or not writable.
    """
    path = Path(path)
    form = output_format(path)
    if depth != 8 and form not in _DEEP:
        raise OutputError(f"{form.label} cannot hold {depth} bits per channel", hint="write PNG, TIFF or PDF")
    if form is Format.PDF and compression not in (Compression.DEFLATE, Compression.JPEG):
        raise OutputError(
            f"PDF cannot be compressed as {compression}",
            hint="use --compression deflate or jpeg, or write TIFF",
        )
    if depth != 8 and compression is Compression.JPEG and form in (Format.TIFF, Format.PDF):
        raise OutputError(f"JPEG compression cannot hold {depth} bits per channel", hint="use zstd or deflate")
    limit = _SIDE_LIMITS[form]
    if max(height, width) > limit:
        labels = [choice.label for choice, side in _SIDE_LIMITS.items() if max(height, width) <= side]
        labels = [label for label in labels if label != Format.PDF.label]
        labels = [label for label in labels if depth == 8 or label in (Format.PNG.label, Format.TIFF.label)]
        hint = (
            f"write {' or '.join(labels)}"
            if labels
            else f"give a size of at most {max(_SIDE_LIMITS.values())} pixels per side"
        )
        raise OutputError(
            f"{width} x {height} pixels exceed the limit of {form.label}, {limit} pixels per side", hint=hint
        )
    with translating_encode_errors(str(path)):
        check_output_path(path, creates_folder=creates_folder)
        if form is Format.DEEP_ZOOM:
            _check_tiles_folder(path)
    return form


def check_color(path: PathLike, space: str) -> None:
    """Raise OutputError if the format of a file does not have a color space: gray, RGB or CMYK."""
    form, forms = output_format(Path(path)), _COLORED.get(space)
    if forms is not None and form not in forms:
        *labels, last = (each.label for each in forms)
        raise OutputError(f"{form.label} cannot hold {space}", hint=f"write {', '.join(labels)} or {last}")


def _check_tiles_folder(path: Path) -> None:
    """Raise OutputError if the folder for the tiles exists with other content."""
    folder = deepzoom.tiles_folder(path)
    if folder.exists() and not path.exists() and any(folder.iterdir()):
        raise OutputError(
            f"the folder {folder}, meant for the tiles of {path.name}, exists and is not empty",
            hint="choose another name",
        )


def output_format(path: Path) -> Format:
    """Return the format of a file name extension; raises OutputError if it is unknown or missing."""
    form = SUFFIXES.get(path.suffix.lower())
    if form is None:
        problem = f"unknown format {path.suffix!r}" if path.suffix else "no file name extension"
        raise OutputError(f"{path.name or path}: {problem}", hint=f"use one of {' '.join(OUTPUT_SUFFIXES)}")
    return form


def with_format_suffix(path: PathLike, form: Format | None) -> Path:
    """Add the extension of a format to a file name that has no known extension.

    Args:
        path: The file to write.
        form: The requested format. None: leave the name as it is.

    Raises:
        SettingError: The name has the extension of another format.
        OutputError: The path is a folder.
    """
    path = Path(path)
    if path.name in ("", ".."):  # "", "." and "/" have no name to add an extension to
        raise OutputError(f"{path} is a folder", hint="name a file inside it")
    if form is None:
        return path
    named_format = SUFFIXES.get(path.suffix.lower())
    if named_format is None:
        extension = next(suffix for suffix, choice in SUFFIXES.items() if choice is form)
        return path.with_name(path.name + extension)
    if named_format is not form:
        raise SettingError(
            f"the extension of {path.name} is not that of {form.label}",
            hint="give another file name, or another --format",
        )
    return path


def max_disk_bytes(
    path: PathLike, height: int, width: int, channels: int, depth: int = 8, *, flat: bool = False
) -> int:
    """Return the most bytes of disk space that writing a picture can take, as if nothing could be compressed.

    The reduced pages of a TIFF count twice: in the file, and in the temporary files that they are kept in until
    they are written. A JPEG of the highest quality can be larger than its samples.

    Args:
        path: The file to write.
        height: Height of the picture in pixels.
        width: Width of the picture in pixels.
        channels: Number of channels.
        depth: Bits per channel.
        flat: Whether a TIFF has no reduced pages.
    """
    shape = (height, width, channels)
    unpacked = write_tiff.uncompressed_bytes(shape, depth // 8)
    form = output_format(Path(path))
    if form is Format.TIFF:
        return unpacked + (0 if flat else 2 * write_tiff.pyramid_bytes(shape, depth // 8))
    return {Format.DEEP_ZOOM: 2 * unpacked, Format.JPEG: unpacked * 3 // 2, Format.PDF: unpacked * 3 // 2}.get(
        form, unpacked
    )
