"""Deep Zoom pictures for the web: a descriptor, and a folder of tiles at every size down to one pixel."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pyvips
from numpy.typing import NDArray

from tilestyle.errors import PictureError
from tilestyle.files import ownership
from tilestyle.files.durable import replace_file, temporary_path
from tilestyle.images.vips import save_strips

SIDE_LIMIT = 10_000_000
"""Largest height or width that libvips supports."""

SUFFIX = ".dzi"

_TILE, _OVERLAP = 254, 1  # 256 pixels with the overlap
_DATED_NAME = "vips-properties.xml"  # written by libvips, with the current time
_DESCRIPTOR_BYTES = 1 << 16  # upper limit for reading; a descriptor is far smaller
_SETTINGS_NAME = "tilestyle.json"  # in the folder of tiles, where viewers ignore it


def tiles_folder(path: Path) -> Path:
    """Return the folder of the tiles of a descriptor: ``a_files`` for ``a.dzi``."""
    return path.with_name(f"{path.stem}_files")


def write_deep_zoom(
    path: Path,
    bands: Iterable[NDArray[Any]],
    shape: tuple[int, int, int],
    quality: int,
    text: str | None,
) -> None:
    """Write a picture as a descriptor and a folder of tiles, which are JPEG, or PNG if there is alpha.

    Everything is written to a temporary folder and then moved: tiles first, the descriptor last, so that there
    never is a descriptor without its tiles.

    Args:
        path: The descriptor, a .dzi file.
        bands: Strips of uint8 samples from top to bottom.
        shape: Shape [H, W, 3 or 4] of the picture.
        quality: Quality of JPEG tiles, 1 to 100.
        text: Settings to store with the tiles, if any.

    Raises:
        OSError: A file cannot be written.
        pyvips.Error: libvips fails.
    """
    path = Path(os.path.realpath(path))
    suffix = ".png" if shape[2] == 4 else f".jpg[Q={quality},subsample_mode=off]"
    temporary = temporary_path(path)
    ownership.claim_temporary(temporary, path)
    temporary.mkdir()

    def encode(image: pyvips.Image) -> None:
        name = os.fsencode(temporary / "new")
        image.dzsave(name, suffix=suffix, tile_size=_TILE, overlap=_OVERLAP, keep="none")

    try:
        save_strips(bands, shape, encode)
        (temporary / "new_files" / _DATED_NAME).unlink(missing_ok=True)
        if text is not None:
            (temporary / "new_files" / _SETTINGS_NAME).write_text(text, encoding="ascii")
        _move_into_place(temporary, path)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)
        with suppress(OSError):
            ownership.release_temporary(temporary)


@dataclass(frozen=True, slots=True)
class Descriptor:
    """The content of a descriptor (.dzi).

    Attributes:
        height: Height of the picture in pixels.
        width: Width of the picture in pixels.
        tile_side: Side of a tile in pixels, without the overlap.
        overlap: Pixels by which a tile extends into its neighbors, at each side.
        tile_format: File name extension of the tiles, without the dot.
    """

    height: int
    width: int
    tile_side: int
    overlap: int
    tile_format: str


def is_deep_zoom(path: Path) -> bool:
    """Whether a file has the extension of a Deep Zoom descriptor."""
    return path.suffix.lower() == SUFFIX


def read_descriptor(path: Path) -> Descriptor:
    """Read a descriptor; raises PictureError if the file is not one."""
    try:
        image = ElementTree.fromstring(path.read_bytes()[:_DESCRIPTOR_BYTES])
        sides = next(child.attrib for child in image if child.tag.endswith("}Size"))
        numbers = [sides["Height"], sides["Width"], image.attrib["TileSize"], image.attrib["Overlap"]]
        height, width, tile, overlap = (int(number) for number in numbers)
        return Descriptor(height, width, tile, overlap, image.attrib["Format"])
    except (ElementTree.ParseError, LookupError, ValueError, StopIteration) as error:
        raise PictureError(
            f"{path.name} is not a valid Deep Zoom descriptor", hint="copy or download the file again"
        ) from error


def total_bytes(path: Path) -> int:
    """Return the size in bytes of a descriptor with all its tiles."""
    return path.stat().st_size + sum(
        file.stat().st_size for file in tiles_folder(path).rglob("*") if file.is_file()
    )


def check_input(path: Path) -> None:
    """Raise PictureError for a descriptor: Deep Zoom is an output format only."""
    if is_deep_zoom(path):
        raise PictureError(
            f"{path.name} is a Deep Zoom picture, which cannot be used as an input",
            hint="give the picture as TIFF, PNG or JPEG",
        )


def read_settings_text(path: Path) -> str | None:
    """Return the text of the settings stored with the tiles of a descriptor; None without any."""
    file = tiles_folder(path) / _SETTINGS_NAME
    return file.read_text(encoding="ascii") if file.is_file() else None


def _move_into_place(temporary: Path, path: Path) -> None:
    """Move tiles and descriptor into place; if that fails, restore the old ones."""
    folder, old, new = tiles_folder(path), temporary / "old_files", temporary / "new_files"
    try:
        if folder.exists():
            os.replace(folder, old)
        os.replace(new, folder)
        replace_file(temporary / "new.dzi", path)
    except BaseException:
        if old.exists():
            if folder.exists():
                os.replace(folder, new)
            os.replace(old, folder)
        raise
