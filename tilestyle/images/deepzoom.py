"""Deep Zoom: a descriptor, and a folder of tiles of every size down to one pixel, for the web."""

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
from tilestyle.files.durable import put_in_place, temporary_beside
from tilestyle.images.vips import save_strips

SIDE_LIMIT = 10_000_000
"""Largest height or width that libvips takes."""

SUFFIX = ".dzi"

_TILE, _OVERLAP = 254, 1  # with what they share, 256 pixels
_DATED_NAME = "vips-properties.xml"  # of libvips, with the time of writing
_DESCRIPTOR_BYTES = 1 << 16  # many times what one takes
_SETTINGS_NAME = "tilestyle.json"  # beside the tiles, where viewers pass over what they do not know


def tiles_folder(path: Path) -> Path:
    """Where the tiles of a descriptor lie: ``a_files`` beside ``a.dzi``."""
    return path.with_name(f"{path.stem}_files")


def write_deep_zoom(
    path: Path,
    bands: Iterable[NDArray[Any]],
    shape: tuple[int, int, int],
    quality: int,
    text: str | None,
) -> None:
    """Write uint8 bands of ``shape`` [H, W, 3 or 4] as ``path`` (.dzi) and its folder of tiles.

    Tiles are JPEG, or PNG where there is alpha. Everything is made in a folder beside and then moved:
    tiles first, the descriptor last, so that a descriptor never stands without its tiles.
    Raises OSError and pyvips.Error as they come.
    """
    path = Path(os.path.realpath(path))
    suffix = ".png" if shape[2] == 4 else f".jpg[Q={quality},subsample_mode=off]"
    beside = temporary_beside(path)
    ownership.claim_temporary(beside, path)
    beside.mkdir()

    def encode(image: pyvips.Image) -> None:
        image.dzsave(os.fsencode(beside / "new"), suffix=suffix, tile_size=_TILE, overlap=_OVERLAP, keep="none")

    try:
        save_strips(bands, shape, encode)
        (beside / "new_files" / _DATED_NAME).unlink(missing_ok=True)
        if text is not None:
            (beside / "new_files" / _SETTINGS_NAME).write_text(text, encoding="ascii")
        _move(beside, path)
    finally:
        shutil.rmtree(beside, ignore_errors=True)
        with suppress(OSError):
            ownership.release_temporary(beside)


@dataclass(frozen=True, slots=True)
class Descriptor:
    """What a .dzi says: pixels of the picture, sides of its tiles without what they share, and their format."""

    height: int
    width: int
    tile: int
    overlap: int
    form: str


def is_deep_zoom(path: Path) -> bool:
    """Whether the file is called a descriptor."""
    return path.suffix.lower() == SUFFIX


def descriptor_of(path: Path) -> Descriptor:
    """Read a descriptor. Raises PictureError when it is none."""
    try:
        image = ElementTree.fromstring(path.read_bytes()[:_DESCRIPTOR_BYTES])
        sides = next(child.attrib for child in image if child.tag.endswith("}Size"))
        numbers = [sides["Height"], sides["Width"], image.attrib["TileSize"], image.attrib["Overlap"]]
        height, width, tile, overlap = (int(number) for number in numbers)
        return Descriptor(height, width, tile, overlap, image.attrib["Format"])
    except (ElementTree.ParseError, LookupError, ValueError, StopIteration) as error:
        raise PictureError(f"{path.name} is no Deep Zoom descriptor", hint="fetch it again") from error


def stored_bytes(path: Path) -> int:
    """Bytes of a descriptor and all its tiles."""
    return path.stat().st_size + sum(
        file.stat().st_size for file in tiles_folder(path).rglob("*") if file.is_file()
    )


def check_input(path: Path) -> None:
    """Raise PictureError for a descriptor: its tiles are for looking at."""
    if is_deep_zoom(path):
        raise PictureError(
            f"{path.name} is a Deep Zoom picture, which is written and not read",
            hint="give the picture as TIFF, PNG or JPEG",
        )


def settings_of(path: Path) -> str | None:
    """The text stored beside the tiles of a descriptor."""
    file = tiles_folder(path) / _SETTINGS_NAME
    return file.read_text(encoding="ascii") if file.is_file() else None


def _move(beside: Path, path: Path) -> None:
    """Put tiles and descriptor in their places; where that fails, the old ones back."""
    folder, old, new = tiles_folder(path), beside / "old_files", beside / "new_files"
    try:
        if folder.exists():
            os.replace(folder, old)
        os.replace(new, folder)
        put_in_place(beside / "new.dzi", path)
    except BaseException:
        if old.exists():
            if folder.exists():
                os.replace(folder, new)
            os.replace(old, folder)
        raise
